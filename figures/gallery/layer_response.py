"""What changes of a training do to networks, the layer of competing features tells in seconds, but for restored gates.

Change of the share of dead features against the plain setting (or of treated against untreated halves), of the layer (64
replicates) and of BasicNet (width 1/4) on digits. A point is a change, bars are 95 % intervals, the diagonal is perfect
agreement; in the shaded quadrants the signs differ. Colour is the kind of change.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.panels.layer_answers import draw_answers
from figures.style import page_width
from mechanisms.claims.measured.response_table import PAIRS, answers

NEEDS = tuple(need for pair in PAIRS for need in pair.needs())


def draw(*tables: pd.DataFrame) -> Figure:
    """One panel."""
    pairs = zip(tables[::2], tables[1::2], strict=True)
    found = answers({pair.network: both for pair, both in zip(PAIRS, pairs, strict=True)})
    figure, axes = plt.subplots(figsize=(0.62 * page_width(), 0.62 * page_width()))
    draw_answers(axes, found)
    axes.legend(loc="lower right", title=f"{len(found)} changes of", alignment="left")
    seeds = sorted({one.network.n for one in found})
    axes.set_title(f"n = {' or '.join(map(str, seeds))} seeds of networks, {found[0].layer.n} replicates of the layer")
    figure.tight_layout()
    return figure
