"""Filters by what became of them: alive at the end of their training, or silent on the whole training set."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from figures.style import palette
from mechanisms.measures.sparsity import inactive, run_columns

FATES = ("alive at the end", "silent at the end")
LOOKS = dict(zip(FATES, zip(palette(2), ("o", "x"), ("-", "--"), strict=True), strict=True))
"""Fate → colour, marker, dash."""


def at_end(features: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last step of each run, with `fate`."""
    last = features[features["step"] == features["spec.steps"]]
    return last.assign(fate=inactive(last).map({False: FATES[0], True: FATES[1]}))


def with_fate(features: pd.DataFrame) -> pd.DataFrame:
    """All rows, with the `fate` that each feature has at the end of its run."""
    keys = [*run_columns(features), "layer", "feature"]
    fate = at_end(features).set_index(keys)["fate"]
    return features.assign(fate=fate.reindex(pd.MultiIndex.from_frame(features[keys])).to_numpy())


def by_fate(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each fate with its rows, those alive first."""
    for fate in FATES:
        yield fate, rows[rows["fate"] == fate]
