"""Sparsity: which features are inactive, by their activation or by their scale, in a `features` table of either layer.

Two criteria, kept apart because they disagree: by `activation`, a feature is silent on the whole training set; by `scale`, its
(BatchNorm) scale is small. Source: Mehta, Kim and Theobalt, CVPR 2019, with the thresholds 1e-12 and 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.validation import UserError, require_at_least, require_choice

if TYPE_CHECKING:
    import pandas as pd

PER = ("run", "layer")


@dataclass(frozen=True)
class Criterion:
    """A feature is inactive if |column| lies under the threshold."""

    column: str
    threshold: float


CAUSES = ("scale", "incoming", "scale and incoming", "shift")
"""What a filter died of: what is small at its end; of its shift, where neither is."""
SMALL_NORM = 1e-3
"""Norm of the incoming weights below which they count as gone: they begin at 0.5 or more."""
CRITERIA = {"activation": Criterion("max_activation", 1e-12), "scale": Criterion("scale", 1e-3)}


def inactive(table: pd.DataFrame, by: str = "activation", threshold: float | None = None) -> pd.Series:
    """Whether each row of a `features` table is an inactive feature; bool, with the index of the table. NaN counts as active.

    A feature that was cut out of its network while that trained (column `gone`) is inactive by any criterion.

    Raises:
        UserError: the table has no column to judge by (a single feature of the toy has no activations: use by="scale").
    """
    require_choice("by", by, tuple(CRITERIA))
    criterion = CRITERIA[by]
    if criterion.column not in table:
        raise UserError(f"sparsity by {by} needs the column {criterion.column!r}, which this features table does not have")
    if threshold is None:
        threshold = criterion.threshold
    require_at_least("threshold", threshold, 0)
    found = table[criterion.column].abs() < threshold
    return (found | table["gone"].notna() if "gone" in table else found).rename("inactive")


def sparsity(table: pd.DataFrame, by: str = "activation", threshold: float | None = None, per: str = "run") -> pd.DataFrame:
    """The fraction of inactive features, in [0, 1], at each recorded step of each run, in column `sparsity`.

    A run is one combination of the columns "spec.…", `seed` and `replicate`; `per="layer"` gives one row for each of its layers.
    """
    keys = moment_columns(table, per)
    return grouped(table.assign(sparsity=inactive(table, by, threshold)), keys)["sparsity"].mean().reset_index()


def causes(table: pd.DataFrame) -> pd.Series:
    """What each silent feature of a `features` table of networks died of, one of `CAUSES`; "" for the living.

    By its BatchNorm scale (|γ| < 1e-3), by the norm of its incoming weights (< `SMALL_NORM`), by both, or with both intact by a
    shift that holds it below zero. Where one of these was not recorded, "unknown".
    """
    import pandas as pd

    known = [table[name].abs() if name in table else pd.Series(float("nan"), table.index) for name in ("scale", "incoming")]
    scale, incoming = known[0] < CRITERIA["scale"].threshold, known[1] < SMALL_NORM
    found = pd.Series("shift", table.index, name="cause")
    for name, marks in zip(CAUSES, (scale & ~incoming, incoming & ~scale, scale & incoming), strict=False):
        found = found.mask(marks, name)
    return found.mask(known[0].isna() | known[1].isna(), "unknown").where(inactive(table), "")


def died_of(table: pd.DataFrame, per: str = "run") -> pd.DataFrame:
    """The fraction of features that died of each cause, at each recorded step of each run: a column for each of `CAUSES`.

    They add up to `sparsity` by activation, and are NaN for a run where a cause is unknown.
    """
    found = causes(table)
    marked = table.assign(**{name: (found == name).astype(float) for name in CAUSES}, unknown=found == "unknown")
    unknown = grouped(marked, moment_columns(table, per))["unknown"].transform("any")
    marked.loc[unknown, list(CAUSES)] = float("nan")
    return grouped(marked, moment_columns(table, per))[list(CAUSES)].mean().reset_index()


def fates(table: pd.DataFrame, by: str = "activation", threshold: float | None = None) -> pd.DataFrame:
    """What became of each feature over the recorded steps, one row a feature of each run.

    Besides the columns that name it: `ever_inactive`, at one recorded step at least; `inactive`, at the last; `revived`, the
    former without the latter; `revivals`, how many times it was active right after a step at which it was not;
    `first_inactive`, the step at which it first was, NaN if never. What happens between two recorded steps is not seen.
    """
    keys = [*run_columns(table), "layer", "feature"]
    ordered = table.assign(inactive=inactive(table, by, threshold)).sort_values("step", kind="stable")
    before = grouped(ordered, keys)["inactive"].shift(fill_value=False)
    marked = ordered.assign(revival=before & ~ordered["inactive"], first=ordered["step"].where(ordered["inactive"]))
    found = grouped(marked, keys).agg(
        ever_inactive=("inactive", "max"),
        inactive=("inactive", "last"),
        revivals=("revival", "sum"),
        first_inactive=("first", "min"),
    )
    return found.assign(revived=found["ever_inactive"] & ~found["inactive"]).reset_index()


def histories(table: pd.DataFrame, by: str = "activation", threshold: float | None = None, per: str = "run") -> pd.DataFrame:
    """How many features were ever inactive and how many revived, over the recorded steps, one row a run (or a layer).

    `features` is their number; `ever_inactive` and `revived` count those that `fates` calls so.
    """
    each = fates(table, by, threshold).assign(features=1)
    counts = ["features", "ever_inactive", "revived"]
    keys = [*run_columns(table), *_layer_column(per)]
    each = each.astype(dict.fromkeys(counts, int))
    return grouped(each, keys)[counts].sum().reset_index() if keys else each[counts].sum().to_frame().T


def run_columns(table: pd.DataFrame) -> list[str]:
    """The columns that tell runs apart: the fields of the spec, the seed and the replicate, those of them that the table has."""
    return [str(name) for name in table.columns if str(name).startswith(SPEC_PREFIX) or name in ("seed", "replicate")]


def moment_columns(table: pd.DataFrame, per: str = "run") -> list[str]:
    """The columns that tell recorded moments apart: those of the run, `step`, and with per="layer" `layer`."""
    return [*run_columns(table), "step", *_layer_column(per)]


def grouped(table: pd.DataFrame, keys: list[str]) -> pd.api.typing.DataFrameGroupBy[Any, Any]:
    """The rows that agree in all keys, groups in order of appearance."""
    # A field that only some specs have is NaN in the others: dropna would lose those runs.
    return table.groupby(keys, sort=False, dropna=False)


def _layer_column(per: str) -> list[str]:
    require_choice("per", per, PER)
    return ["layer"] if per == "layer" else []
