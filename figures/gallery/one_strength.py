"""One number stands for the strength of a decay within a rule, and not over rules.

BasicNet (width 1/4) on digits: dead share against three numbers for the strength of the same 30 settings. A curve is a rule and a
coupling, a point a strength; means over seeds, bands their whole range. (a) The nominal λ. (b) Λ, the sum of η·λ_eff/D over the
steps, by how many e-folds the decay alone shrinks a scale; where Adam divides the decay, D is the median denominator of filters.
(c) The same with the denominators of the lowest tenth of filters, which L2 hits hardest. Above: the mean error, in points, of the
dead share of a setting that is predicted from all others of its rule. The lowest tenth was chosen after the fact.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.panels.couplings import draw_couplings
from figures.style import letter, page_width, rule_label
from mechanisms.measures.matched_loss import ends_with_loss, left_out_errors
from mechanisms.records.loading import Need

NEEDS = (
    Need("full_scale", "matched_coupling", seeds=5),
    Need("full_scale", "matched_coupling", seeds=5, table="curve"),
)
NUMBERS = {
    "spec.regularizer.strength": "nominal λ",
    "pull": "Λ by the median D",
    "pull_lowest": "Λ by the lowest tenth of D",
}
"""Column → what stands for the strength."""


def draw(features: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Three panels with a common vertical axis."""
    ends = ends_with_loss(features, curve)
    runs = ends[ends["spec.regularizer.strength"] > 0]
    figure, panels = plt.subplots(1, 3, figsize=(page_width(), 2.9), sharey=True)
    for index, (axes, (column, label)) in enumerate(zip(panels, NUMBERS.items(), strict=True)):
        draw_couplings(axes, runs, column, "dead")
        axes.set(xscale="log", xlabel=label)
        errors = [
            f"{rule_label(str(rule)).partition(',')[0]} {100 * left_out_errors(one, column).mean():.0f}"
            for rule, one in runs.groupby("spec.rule", sort=False)
        ]
        axes.set_title(f"error: {', '.join(errors)} points", fontsize="small", loc="right")
        letter(axes, index)
    panels[0].set(ylabel="dead filters (share)", ylim=(-0.02, None))
    handles, title = panels[0].get_legend_handles_labels(), f"n = {runs['seed'].nunique()} seeds"
    figure.legend(*handles, title=title, loc="lower center", ncol=5, handlelength=2.4, columnspacing=1.2)
    figure.tight_layout(rect=(0, 0.14, 1, 1), w_pad=1.0)
    return figure
