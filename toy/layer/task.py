"""What a seed decides: the teacher's exemplars, where the layer starts, and which exemplars each step sees.

Every array has a random stream of its own, drawn in float64 with the replicates in front: a setting that shares the shape of an
array shares its draws, and more replicates add to those that were there.
"""

from __future__ import annotations

import numpy as np

from mechanisms.records.rng import stream
from toy.layer.network import joined, shapes
from toy.layer.spec import NEGATIVE_SLOPES, LayerSpec


def normal(spec: LayerSpec, seed: int, purpose: str, *shape: int) -> np.ndarray:
    """Standard normal numbers of each replicate, (R, *shape)."""
    return stream(seed, f"layer {purpose}").standard_normal((spec.replicates, *shape))


def exemplars(spec: LayerSpec, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (R, N, d) and targets (R, N, M) of each replicate's own teacher."""
    units = spec.teacher_features
    directions = normal(spec, seed, "teacher incoming", units, spec.inputs)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    shifts = spec.teacher_spread * normal(spec, seed, "teacher shift", 1, units)
    outgoing = normal(spec, seed, "teacher outgoing", units, spec.outputs) / np.sqrt(units)
    inputs = normal(spec, seed, "inputs", spec.exemplars, spec.inputs)
    before = inputs @ directions.swapaxes(1, 2) + shifts
    targets = np.where(before > 0, before, NEGATIVE_SLOPES[spec.activation] * before) @ outgoing
    targets -= targets.mean(1, keepdims=True)
    deviation = targets.std(1, keepdims=True)
    targets /= np.where(deviation > 0, deviation, 1)
    targets += spec.label_noise * normal(spec, seed, "label noise", spec.exemplars, spec.outputs)
    return inputs.astype(spec.dtype), targets.astype(spec.dtype)


def start(spec: LayerSpec, seed: int) -> np.ndarray:
    """The parameter vectors (R, P) before the first step."""
    parts = {name: np.full((spec.replicates, *shape), float(name in ("scale", "gain"))) for name, shape in shapes(spec).items()}
    parts["incoming"] = normal(spec, seed, "start incoming", spec.features, spec.inputs) / np.sqrt(spec.inputs)
    parts["outgoing"] = normal(spec, seed, "start outgoing", spec.features, spec.outputs) / np.sqrt(spec.features)
    return joined(parts).astype(spec.dtype)


class Batches:
    """Draws the exemplars of the steps to come, each replicate from a stream of its own."""

    def __init__(self, spec: LayerSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._streams = [stream(seed, f"layer batches {replicate}") for replicate in range(spec.replicates)]

    def draw(self, steps: int) -> np.ndarray:
        """Places among the exemplars, (R, steps, B); (R, 1, N) where every step sees them all."""
        spec = self._spec
        if spec.batch_size == spec.exemplars:
            return np.tile(np.arange(spec.exemplars), (spec.replicates, 1, 1))
        size = steps, spec.batch_size
        return np.stack([one.integers(0, spec.exemplars, size) for one in self._streams])

    def probe(self, step: int, batches: int) -> np.ndarray:
        """Places of batches that no step sees, (R, batches, B), drawn for a moment; (R, 1, N) where every step sees them all."""
        spec = self._spec
        if spec.batch_size == spec.exemplars:
            return self.draw(1)
        size = spec.replicates, batches, spec.batch_size
        return stream(self._seed, f"layer probe {step}").integers(0, spec.exemplars, size)
