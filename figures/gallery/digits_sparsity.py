"""Filters that switch themselves off while a small CNN learns real digits.

BasicNet (width 1/4) on scikit-learn's 8 × 8 digits. (a) Share of filters that are silent on the whole training set; the
drops of the learning rate are marked. (b) The same by layer at the end. (c) Test error: it is the same for all, within
its noise. Lines and bars are means over seeds; bands, whiskers and points show every seed's range.
"""

from __future__ import annotations

from figures.panels.sparsity import draw_settings
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "digits"), Need("full_scale", "digits", table="curve"))
draw = draw_settings
