"""The same on photographs: filters that switch themselves off while a small CNN learns CIFAR-10 at 16 × 16 pixels.

BasicNet (width 1/4) on 20,000 images of a JPEG-coded copy of CIFAR-10 (quality 75; not comparable with published numbers),
reduced to 16 × 16 pixels, 6,000 steps of 40 images. (a) Share of filters that are silent on the whole training set. (b) The same
by layer at the end. (c) Test error, which is not the same for all here: coupled L2 strong enough to show within so few steps
costs accuracy. Lines and bars are means over seeds; bands, whiskers and points show every seed's range.
"""

from __future__ import annotations

from figures.panels.sparsity import draw_settings
from mechanisms.records.loading import Need

PHOTOGRAPHS = ("preset=short",)
NEEDS = (Need("full_scale", "optimizers", PHOTOGRAPHS), Need("full_scale", "optimizers", PHOTOGRAPHS, table="curve"))
draw = draw_settings
