"""How many filters of LeNet the ratio ℓ1/ℓ2 and other penalties let go at matched error.

Caffe's LeNet without BatchNorm on 5,000 images of MNIST.
Points in (a): largest share of features that becomes constant without tuning while the error on one half of the test images
stays within one point of plain training; strength and order of removal of each method are chosen on that half. Crosses: what is
gone in the chosen network without any removal. (b) By how much the error on the other half lies above plain training's; the grey
line is the tolerance. Means over seeds, bars 95 % intervals. Filled: no penalty and no step after the update. Dotted: from
and to, what Barisin and Horenko 2024 report of entropic regression on LeNet.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from figures.panels.sparsifiers import draw_sparsifiers
from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "l1_over_l2", table="removal"),)


def draw(removal: pd.DataFrame) -> Figure:
    """Shares and errors."""
    return draw_sparsifiers(removal, "LeNet, filters", ("entropic regression", "LeNet"))
