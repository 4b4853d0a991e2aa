"""Batch size, width and difficulty on digits: what makes more filters die, and what only seems to.

BasicNet under Adam with coupled L2 on scikit-learn's digits; lines are means, points single seeds. Upper row: share of
filters that are silent on the whole training set at the end; lower row: test error. (a, d) Batch size: at equal epochs larger
batches make fewer steps, which is most of that trend. (b, e) Width of the network. (c, f) Wrong training labels, at the usual
rate, and at three tenths of it with three times the steps and 5/3 of the strength.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.panels.trends import QUANTITIES, against, at_equal_steps_and_epochs, ends_with_errors
from figures.style import letter, page_width
from mechanisms.records.loading import Need

EXPERIMENTS = ("batch_size", "width", "difficulty")
NEEDS = tuple(Need("full_scale", name, table=table) for name in EXPERIMENTS for table in ("features", "curve"))


def draw(*tables: pd.DataFrame) -> Figure:
    """Two rows of three panels."""
    batch, width, difficulty = (ends_with_errors(*pair) for pair in zip(tables[::2], tables[1::2], strict=True))
    columns = (
        (at_equal_steps_and_epochs(batch), "spec.batch_size", "batch size [images]"),
        ([("1,200 steps", width)], "spec.network.width", "width of the network"),
        (_by_rate(difficulty), "spec.data.label_noise", "wrong training labels [share]"),
    )
    figure, panels = plt.subplots(2, 3, figsize=(page_width(), 4.2), sharex="col")
    for column, (series, field, label) in zip(panels.T, columns, strict=True):
        for axes, quantity in zip(column, QUANTITIES, strict=True):
            against(axes, series, field, quantity)
        column[1].set_xlabel(label)
        column[0].set_xlabel(label)
        column[0].set_title(f"n = {batch['seed'].nunique()} seeds")
        if len(series) > 1:
            column[0].legend()
    for index, axes in enumerate(panels.flat):
        letter(axes, index)
    figure.tight_layout(w_pad=1.0)
    return figure


def _by_rate(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(f"rate {rate:g}", some) for rate, some in sorted(runs.groupby("spec.learning_rate"), reverse=True)]
