"""What pruning cost: the `pruned` tables of records, over seeds, and each criterion against a control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechanisms.claims.published import PublishedPruning
from mechanisms.measures.sparsity import grouped
from mechanisms.measures.statistics import Estimate, chance_beyond, error_difference, error_interval, holm, mean_interval
from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.validation import UserError, require_choice

if TYPE_CHECKING:
    import pandas as pd

ERRORS = ("test_error", "pruned_test_error")
ERROR_RATE = 0.05
BETTER, WORSE, ALIKE = "better", "worse", "no difference shown"
VALUES = ("test_error", "pruned_test_error", "parameters_share", "macs_share", "latency_share", "removed")
WAY = ("network", "protocol", "criterion", "ranking", "ratio")
"""What tells the smaller networks of one training apart."""


def shares(pruned: pd.DataFrame) -> pd.DataFrame:
    """The table with parameters, multiply-accumulates and latency as shares of those before, in columns `…_share`."""
    names = {"parameters": "parameters", "macs": "macs", "latency": "milliseconds"}
    return pruned.assign(**{f"{name}_share": pruned[column] / pruned[f"{column}_before"] for name, column in names.items()})


def images_of(pruned: pd.DataFrame) -> float | None:
    """On how many test images the errors were measured: the fewest, where settings differ; None where nobody knows."""
    return float(pruned["test_images"].min()) if "test_images" in pruned else None


def ways(pruned: pd.DataFrame) -> list[str]:
    """The columns that tell apart what was done: fields of the spec, and those of `WAY` that the table has."""
    return [str(name) for name in pruned if str(name).startswith(SPEC_PREFIX) or name in WAY]


def over_seeds(pruned: pd.DataFrame) -> pd.DataFrame:
    """One row for each thing done: the mean of each of `VALUES` over seeds, `NAME_low` and `NAME_high` its 95 % interval.

    Those of errors carry the sampling error of the test images too. Column `seeds` is the number of seeds. A value that there is
    not (the error before fresh weights were trained) is NaN.
    """
    import pandas as pd

    rows = []
    keys = ways(pruned)
    for _, one in shares(pruned).groupby(keys, sort=False, dropna=False):
        row = _first(one, keys) | {"seeds": one["seed"].nunique()}
        for name in VALUES:
            known = one[name].dropna()
            found = _interval(known, images_of(one) if name in ERRORS else None) if len(known) else None
            numbers = (found.value, found.low, found.high) if found else (float("nan"),) * 3
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def against(pruned: pd.DataFrame, control: str = "random", value: str = "test_error") -> pd.DataFrame:
    """One row for each thing done by a criterion: its `value` less that of the control done likewise, paired by seed.

    Likewise: the same fields of the spec, protocol, ranking and ratio. `difference` is the mean over seeds, `low` and `high` its
    95 % interval, which of errors carries the sampling error of the test images; `verdict` better or worse only where that
    excludes 0, `verdict_holm` where that is so after Holm's adjustment over the criteria that are compared likewise (`p_holm`).

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
            found = error_difference(own, by_seed[control], images_of(one) if value in ERRORS else None)
            p = chance_beyond(found, 0.0, 1 if found.value > 0 else -1)
            numbers = {"difference": found.value, "low": found.low, "high": found.high, "seeds": found.n, "p": p}
            rows.append({**_first(one, keys), "criterion": criterion, **numbers, "verdict": _verdict(found)})
    table = pd.DataFrame(rows)
    if rows:
        by_setting = grouped(table.assign(p=table["p"].fillna(1.0)), keys)["p"] if keys else table["p"]
        table["p_holm"] = by_setting.transform(holm)
        table["verdict_holm"] = table["verdict"].where(table["p_holm"] < ERROR_RATE, ALIKE)
    return table


def _verdict(found: Estimate) -> str:
    return BETTER if found.high < 0 else WORSE if found.low > 0 else ALIKE


def _interval(values: pd.Series, images: float | None) -> Estimate:
    return mean_interval(values) if not images else error_interval(values, int(images))


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
