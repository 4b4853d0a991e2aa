"""Batch size on photographs, at equal steps and at equal epochs.

BasicNet (width 1/4) under Adam with coupled L2 of 1e-3 on 20,000 images of a JPEG-coded CIFAR-10 at 16 × 16 pixels. At equal
epochs larger batches make fewer steps, so that this trend is no evidence for the batch size itself. (a) Share of filters that
are silent on the whole training set at the end. (b) Test error. Lines are means, points single seeds.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.panels.trends import QUANTITIES, against, at_equal_steps_and_epochs, ends_with_errors
from figures.style import letter, page_width
from mechanisms.records.loading import Need

SHORT = ("preset=short",)
NEEDS = (Need("full_scale", "batch_size", SHORT), Need("full_scale", "batch_size", SHORT, table="curve"))


def draw(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Two panels against the batch size."""
    runs = ends_with_errors(features, curve)
    figure, panels = plt.subplots(1, 2, figsize=(page_width(), 2.6))
    for index, (axes, quantity) in enumerate(zip(panels, QUANTITIES, strict=True)):
        against(axes, at_equal_steps_and_epochs(runs), "spec.batch_size", quantity)
        axes.set_xlabel("batch size [images]")
        letter(axes, index)
    panels[0].set_title(f"n = {runs['seed'].nunique()} seeds")
    panels[0].legend()
    figure.tight_layout(w_pad=1.5)
    return figure
