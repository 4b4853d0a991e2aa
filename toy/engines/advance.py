"""What every engine's `build` returns: the function that advances lanes (settings or features) by steps."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mechanisms.law.abstract_rules import AbstractUpdateRule

Columns = tuple[np.ndarray, ...]


class Advance(Protocol):
    """Advances L lanes by T steps, in place. The arguments have the working dtype unless said otherwise.

    Args:
        parameters: for each parameter of the feature an array (L,); updated.
        states: for each parameter a tuple of filter states (L,); updated.
        normal, visits: noise, (T,) where all lanes share it or (T, L).
        settings: what the slope needs, each a number or (L,).
        strengths: for each parameter λ, a number or (L,).
        learning_rate, beside: η_0, and the weight of λ r(w) beside the update at η_0; numbers or (L,).
        inside: the weight of λ r(w) inside the gradient, 0 or 1.
        clock, scales: the 0-based steps and η_t/η_0, (T,).
        coefficients: the rule's coefficients, each (T,).
        active: (L,), the count of non-zero gradients of the first parameter is added; or None.
        window: (2, L) float64; sums of the product and of its square from step `window_start` of this call on are added.
        window_start: whole number.
        record_at: (T,) whole numbers, the row of `records` to write at each step, or −1.
        records: (3 + parameters, rows, L): loss force, regularizer force, denominator of the scale, each parameter.
    """

    def __call__(
        self, parameters: Columns, states: Any, normal: np.ndarray, visits: np.ndarray, settings: Any, strengths: Any,
        learning_rate: Any, beside: Any, inside: float, clock: np.ndarray, scales: np.ndarray, coefficients: Any,
        active: np.ndarray | None, window: np.ndarray, window_start: int, record_at: np.ndarray, records: np.ndarray,
    ) -> None:  # fmt: skip
        """Advances the lanes."""


def coefficient_columns(rule: AbstractUpdateRule, steps: np.ndarray, dtype: np.dtype) -> Columns:
    """The coefficients of a rule at 0-based steps (T,), each an array (T,) of its own."""
    coefficients = np.broadcast_arrays(steps, *rule.coefficients(steps + 1))[1:]
    return tuple(np.array(one, dtype) for one in coefficients)
