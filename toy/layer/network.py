"""The layer itself: its parameters in one vector, what it computes, and the gradient of its loss, over replicates at once.

Arrays have the replicates in front and the exemplars of a batch behind: inputs (R, inputs, B), targets (R, outputs, B). Every
gradient is derived by hand; `toy.layer.numba_engine` computes the same in compiled loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toy.layer.spec import NEGATIVE_SLOPES, LayerSpec

Parts = dict[str, np.ndarray]
"""Name → parameters of one part, or their gradient: incoming (R, K, d), scale and shift (R, K), outgoing (R, K, M), gain and
offset of the outputs (R, M)."""


def shapes(spec: LayerSpec) -> dict[str, tuple[int, ...]]:
    """Part → its shape in one replicate, in the order in which the parts stand in a replicate's vector."""
    return {
        "incoming": (spec.features, spec.inputs),
        "scale": (spec.features,),
        "shift": (spec.features,),
        "outgoing": (spec.features, spec.outputs),
        "gain": (spec.outputs,),
        "offset": (spec.outputs,),
    }


def split(spec: LayerSpec, vectors: np.ndarray) -> Parts:
    """Views of the parts of parameter vectors (R, P), or of anything that has one number a parameter."""
    parts, start = {}, 0
    for name, shape in shapes(spec).items():
        stop = start + math.prod(shape)
        parts[name] = vectors[:, start:stop].reshape(len(vectors), *shape)
        start = stop
    return parts


def joined(parts: Parts) -> np.ndarray:
    """The vectors (R, P) of parts."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts.values()], axis=1)


@dataclass(frozen=True)
class Pass:
    """What a layer computes of a batch: features (R, K, B) before and after the activation, outputs (R, M, B).

    Attributes:
        normalized: x̂, what scale and shift act on.
        inverse: 1/standard deviation of each feature over the batch, (R, K, 1); 1 without normalization.
        before, activation: γx̂ + β, and what the activation makes of it.
        normalized_outputs, inverse_outputs: likewise of the outputs.
        outputs: gain and offset applied.
    """

    normalized: np.ndarray
    inverse: np.ndarray
    before: np.ndarray
    activation: np.ndarray
    normalized_outputs: np.ndarray
    inverse_outputs: np.ndarray
    outputs: np.ndarray


def forward(spec: LayerSpec, parts: Parts, inputs: np.ndarray) -> Pass:
    """What the layer makes of inputs (R, d, B), normalized over these B exemplars."""
    normalized, inverse = _normalized(spec, parts["incoming"] @ inputs, spec.feature_normalization)
    before = parts["scale"][..., None] * normalized + parts["shift"][..., None]
    activation = np.where(before > 0, before, before.dtype.type(NEGATIVE_SLOPES[spec.activation]) * before)
    sums = parts["outgoing"].swapaxes(1, 2) @ activation
    normalized_outputs, inverse_outputs = _normalized(spec, sums, spec.output_normalization)
    outputs = parts["gain"][..., None] * normalized_outputs + parts["offset"][..., None]
    return Pass(normalized, inverse, before, activation, normalized_outputs, inverse_outputs, outputs)


def _normalized(spec: LayerSpec, values: np.ndarray, wanted: bool) -> tuple[np.ndarray, np.ndarray]:
    if not wanted:
        return values, np.ones_like(values[..., :1])
    centred = values - values.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(variance + values.dtype.type(spec.batchnorm_epsilon))
    return centred * inverse, inverse


def losses(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Half the mean squared error of each replicate, (R,)."""
    return np.asarray(np.square(outputs - targets).mean((1, 2)) / 2)


def gradient(spec: LayerSpec, parts: Parts, inputs: np.ndarray, targets: np.ndarray) -> Parts:
    """The gradient of each replicate's loss with respect to every part."""
    made = forward(spec, parts, inputs)
    error = (made.outputs - targets) / (spec.outputs * inputs.shape[-1])
    offset, gain = error.sum(-1), (error * made.normalized_outputs).sum(-1)
    sums = _through(error, made.normalized_outputs, made.inverse_outputs, parts["gain"], gain, offset, spec.output_normalization)
    outgoing = made.activation @ sums.swapaxes(1, 2)
    slope = np.where(made.before > 0, 1, NEGATIVE_SLOPES[spec.activation]).astype(error.dtype)
    before = (parts["outgoing"] @ sums) * slope
    shift, scale = before.sum(-1), (before * made.normalized).sum(-1)
    raw = _through(before, made.normalized, made.inverse, parts["scale"], scale, shift, spec.feature_normalization)
    incoming = raw @ inputs.swapaxes(1, 2)
    return {"incoming": incoming, "scale": scale, "shift": shift, "outgoing": outgoing, "gain": gain, "offset": offset}


def _through(
    gradient: np.ndarray, normalized: np.ndarray, inverse: np.ndarray,
    factor: np.ndarray, of_factor: np.ndarray, of_offset: np.ndarray, wanted: bool,
) -> np.ndarray:  # fmt: skip
    """The gradient before `factor · normalized + offset`, from the gradient behind it and those of factor and offset."""
    if wanted:
        size = gradient.dtype.type(gradient.shape[-1])
        gradient = gradient - of_offset[..., None] / size - normalized * (of_factor[..., None] / size)
    return np.asarray(factor[..., None] * inverse * gradient)
