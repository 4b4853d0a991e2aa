"""What the command line prints after runs about sparsifiers."""

from __future__ import annotations

import pandas as pd

from full_scale.pruning.sparsified_spec import SparsifiedSpec
from mechanisms.measures.matched_error import at_matched_error, over_seeds
from mechanisms.records.store import Store
from mechanisms.validation import UserError


def summarize(store: Store, specs: tuple[SparsifiedSpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a method: the share of features that can go at matched error, what is gone by itself, and errors, over seeds.

    Where no plain training is among the runs (a part of an experiment), one row a run without matching.
    """
    table = store.collect(specs, seeds, "removal")
    try:
        return over_seeds(at_matched_error(table))
    except UserError:
        return table[["seed", "criterion", "ratio", "removed", "choosing_error", "judged_error"]]
