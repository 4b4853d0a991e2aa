"""What every engine's `build(spec)` returns: the function that trains the replicates of a layer for some steps."""

from __future__ import annotations

from typing import Protocol

import numpy as np

Numbers = tuple[np.ndarray, ...]


class Advance(Protocol):
    """Trains R replicates of P parameters by T steps, in place. The arguments have the working dtype unless said otherwise.

    Args:
        vectors: parameters (R, P), as `toy.layer.network.split` divides them; updated.
        states: the filter states of the rule, each (R, P); updated.
        inputs, targets: the exemplars, (R, N, d) and (R, N, M).
        chosen: the exemplars of each step, (R, T, B) whole numbers, or (R, 1, B) where all steps see the same.
        gates: what the loss gradient of each parameter is multiplied by, (R, P).
        strengths: λ of each parameter, (P,).
        learning_rate, beside: η_0, and the weight of λ r(w) beside the update at η_0.
        inside: the weight of λ r(w) inside the gradient, 0 or 1.
        scales: η_t/η_0, (T,).
        coefficients: the rule's coefficients, each (T,).
        forces: (3, R, P), gets loss force, regularizer force and denominator of the last step.
    """

    def __call__(
        self, vectors: np.ndarray, states: Numbers, inputs: np.ndarray, targets: np.ndarray, chosen: np.ndarray,
        gates: np.ndarray, strengths: np.ndarray, learning_rate: float, beside: float, inside: float, scales: np.ndarray,
        coefficients: Numbers, forces: np.ndarray,
    ) -> None:  # fmt: skip
        """Trains the replicates."""
