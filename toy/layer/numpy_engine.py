"""The NumPy engine of the layer: all replicates at once; slow, needs no compiler, and is the oracle of the compiled one."""

from __future__ import annotations

import numpy as np

from mechanisms.law.dynamics import split_step
from toy.layer.advance import Advance, Numbers
from toy.layer.network import gradient, joined, split
from toy.layer.spec import LayerSpec


def build(spec: LayerSpec) -> Advance:
    """The loop for the layer, rule and regularizer of a spec."""
    one_step = split_step(spec.rule.direction)

    @np.errstate(over="ignore", invalid="ignore")  # what diverges is told by the summary
    def advance(
        vectors: np.ndarray, states: Numbers, inputs: np.ndarray, targets: np.ndarray, chosen: np.ndarray,
        gates: np.ndarray, strengths: np.ndarray, learning_rate: float, beside: float, inside: float, scales: np.ndarray,
        coefficients: Numbers, forces: np.ndarray,
    ) -> None:  # fmt: skip
        replicates = np.arange(len(vectors))[:, None]
        for t, scale in enumerate(scales):
            places = replicates, chosen[:, t % chosen.shape[1]]
            batch = inputs[places].swapaxes(1, 2), targets[places].swapaxes(1, 2)
            slopes = gates * joined(gradient(spec, split(spec, vectors), *batch))
            penalty = strengths * spec.regularizer.slope(vectors)
            fixed = tuple(column[t] for column in coefficients)
            vectors[:], *parts, following = one_step(
                vectors, slopes, penalty, states, fixed, inside, learning_rate * scale, beside * scale
            )
            for column, value in zip(states, following, strict=True):
                column[:] = value
        for row, value in zip(forces, parts, strict=True):
            row[:] = value

    return advance
