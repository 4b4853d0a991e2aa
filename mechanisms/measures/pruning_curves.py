"""What pruning cost: the `pruned` tables of records, over seeds, and each criterion against a control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechanisms.claims.published import PublishedPruning
from mechanisms.measures.statistics import mean_interval, paired_difference
from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.validation import UserError, require_choice

if TYPE_CHECKING:
    import pandas as pd

BETTER, WORSE, ALIKE = "better", "worse", "no difference shown"
VALUES = ("test_error", "pruned_test_error", "parameters_share", "macs_share", "latency_share", "removed")
WAY = ("network", "protocol", "criterion", "ranking", "ratio")
"""What tells the smaller networks of one training apart."""


def shares(pruned: pd.DataFrame) -> pd.DataFrame:
    """The table with parameters, multiply-accumulates and latency as shares of those before, in columns `…_share`."""
    names = {"parameters": "parameters", "macs": "macs", "latency": "milliseconds"}
    return pruned.assign(**{f"{name}_share": pruned[column] / pruned[f"{column}_before"] for name, column in names.items()})


def ways(pruned: pd.DataFrame) -> list[str]:
    """The columns that tell apart what was done: fields of the spec, and those of `WAY` that the table has."""
    return [str(name) for name in pruned if str(name).startswith(SPEC_PREFIX) or name in WAY]


def over_seeds(pruned: pd.DataFrame) -> pd.DataFrame:
    """One row for each thing done: the mean of each of `VALUES` over seeds, `NAME_low` and `NAME_high` its 95 % interval.

    Column `seeds` is their number. A value that there is not (the error before fresh weights were trained) is NaN.
    """
    import pandas as pd

    rows = []
    keys = ways(pruned)
    for _, one in shares(pruned).groupby(keys, sort=False, dropna=False):
        row = _first(one, keys) | {"seeds": one["seed"].nunique()}
        for name in VALUES:
            known = one[name].dropna()
            found = mean_interval(known) if len(known) else None
            numbers = (found.value, found.low, found.high) if found else (float("nan"),) * 3
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def against(pruned: pd.DataFrame, control: str = "random", value: str = "test_error") -> pd.DataFrame:
    """One row for each thing done by a criterion: its `value` less that of the control done likewise, paired by seed.

    Likewise: the same fields of the spec, protocol, ranking and ratio. `difference` is the mean over seeds, `low` and `high` its
    95 % interval, `verdict` better or worse only where that excludes 0. Not corrected for the number of comparisons: of twenty
    criteria that are all alike, one is expected to differ.

    Raises:
        UserError: the control is not in the table.
    """
    import pandas as pd

    require_choice("value", value, VALUES)
    keys = [name for name in ways(pruned) if name != "criterion"]
    if control not in set(pruned["criterion"]):
        raise UserError(f"control {control!r} is not in these records: they have " + ", ".join(sorted(set(pruned["criterion"]))))
    rows: list[dict[str, Any]] = []
    for _, one in shares(pruned).groupby(keys, sort=False, dropna=False):
        by_seed = {name: own.set_index("seed")[value] for name, own in one.groupby("criterion", sort=False)}
        if control not in by_seed:
            continue
        for criterion, own in by_seed.items():
            if criterion == control or own.isna().any() or by_seed[control].isna().any():
                continue
            found = paired_difference(own, by_seed[control])
            verdict = BETTER if found.high < 0 else WORSE if found.low > 0 else ALIKE
            numbers = {"difference": found.value, "low": found.low, "high": found.high, "seeds": found.n, "verdict": verdict}
            rows.append({**_first(one, keys), "criterion": criterion, **numbers})
    return pd.DataFrame(rows)


def by_layer(layers: pd.DataFrame, published: PublishedPruning | None = None) -> pd.DataFrame:
    """The share of each layer's features that went, from `layers` tables: one row for each thing done and layer.

    `removed` is the mean over seeds, `low` and `high` its 95 % interval; with a published result `published` is its share of the
    layer of that name, NaN where it has none.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    keys = [*ways(layers), "layer"]
    for _, one in layers.groupby(keys, sort=False, dropna=False):
        found = mean_interval(1 - one["kept"] / one["features"])
        rows.append(_first(one, keys) | {"removed": found.value, "low": found.low, "high": found.high, "seeds": found.n})
    table = pd.DataFrame(rows)
    return table if published is None else table.assign(published=table["layer"].map(published.removed))


def _first(table: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    return {name: table[name].iloc[0] for name in columns}
