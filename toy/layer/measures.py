"""What is recorded of a layer: each feature's parameters, forces and activations, and the loss, on all exemplars.

Activations and loss are those of the layer normalized over all its exemplars, as a network's are in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.measures.selectivity import activity, selectivity
from toy.layer.network import Parts, forward, gradient, losses
from toy.layer.spec import LayerSpec

if TYPE_CHECKING:
    import pandas as pd

NAME = "hidden"
"""What the column `layer` says."""


@dataclass(frozen=True)
class Moment:
    """A record of one step: column name → (R, K); the learning rate of that step; and the loss of each replicate, (R,)."""

    step: int
    learning_rate: float
    columns: dict[str, np.ndarray]
    loss: np.ndarray


@np.errstate(over="ignore", invalid="ignore")
def measure(
    spec: LayerSpec, step: int, learning_rate: float, parts: Parts, forces: Sequence[np.ndarray],
    inputs: np.ndarray, targets: np.ndarray,
) -> Moment:  # fmt: skip
    """The record of a moment, from the exemplars (R, N, d) and (R, N, M); `forces` are those of the scales, each (R, K)."""
    activities, selectivities, peaks, loss = [], [], [], []
    for one in range(len(inputs)):  # all replicates at once would not fit in the cache
        made = forward(spec, {name: part[one : one + 1] for name, part in parts.items()}, inputs[one : one + 1].swapaxes(1, 2))
        size = np.abs(made.activation[0])
        activities.append(activity(size.T))
        selectivities.append(selectivity(size.T))
        peaks.append(size.max(-1))
        loss.append(losses(made.outputs, targets[one : one + 1].swapaxes(1, 2))[0])
    columns = {
        "scale": parts["scale"].copy(),
        "shift": parts["shift"].copy(),
        "incoming": np.linalg.norm(parts["incoming"], axis=-1),
        "outgoing": np.linalg.norm(parts["outgoing"], axis=-1),
        "activity": np.stack(activities),
        "selectivity": np.stack(selectivities),
        "max_activation": np.stack(peaks),
        **dict(zip(("loss_force", "reg_force", "denominator"), forces, strict=True)),
    }
    return Moment(step, learning_rate, columns, np.array(loss))


def gradient_sizes(spec: LayerSpec, parts: Parts, inputs: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The root mean square over batches `chosen`, (R, n, B), of each feature's incoming loss gradient, times its norm: (R, K).

    In front of a normalization that is the size of the gradient at norm 1, whatever the norm is.
    """
    replicates, squares = np.arange(len(inputs))[:, None], 0.0
    for batch in chosen.swapaxes(0, 1):
        found = gradient(spec, parts, inputs[replicates, batch].swapaxes(1, 2), targets[replicates, batch].swapaxes(1, 2))
        squares = squares + np.square(found["incoming"]).sum(-1)
    return np.asarray(np.sqrt(squares / chosen.shape[1]) * np.linalg.norm(parts["incoming"], axis=-1))


def features_table(spec: LayerSpec, moments: Sequence[Moment]) -> pd.DataFrame:
    """One row for each record, replicate and feature."""
    import pandas as pd

    step, replicate, feature = _places([one.step for one in moments], range(spec.replicates), range(spec.features))
    values = {name: np.concatenate([one.columns[name].ravel() for one in moments]) for name in moments[0].columns}
    return pd.DataFrame({"replicate": replicate, "step": step, "layer": NAME, "feature": feature, **values})


def curve_table(spec: LayerSpec, moments: Sequence[Moment]) -> pd.DataFrame:
    """One row for each record and replicate: the loss, and the learning rate of the last step."""
    import pandas as pd

    step, replicate = _places([one.step for one in moments], range(spec.replicates))
    rate = np.repeat([one.learning_rate for one in moments], spec.replicates)
    loss = np.concatenate([one.loss for one in moments])
    return pd.DataFrame({"replicate": replicate, "step": step, "learning_rate": rate, "train_loss": loss})


def _places(*axes: Sequence[int]) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]
