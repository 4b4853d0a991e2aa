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
SAVED_KINDS = "biufU"
"""NumPy kinds of what a table holds: yes/no, whole numbers, numbers, text."""


@dataclass(frozen=True)
class Column:
    """One column: NumPy kind ("i" whole number, "f" number, "b" yes/no, "U" text), unit, meaning."""

    kind: str
    unit: str
    meaning: str


COLUMNS: dict[str, Column] = {
    "step": Column("i", "steps", "updates done so far; forces are those of the last of them"),
    "layer": Column("U", "", '"toy", or the name of the layer'),
    "replicate": Column("i", "", "which of the independent trainings of one spec and seed"),
    "feature": Column("i", "", "index of the feature in its layer: one scalar, or one channel"),
    "scale": Column("f", "", "the scalar w in the toy layer, the BatchNorm scale at full scale"),
    "shift": Column("f", "", "the BatchNorm shift, or its toy counterpart"),
    "outgoing": Column("f", "", "the outgoing weight of a feature, its L2 norm at full scale"),
    "rival_scale": Column("f", "", "the scale of the other feature of a competing pair"),
    "rival_outgoing": Column("f", "", "the outgoing weight of the other feature of a competing pair"),
    "incoming": Column("f", "", "L2 norm of the weights that make the feature"),
    "incoming_gradient": Column(
        "f", "", "root mean square over batches of the loss gradient of the weights that make the feature, times their norm"
    ),
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
    "train_loss": Column(
        "f", "nats", "mean cross-entropy (toy: half the mean squared error) on the training set, without penalty, evaluation mode"
    ),
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
    "gone": Column("f", "steps", "updates done when a dead feature was cut out of the network; NaN while it is there"),
    "treated": Column("b", "", "whether an intervention has treated the feature so far"),
    "inactive": Column("b", "", "whether a feature is inactive at the last recorded step"),
    "ever_inactive": Column("b", "", "whether a feature was inactive at one recorded step at least"),
    "revived": Column("b", "", "whether a feature that was ever inactive is active at the last recorded step"),
    "revivals": Column("i", "", "how often a feature was active right after a recorded step at which it was inactive"),
    "incoming_l1": Column("f", "", "sum of the absolute weights that make the feature"),
    "distance_sum": Column("f", "", "sum of the distances from these weights to those of the other features of the layer"),
    "taylor": Column("f", "nats", "mean over images of |sum over positions of activation times its gradient|, evaluation mode"),
    "affine_taylor": Column(
        "f", "nats", "mean over exemplars of t = scale times its gradient + shift times its gradient, training mode"
    ),
    "affine_taylor_square": Column("f", "nats²", "mean over exemplars of t², training mode"),
    "affine_gradient": Column(
        "f", "", "root mean square over exemplars of the length of the gradient of (scale, shift), training mode"
    ),
    "effective_strength": Column(
        "f", "", "pull of the regularizer on the scale, per unit of scale, in units of the raw gradient"
    ),
    "redundancy": Column(
        "f", "", "1 - correlation at which the cluster of the feature's responses joins one with a stronger member"
    ),
    "cost": Column("f", "", "multiply-accumulates of one image that make and read the feature"),
    "dies": Column("b", "", "whether the feature is inactive by activation at the end of the training"),
    "network": Column("U", "", "which of the trainings of a spec was pruned"),
    "protocol": Column("U", "", "how a network was pruned: see full_scale/pruning/protocols.py"),
    "criterion": Column("U", "", "name of the criterion that chose what goes"),
    "ranking": Column("U", "", "over what features were ranked: global, layer, cost"),
    "ratio": Column("f", "fraction", "share of the features that was to go; NaN where none was given"),
    "removed": Column("f", "fraction", "share of the features of the trained network that went"),
    "features": Column("i", "", "features of a layer before pruning"),
    "kept": Column("i", "", "features of a layer after pruning"),
    "parameters": Column("i", "", "parameters of a network"),
    "macs": Column("i", "", "multiply-accumulates of a network for one image"),
    "milliseconds": Column("f", "ms", "median time of a call, in turn with the network before pruning"),
    "parameters_before": Column("i", "", "parameters before pruning"),
    "macs_before": Column("i", "", "multiply-accumulates before pruning, for one image"),
    "milliseconds_before": Column("f", "ms", "median time of a call before pruning"),
    "pruned_test_error": Column("f", "fraction", "test error right after pruning"),
    "tuning_steps": Column("i", "steps", "updates after pruning, or from fresh weights"),
    "choosing_error": Column("f", "fraction", "share of those test images classified wrongly that choose what is removed"),
    "judged_error": Column("f", "fraction", "share of the other test images classified wrongly"),
    "first_inactive": Column("f", "steps", "first recorded step at which a feature was inactive; NaN if never"),
}


def check(table: pd.DataFrame, name: str) -> None:
    """Raises `UserError` unless every column is in the vocabulary, or a spec column, and has its kind."""
    for column in table.columns:
        if not (_is_of_spec(column) or column in COLUMNS):
            raise UserError(f"table {name}: column {column!r} is not in the vocabulary (mechanisms/records/columns.py)")
        kind = to_array(table[column]).dtype.kind
        if not is_of_its_kind(column, kind):
            expected = COLUMNS[column].kind if column in COLUMNS else SAVED_KINDS
            raise UserError(f"table {name}: column {column!r} has kind {kind!r}, expected {expected!r}")


def is_of_its_kind(column: str, kind: str) -> bool:
    """Whether a column may hold values of this NumPy kind; one that is not in the vocabulary any that is saved without pickle."""
    if _is_of_spec(column) or column not in COLUMNS:
        return kind in SAVED_KINDS
    return kind == COLUMNS[column].kind or (kind == "u" and COLUMNS[column].kind == "i")


def _is_of_spec(column: str) -> bool:
    return column.startswith(SPEC_PREFIX) or column == "seed"


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
