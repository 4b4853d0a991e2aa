"""One update of any rule under any regularizer, split into the force of the loss and the force of the regularizer.

>>> from mechanisms.law.regularizers import L2
>>> from mechanisms.law.update_rules import Adam
>>> law = {"rule": Adam(), "regularizer": L2(strength=1e-4)}
>>> w, gradient = np.ones(2), np.array([1e-3, 0.0])
>>> after = step(w, gradient, init(w, **law), learning_rate=1e-3, **law)
>>> bool(np.allclose(after.w - w, after.loss_force + after.reg_force))
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mechanisms.law.abstract_rules import AbstractUpdateRule, Coefficients, Direction, State
from mechanisms.law.arrays import Array, filled
from mechanisms.law.regularizers import AbstractRegularizer

SplitStep = Callable[[Array, Array, Array, State, Coefficients, float, Array, Array], tuple[Array, Array, Array, Array, State]]


def split_step(direction: Direction) -> SplitStep:
    """The element-wise step of a rule, from its direction: the one definition that every engine runs.

    The returned function takes (w, loss gradient, λ r(w), filter state, coefficients, weight of λ r(w) inside the gradient, η_t,
    weight of λ r(w) beside the update) and gives (next w, loss force, regularizer force, denominator, next filter state).
    """

    def one_step(
        w: Array,
        gradient: Array,
        penalty: Array,
        state: State,
        coefficients: Coefficients,
        inside: float,
        learning_rate: Array,
        beside: Array,
    ) -> tuple[Array, Array, Array, Array, State]:
        loss, reg, denominator, following = direction(gradient, inside * penalty, state, coefficients)
        loss_force = -(learning_rate * loss)
        reg_force = -(learning_rate * reg + beside * penalty)
        return w + (loss_force + reg_force), loss_force, reg_force, denominator, following

    return one_step


@dataclass(frozen=True)
class DynamicsState:
    """The number of steps taken and the rule's state arrays, each of the shape of `w`, in the order of `rule.slots`."""

    step: int
    filters: State


@dataclass(frozen=True)
class Step:
    """The result of one update; `loss_force + reg_force` is the change of `w`, all have the shape of `w`.

    The split is exact given the denominator; under coupled regularization the denominator itself depends on the regularizer.
    """

    w: Array
    state: DynamicsState
    loss_force: Array
    reg_force: Array
    denominator: Array


def _as_array(w: Array) -> Array:
    if hasattr(w, "new_full"):
        return w
    array = np.asarray(w)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def init(w: Array, *, rule: AbstractUpdateRule, regularizer: AbstractRegularizer) -> DynamicsState:
    """The state before the first step, for `w` of any shape, a NumPy array or a torch tensor.

    The regularizer is part of the call because a regularizer may keep a state; those of this package keep none.
    """
    del regularizer
    like = _as_array(w)
    return DynamicsState(0, tuple(filled(like, value) for value in rule.initial_state()))


def step(
    w: Array,
    g: Array,
    state: DynamicsState,
    *,
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    learning_rate: float,
    schedule_scale: float = 1.0,
) -> Step:
    """One update of `w` with loss gradient `g`, both of any one shape; `learning_rate` is η_0, `schedule_scale` is η_t/η_0."""
    w = _as_array(w)
    inside, beside = regularizer.rates(learning_rate, schedule_scale)
    moved, loss_force, reg_force, denominator, filters = split_step(rule.direction)(
        w,
        g,
        regularizer.gradient(w),
        state.filters,
        tuple(map(float, rule.coefficients(state.step + 1))),
        inside,
        learning_rate * schedule_scale,
        beside,
    )
    if np.ndim(denominator) != np.ndim(w):
        denominator = filled(w, denominator)
    return Step(moved, DynamicsState(state.step + 1, filters), loss_force, reg_force, denominator)
