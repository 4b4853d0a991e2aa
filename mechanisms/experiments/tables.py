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
    "learning_rate": Column("f", "", "learning rate of the last step"),
    "train_loss": Column("f", "nats", "mean cross-entropy on the training set, without penalty, evaluation mode"),
    "test_error": Column("f", "fraction", "share of test images classified wrongly"),
    "train_error": Column("f", "fraction", "share of training images classified wrongly"),
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
