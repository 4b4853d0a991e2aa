"""What every update rule provides, and what the Adam family shares; the rules themselves are in `mechanisms.law.update_rules`."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechanisms.law.arrays import Array
from mechanisms.validation import require_at_least, require_between

State = tuple[Array, ...]
Coefficients = tuple[Array, ...]
Parts = tuple[Array, Array, Array, State]
"""Loss part and penalty part of the step direction, denominator, next state."""
Direction = Callable[[Array, Array, State, Coefficients], Parts]


SECOND_MOMENTS = ("mean_square", "largest_mean_square", "mean_square_surprise", "sum_of_squares")
"""The slots that hold squares of gradients."""


def average(old: Array, new: Array, keep: Array, take: Array) -> Array:
    """keep·old + take·new: one step of an exponential moving average."""
    return keep * old + take * new


class AbstractUpdateRule(abc.ABC):
    """What every rule provides; `name` is what a user types, `slots` names the state arrays of `direction`."""

    name: ClassVar[str]
    label: ClassVar[str] = ""
    """What a figure calls the rule; its name where this is empty."""
    slots: ClassVar[tuple[str, ...]]
    normalizing: ClassVar[bool] = True
    """Whether the denominator follows the size of the gradient (all rules but SGD)."""

    @abc.abstractmethod
    def coefficients(self, step: Array) -> Coefficients:
        """What `direction` needs at a step counted from 1: numbers, or for an array of steps arrays or numbers."""

    @staticmethod
    @abc.abstractmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """The loss part and the penalty part of the step direction, the denominator, and the next state."""

    def second_moments(self) -> tuple[int, ...]:
        """The places among `slots` of those that hold squares of gradients."""
        return tuple(place for place, slot in enumerate(self.slots) if slot in SECOND_MOMENTS)

    def initial_state(self) -> tuple[float, ...]:
        """The value that each state array starts from."""
        return (0.0,) * len(self.slots)


def _bias_corrections(beta1: float, beta2: float, step: Array) -> tuple[Array, Array]:
    """1/(1 − β1^t) and 1/√(1 − β2^t)."""
    return 1 / (1 - np.power(beta1, step)), 1 / np.sqrt(1 - np.power(beta2, step))


@dataclass(frozen=True)
class AbstractAdaptive(AbstractUpdateRule):
    """The hyperparameters that the Adam family shares; not a rule."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_between("beta1", self.beta1, 0, 1)
        require_between("beta2", self.beta2, 0, 1)
        require_at_least("epsilon", self.epsilon, 0)

    def coefficients(self, step: Array) -> Coefficients:
        """β1, 1 − β1, β2, 1 − β2, the two bias corrections, ε."""
        first, second = _bias_corrections(self.beta1, self.beta2, step)
        return self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2, first, second, self.epsilon
