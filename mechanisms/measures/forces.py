"""Who moves a scale, the loss or the regularizer, and what moves only in sums: measured from a `features` table of either layer.

The forces of a row are those of the last step before its measurement, so the scale they acted on is `scale` less both forces.
Before the first step they are NaN, and so is all that is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.measures.sparsity import grouped, moment_columns, run_columns
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

FORCES = ("loss_force", "reg_force")


def effective_decay(table: pd.DataFrame) -> pd.Series:
    """−reg_force over the scale it acted on, in 1/step, one value a row: by which share the regularizer shrank it in that step.

    Under L2, η_t·λ for decoupled and λ·η_t/η_0 for independent decay, whatever the rule; about η_t·λ/D for coupled decay. NaN
    where the scale was 0 and stayed there.
    """
    _require_columns(table, ("scale", *FORCES))
    before = table["scale"] - table["loss_force"] - table["reg_force"]
    return (-table["reg_force"] / before).rename("effective_decay")


def force_ratio(table: pd.DataFrame) -> pd.Series:
    """|reg_force|/|loss_force|, one value a row; infinite where the loss is silent, NaN where both are."""
    _require_columns(table, FORCES)
    return (table["reg_force"].abs() / table["loss_force"].abs()).rename("force_ratio")


def dominance(table: pd.DataFrame, per: str = "run") -> pd.DataFrame:
    """The share of features on which the regularizer acts more strongly than the loss, at each step, in column `dominance`.

    One row for each run and recorded step, or with `per="layer"` for each of its layers. A feature that neither moves counts as
    not dominated; NaN before the first step.
    """
    _require_columns(table, FORCES)
    larger = table["reg_force"].abs() > table["loss_force"].abs()
    known = table[list(FORCES)].notna().all(axis=1)
    keys = moment_columns(table, per)
    return grouped(table.assign(dominance=larger.astype(float).where(known)), keys)["dominance"].mean().reset_index()


def balance(table: pd.DataFrame) -> pd.DataFrame:
    """Squared size of both factors of each feature: what makes it, γ² + β², what reads it, outgoing², and their difference.

    One row a feature and step: the columns that name it, then `affine_square`, `outgoing_square` and `imbalance`, the first
    less the second. A feature without a shift has β = 0. THEORY P9c: the loss conserves the imbalance under gradient flow,
    equal L2 on both factors shrinks it at twice the decay rate (`layer_predictions.balance_gap`).
    """
    _require_columns(table, ("scale", "outgoing"))
    affine, outgoing = _affine_square(table), table["outgoing"] ** 2
    named = table[[*run_columns(table), "step", "layer", "feature"]]
    return named.assign(affine_square=affine, outgoing_square=outgoing, imbalance=affine - outgoing)


def layer_sum(table: pd.DataFrame) -> pd.DataFrame:
    """Σ over the features of a layer of γ² + β², at each step of each run, in column `layer_sum`; NaN if one of them is.

    THEORY P10: what it should be is `layer_predictions.layer_sum`.
    """
    _require_columns(table, ("scale",))
    keys = moment_columns(table, "layer")
    found = grouped(table.assign(square=_affine_square(table)), keys)["square"].agg(["sum", "count", "size"])
    return found["sum"].where(found["count"] == found["size"]).rename("layer_sum").reset_index()


def _affine_square(table: pd.DataFrame) -> pd.Series:
    square = table["scale"] ** 2
    return square + table["shift"].fillna(0) ** 2 if "shift" in table else square


def _require_columns(table: pd.DataFrame, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise UserError(f"this features table does not have the columns {', '.join(missing)}: use one with {', '.join(names)}")
