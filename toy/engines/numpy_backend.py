"""The NumPy engine: the loop of `toy.engines.numba_backend` over whole arrays; slow, needs no compiler, and is its oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mechanisms.law.dynamics import split_step
from toy.engines.advance import Advance


def build(
    direction: Callable[..., Any],
    slope: Callable[..., Any],
    product: Callable[..., Any],
    penalty_slope: Callable[..., Any],
    dtype: str = "float64",
) -> Advance:
    """The loop for one rule, gradient model, regularizer and working dtype."""
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
