"""The torch engine: the loop of `toy.engines.numpy_backend` around the step of a torch optimizer (`mechanisms.law.torch_rules`).

The function keeps the optimizer between its calls and so serves one set of lanes, which share one `learning_rate`; `states`
and `coefficients` are not used.

A coupled regularizer is added to the gradient that torch sees; any other is subtracted beside the step, before torch's,
both from the same w. torch makes its step whole, so the records hold what can be seen from outside:
the denominator is NaN; under decoupled and independent coupling the forces are exact; under coupling both are NaN, except
where λ = 0 and the whole change is the loss force.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mechanisms.law.torch_rules import TorchRule, TorchStepper, require_drivable
from toy.engines.advance import Advance, Columns


def build(
    rule: TorchRule,
    slope: Callable[..., Any],
    product: Callable[..., Any],
    penalty_slope: Callable[..., Any],
    dtype: str = "float64",
) -> Advance:
    """The loop for one torch optimizer, gradient model and regularizer; raises `UserError` if the optimizer cannot be driven."""
    del dtype  # that of the parameters
    require_drivable(rule)
    kept: list[TorchStepper] = []

    def advance(
        parameters: Columns, states: Any, normal: np.ndarray, visits: np.ndarray, settings: Any, strengths: Any,
        learning_rate: Any, beside: Any, inside: float, clock: np.ndarray, scales: np.ndarray, coefficients: Any,
        active: np.ndarray | None, window: np.ndarray, window_start: int, record_at: np.ndarray, records: np.ndarray,
    ) -> None:  # fmt: skip
        w = np.stack(parameters)
        if not kept:
            kept.append(TorchStepper(rule, w.ravel(), float(learning_rate)))
        strength = np.stack([np.broadcast_to(s, w[0].shape) for s in strengths])
        for t in range(len(clock)):
            slopes = slope(tuple(w), normal[t], visits[t], clock[t], settings)
            if active is not None:
                active += slopes[0] != 0
            penalty = strength * penalty_slope(w)
            gradient = np.stack([np.broadcast_to(g, w[0].shape) for g in slopes]) + inside * penalty
            reg_force = -(beside * scales[t]) * penalty
            shifted = w + reg_force
            w = kept[0].step(shifted.ravel(), gradient.ravel(), float(learning_rate * scales[t])).reshape(w.shape)
            if t >= window_start:
                window += np.stack([product(tuple(w)), product(tuple(w)) ** 2])
            if record_at[t] >= 0:
                unknown = np.where((inside * strength[0]) > 0, np.nan, 0)
                forces = w[0] - shifted[0] + unknown, reg_force[0] + unknown, np.full_like(w[0], np.nan)
                records[:, record_at[t]] = *forces, *w
        for array, values in zip(parameters, w, strict=True):
            array[:] = values

    return advance
