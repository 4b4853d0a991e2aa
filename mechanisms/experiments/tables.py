"""The column vocabulary of every table on disk: name, dtype, unit, meaning; both layers use the same names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

SPEC_PREFIX = "spec."
"""Columns under this prefix hold fields of the spec, by their dotted name."""


@dataclass(frozen=True)
class Column:
    """One column: NumPy kind ("i" whole number, "f" number, "b" yes/no, "U" text), unit, meaning."""

    kind: str
    unit: str
    meaning: str


COLUMNS: dict[str, Column] = {
    "step": Column("i", "steps", "updates done so far; forces are those of the last of them"),
    "layer": Column("U", "", '"toy", or the name of the layer'),
    "feature": Column("i", "", "index of the feature in its layer: one scalar, or one channel"),
    "scale": Column("f", "", "the scalar w in the toy layer, the BatchNorm scale at full scale"),
    "shift": Column("f", "", "the BatchNorm shift, or its toy counterpart"),
    "outgoing": Column("f", "", "the outgoing weight of a feature, its L2 norm at full scale"),
    "rival_scale": Column("f", "", "the scale of the other feature of a competing pair"),
    "rival_outgoing": Column("f", "", "the outgoing weight of the other feature of a competing pair"),
    "incoming": Column("f", "", "L2 norm of the weights that make the feature"),
    "product": Column("f", "", "scale times outgoing weight; the scale itself where a feature has no other parameter"),
    "product_mean": Column("f", "", "mean of `product` over the averaging window at the end of the run"),
    "product_rms": Column("f", "", "root mean square of `product` over the averaging window"),
    "activity": Column("f", "fraction", "steps (toy) or exemplars (full scale) with non-zero loss gradient"),
    "loss_force": Column("f", "1/step", "change of the scale by the loss in one step, signed"),
    "reg_force": Column("f", "1/step", "change of the scale by the regularizer in one step, signed"),
    "denominator": Column("f", "", "what the rule divides the gradient of the scale by"),
    "max_activation": Column("f", "", "largest |activation| over images and positions, evaluation mode"),
    "mean_activation": Column("f", "", "mean over images of the largest |activation| of each image"),
    "selectivity": Column("f", "fraction", "images whose largest |activation| is at most 1e-3 of the feature's own maximum"),
    "selectivity_1e-2": Column("f", "fraction", "the same with 1e-2 of the maximum"),
    "selectivity_1e-1": Column("f", "fraction", "the same with 1e-1 of the maximum"),
    "batch_activity": Column("f", "fraction", "batches of consecutive training images in which a feature is active at all"),
    "zero_share": Column("f", "fraction", "activations that are exactly 0, over images and positions (APoZ)"),
    "learning_rate": Column("f", "", "learning rate of the last step"),
    "train_loss": Column("f", "nats", "mean cross-entropy on the training set, without penalty, evaluation mode"),
    "test_error": Column("f", "fraction", "share of test images classified wrongly"),
    "zeroed_test_error": Column("f", "fraction", "test error with the features that are silent on the training set set to 0"),
    "train_error": Column("f", "fraction", "share of training images classified wrongly"),
    "effective_decay": Column("f", "1/step", "-reg_force over the scale that it acted on"),
    "force_ratio": Column("f", "", "|reg_force| over |loss_force|"),
    "dominance": Column("f", "fraction", "features on which the regularizer acts more strongly than the loss"),
    "affine_square": Column("f", "", "scale squared plus shift squared"),
    "outgoing_square": Column("f", "", "outgoing weight squared"),
    "imbalance": Column("f", "", "affine_square less outgoing_square"),
    "layer_sum": Column("f", "", "sum of affine_square over the features of a layer"),
    "sparsity": Column("f", "fraction", "features that are inactive, by activation or by scale"),
    "treated": Column("b", "", "whether an intervention has treated the feature so far"),
    "inactive": Column("b", "", "whether a feature is inactive at the last recorded step"),
    "ever_inactive": Column("b", "", "whether a feature was inactive at one recorded step at least"),
    "revived": Column("b", "", "whether a feature that was ever inactive is active at the last recorded step"),
    "revivals": Column("i", "", "how often a feature was active right after a recorded step at which it was inactive"),
    "first_inactive": Column("f", "steps", "first recorded step at which a feature was inactive; NaN if never"),
}


def check(table: pd.DataFrame, name: str) -> None:
    """Raises `UserError` unless every column is in the vocabulary, or a spec column, and has its kind."""
    for column in table.columns:
        if column.startswith(SPEC_PREFIX) or column == "seed":
            continue
        if column not in COLUMNS:
            raise UserError(f"table {name}: column {column!r} is not in the vocabulary (mechanisms/experiments/tables.py)")
        kind = to_array(table[column]).dtype.kind
        if kind != COLUMNS[column].kind and not (kind == "u" and COLUMNS[column].kind == "i"):
            raise UserError(f"table {name}: column {column!r} has kind {kind!r}, expected {COLUMNS[column].kind!r}")


def to_array(column: pd.Series) -> np.ndarray:
    """The column as a NumPy array that can be saved without pickle: text becomes fixed-width text, never objects."""
    array = column.to_numpy()
    return array.astype(str) if array.dtype.kind in "OT" else array


def distinguishing(columns: list[str], table: pd.DataFrame) -> list[str]:
    """The columns that tell settings apart, without those that repeat what earlier ones say."""
    chosen: list[str] = []
    found = 1
    for column in columns:
        now = table.groupby([*chosen, column], dropna=False).ngroups
        if now > found:
            chosen, found = [*chosen, column], now
    return chosen
