"""At equal training loss L2 leaves more filters dead than weight decay, and Adam more than SGD.

BasicNet (width 1/4) on digits, each meaning of weight decay at six strengths. A curve is a rule and a coupling, a point a
strength: means over seeds, bands their whole range. (a) Dead share against training loss: where two curves lie on one another,
the couplings do the same at other strengths, as decoupled and independent decay must. (b) The same against Λ, the sum of
η·λ_eff/D over the steps: by how many e-folds the decay alone shrinks a scale. (c) Test error against dead share.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.panels.couplings import draw_couplings
from figures.style import letter, page_width
from mechanisms.measures.matched_loss import ends_with_loss
from mechanisms.records.loading import Need

NEEDS = (
    Need("full_scale", "matched_coupling", seeds=5),
    Need("full_scale", "matched_coupling", seeds=5, table="curve"),
)


def draw(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Three panels; colour is the rule, line style the coupling."""
    ends = ends_with_loss(features, curve)
    runs = ends[ends["spec.regularizer.strength"] > 0]
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 2.7))
    draw_couplings(panels[0], runs, "train_loss", "dead")
    draw_couplings(panels[1], runs, "pull", "dead")
    draw_couplings(panels[2], runs, "dead", "test_error")
    panels[0].set(xscale="log", xlabel="training loss", ylabel="dead filters (share)", ylim=(-0.02, None))
    panels[1].set(xscale="log", xlabel="Λ, e-folds by decay alone", ylabel="dead filters (share)", ylim=(-0.02, None))
    panels[2].set(xlabel="dead filters (share)", ylabel="test error (share)", yscale="log")
    panels[0].set_title(f"n = {runs['seed'].nunique()} seeds")
    for index, axes in enumerate(panels):
        letter(axes, index)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=5, handlelength=2.4, columnspacing=1.2)
    figure.tight_layout(rect=(0, 0.1, 1, 1), w_pad=1.0)
    return figure
