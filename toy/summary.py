"""The table that `python -m toy run` prints: the end of every setting, averaged over features and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mechanisms.records.columns import SPEC_PREFIX, distinguishing
from mechanisms.records.store import Store
from mechanisms.system.progress import say
from toy.spec import ToySpec

SMALL = 1e-3
"""Below this |scale| a feature counts as gone (the threshold that Mehta et al. 2019 use for the BatchNorm scale)."""


def summarize(store: Store, specs: tuple[ToySpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a setting: the spec fields that vary, n = features × seeds, and means over them at the last step.

    `sparsity` is the fraction of features with |scale| < 1e-3; `product_mean` is also averaged over the window of `average_last`.
    """
    table = store.collect(specs, seeds, "features")
    end = table[table["step"] == table[f"{SPEC_PREFIX}steps"]]
    lost = int((~np.isfinite(end["scale"])).sum())
    if lost:
        say(f"{lost} of {len(end)} features diverged: their scale is no finite number; use a smaller learning_rate or strength")
    varying = distinguishing([c for c in end.columns if c.startswith(SPEC_PREFIX)], end)
    end = end.assign(
        abs_scale=end["scale"].abs(), sparsity=(end["scale"].abs() < SMALL).where(np.isfinite(end["scale"])).astype(float)
    )
    measures = [c for c in ("abs_scale", "product", "product_mean", "sparsity", "activity") if c in end.columns]
    grouped = end.groupby(varying or [f"{SPEC_PREFIX}steps"], dropna=False, sort=False)
    summary = grouped[measures].mean()
    summary.insert(0, "n", grouped.size())
    return summary.reset_index().rename(columns=lambda name: name.removeprefix(SPEC_PREFIX))
