"""The NumPy engine: the loop of `toy.compiled` over whole arrays; slower, needs no compiler, and is that one's oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mechanisms.dynamics import split_step


def build(
    direction: Callable[..., Any],
    slope: Callable[..., Any],
    product: Callable[..., Any],
    penalty_slope: Callable[..., Any],
    dtype: str = "float64",
) -> Callable[..., None]:
    """The loop for one rule, gradient model, regularizer and working dtype.

    The returned function advances L lanes (settings or features) by T steps, in place. Its arguments have the working
    dtype unless said otherwise:

    Args:
        parameters: for each parameter of the feature an array (L,); updated.
        states: for each parameter a tuple of filter states (L,); updated.
        normal, visits: noise, (T,) where all lanes share it or (T, L).
        settings: what `slope` needs, each a number or (L,).
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
    del dtype  # NumPy's arithmetic follows its arrays
    one_step = split_step(direction)

    def advance(parameters, states, normal, visits, settings, strengths, learning_rate, beside, inside, clock, scales,
                coefficients, active, window, window_start, record_at, records):  # fmt: skip
        for t in range(len(clock)):
            slopes = slope(parameters, normal[t], visits[t], clock[t], settings)
            if active is not None:
                active += slopes[0] != 0
            fixed = tuple(column[t] for column in coefficients)
            for j, (w, state) in enumerate(zip(parameters, states, strict=True)):
                penalty = strengths[j] * penalty_slope(w)
                w[:], loss, reg, denominator, following = one_step(
                    w, slopes[j], penalty, state, fixed, inside, learning_rate * scales[t], beside * scales[t]
                )
                for column, value in zip(state, following, strict=True):
                    column[:] = value
                if record_at[t] >= 0 and j == 0:
                    for row, value in zip(records, (loss, reg, denominator), strict=False):
                        row[record_at[t]] = value
            if t >= window_start:
                window += np.stack([product(parameters), product(parameters) ** 2])
            if record_at[t] >= 0:
                for row, w in zip(records[3:], parameters, strict=True):
                    row[record_at[t]] = w

    return advance


def fill_visits(uniform: np.ndarray, cumulative: np.ndarray, counts: np.ndarray) -> None:
    """counts[t, i] = the binomial count at which row i (or 0) of `cumulative` first exceeds uniform[t, i or 0]."""
    for i in range(counts.shape[1]):
        row = cumulative[i % len(cumulative)]
        counts[:, i] = np.searchsorted(row, uniform[:, i % uniform.shape[1]], side="right")
