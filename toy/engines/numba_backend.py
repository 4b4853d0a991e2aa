"""The compiled engine: the law's own element-wise functions, compiled by numba into one loop over settings or features.

Its function does what `toy.engines.numpy_backend`'s does, many times faster (`benchmarks/toy_speed.py`).
Everything that enters an element's arithmetic has the working dtype, because a single float64 number would promote float32 code.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from mechanisms.law import abstract_rules, arrays
from mechanisms.law.dynamics import split_step
from toy.engines import uninterrupted
from toy.engines.advance import Advance
from toy.engines.kernel_cache import kept_njit
from toy.features import gradients

uninterrupted.compilation()

jitable = functools.cache(register_jitable)
for _function in (abstract_rules.average, gradients.selective_slope):
    jitable(_function)


@overload(arrays.sqrt)
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(arrays.exp)
def _exp(x):
    return lambda x: math.exp(x)


@overload(arrays.maximum)
def _maximum(x, y):
    return lambda x, y: x if x > y else y


@overload(arrays.sign)
def _sign(x):
    return lambda x: np.sign(x)


@overload(arrays.where)
def _where(condition, x, y):
    return lambda condition, x, y: x if condition else y


def at(values: Any, i: int) -> Any:
    """Element i of an array over lanes, or the number that all lanes share."""
    raise NotImplementedError("compiled code only")


def load(columns: Any, i: int) -> Any:
    """Element i of each array of a tuple, as a tuple."""
    raise NotImplementedError("compiled code only")


def store(columns: Any, i: int, values: Any) -> None:
    """Sets element i of each array of a tuple."""
    raise NotImplementedError("compiled code only")


def keep(rows: Any, i: int, values: Any) -> None:
    """Column i of `rows` = all values of a tuple but the first."""
    raise NotImplementedError("compiled code only")


@overload(at)
def _at(values, i):
    if isinstance(values, types.Array):
        return lambda values, i: values[i]
    return lambda values, i: values


@overload(load)
def _load(columns, i):
    if len(columns) == 1:
        return lambda columns, i: (at(columns[0], i),)
    return lambda columns, i: (at(columns[0], i),) + load(columns[1:], i)  # noqa: RUF005 (numba)


@overload(store)
def _store(columns, i, values):
    if len(columns) == 1:

        def last(columns, i, values):
            columns[0][i] = values[0]

        return last

    def rest(columns, i, values):
        columns[0][i] = values[0]
        store(columns[1:], i, values[1:])

    return rest


@overload(keep)
def _keep(rows, i, values):
    last = len(values) - 2
    if last < 0:
        return lambda rows, i, values: None

    def keep_last(rows, i, values):
        rows[last, i] = values[last + 1]
        keep(rows, i, values[:-1])

    return keep_last


FAST_SINGLE = frozenset({"arcp", "ninf", "contract"})
"""For float32 alone: division by a refined reciprocal estimate and fused multiply-add; not rounded bit for bit as NumPy does."""


def _mover_of_the_rest(one_step: Any, penalty_slope: Any) -> Any:
    """Compiled code that moves all parameters but the first by one step."""

    @register_jitable
    def move_rest(parameters, slopes, states, strengths, fixed, inside, learning_rate, beside, scale):
        for j in range(len(parameters) - 1):
            w, state, strength = parameters[j + 1], states[j + 1], strengths[j + 1]
            for i in range(w.shape[0]):
                penalty, rate, apart = at(strength, i) * penalty_slope(w[i]), at(learning_rate, i) * scale, at(beside, i) * scale
                w[i], _, _, _, following = one_step(w[i], slopes[j, i], penalty, load(state, i), fixed, inside, rate, apart)
                store(state, i, following)

    return move_rest


def _mover(one_step: Any, slope: Any, penalty_slope: Any) -> Any:
    """Compiled code that moves all parameters by one step."""
    move_rest = _mover_of_the_rest(one_step, penalty_slope)

    @register_jitable
    def move_all(parameters, states, normal, visits, now, settings, strengths, fixed, inside, learning_rate, beside, scale,
                 slopes, active, forces):  # fmt: skip
        w, state, strength = parameters[0], states[0], strengths[0]
        for i in range(w.shape[0]):
            g = slope(load(parameters, i), at(normal, i), at(visits, i), now, load(settings, i))
            keep(slopes, i, g)
            if active is not None:
                active[i] += g[0] != 0
            penalty, rate, apart = at(strength, i) * penalty_slope(w[i]), at(learning_rate, i) * scale, at(beside, i) * scale
            w[i], loss, reg, denominator, following = one_step(w[i], g[0], penalty, load(state, i), fixed, inside, rate, apart)
            store(state, i, following)
            if forces is not None:
                forces[0, i], forces[1, i], forces[2, i] = loss, reg, denominator
        move_rest(parameters, slopes, states, strengths, fixed, inside, learning_rate, beside, scale)

    return move_all


@functools.cache
def build(
    direction: Callable[..., Any],
    slope: Callable[..., Any],
    product: Callable[..., Any],
    penalty_slope: Callable[..., Any],
    dtype: str = "float64",
) -> Advance:
    """The compiled loop for one rule, gradient model, regularizer and working dtype."""
    parts = direction, slope, product, penalty_slope
    one_step = register_jitable(split_step(jitable(direction)))
    move_all, product = _mover(one_step, jitable(slope), jitable(penalty_slope)), jitable(product)
    fastmath = set(FAST_SINGLE) if dtype == "float32" else False

    @kept_njit(*parts, error_model="numpy", nogil=True, fastmath=fastmath)
    def advance(parameters, states, normal, visits, settings, strengths, learning_rate, beside, inside, clock, scales,
                coefficients, active, window, window_start, record_at, records):  # fmt: skip
        lanes = parameters[0].shape[0]
        slopes = np.empty((len(parameters) - 1, lanes), parameters[0].dtype)
        for t in range(clock.shape[0]):
            fixed, row = load(coefficients, t), record_at[t]
            if row < 0:
                move_all(parameters, states, normal[t], visits[t], clock[t], settings, strengths, fixed, inside, learning_rate,
                         beside, scales[t], slopes, active, None)  # fmt: skip
            else:
                move_all(parameters, states, normal[t], visits[t], clock[t], settings, strengths, fixed, inside, learning_rate,
                         beside, scales[t], slopes, active, records[:3, row])  # fmt: skip
                for j in range(len(parameters)):
                    records[3 + j, row] = parameters[j]
            if t >= window_start:
                for i in range(lanes):
                    value = np.float64(product(load(parameters, i)))
                    window[0, i] += value
                    window[1, i] += value * value

    return advance


@kept_njit(error_model="numpy", nogil=True)
def fill_visits(uniform, cumulative, counts):
    """As `toy.engines.numpy_backend.fill_visits`."""
    for t in range(counts.shape[0]):
        for i in range(counts.shape[1]):
            u = uniform[t, i % uniform.shape[1]]
            row = cumulative[i % cumulative.shape[0]]
            low, high = 0, row.shape[0]
            while low < high:
                middle = (low + high) // 2
                if row[middle] <= u:
                    low = middle + 1
                else:
                    high = middle
            counts[t, i] = low
