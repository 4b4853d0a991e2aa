"""Schedules: the learning rate of a step as a multiple of the base rate η_0.

`scale(step, steps)` takes the 0-based index of a step (a number or an array) and the length of the run. η_0 is always the base
rate, never the rate of the first step of a warm-up.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mechanisms.law.arrays import Array
from mechanisms.validation import require, require_above, require_between


class AbstractSchedule(abc.ABC):
    """What every schedule provides; `name` is what a user types."""

    name: ClassVar[str]

    @abc.abstractmethod
    def scale(self, step: Array, steps: int) -> np.ndarray:
        """η_t/η_0 at each 0-based step of a run of `steps` steps; the shape of `step`."""

    def effective_steps(self, steps: int) -> float:
        """Σ_t η_t/η_0: how many steps at the base rate the run is worth."""
        return float(self.scale(np.arange(steps), steps).sum())


@dataclass(frozen=True)
class Constant(AbstractSchedule):
    """The base rate throughout."""

    name: ClassVar[str] = "constant"

    def scale(self, step: Array, steps: int) -> np.ndarray:
        """1."""
        return np.ones(np.shape(step))


@dataclass(frozen=True)
class Stepwise(AbstractSchedule):
    """Times `factor` at each milestone, a fraction of the run.

    >>> Stepwise(milestones=(0.5,), factor=0.1).scale([4, 5], 10).tolist()
    [1.0, 0.1]
    """

    name: ClassVar[str] = "stepwise"
    milestones: tuple[float, ...] = (0.6, 0.85)
    factor: float = 0.1

    def __post_init__(self) -> None:
        inside = all(0 < m < 1 for m in self.milestones) and list(self.milestones) == sorted(self.milestones)
        require(inside, "milestones", self.milestones, "rising fractions of the run between 0 and 1")
        require_above("factor", self.factor, 0)

    def scale(self, step: Array, steps: int) -> np.ndarray:
        """Factor ** (number of milestones passed)."""
        boundaries = np.array([round(m * steps) for m in self.milestones])
        return np.asarray(self.factor ** np.searchsorted(boundaries, np.asarray(step), side="right"), float)


@dataclass(frozen=True)
class Cosine(AbstractSchedule):
    """Half a cosine from 1 at the first step to `final` at the end of the run.

    Source: Loshchilov and Hutter, ICLR 2017 (SGDR), without restarts.
    """

    name: ClassVar[str] = "cosine"
    final: float = 0.0

    def __post_init__(self) -> None:
        require_between("final", self.final, 0, 1)

    def scale(self, step: Array, steps: int) -> np.ndarray:
        """Final + (1 − final)·(1 + cos(π t/T))/2."""
        return np.asarray(self.final + (1 - self.final) * (1 + np.cos(np.pi * np.asarray(step) / steps)) / 2)


@dataclass(frozen=True)
class WarmUp(AbstractSchedule):
    """A linear rise to the base rate over the first `fraction` of the run, then the schedule `after`.

    The first step already moves: with W warm-up steps, step t has (t + 1)/W.
    """

    name: ClassVar[str] = "warm_up"
    fraction: float = 0.05
    after: AbstractSchedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        require_between("fraction", self.fraction, 0, 1)
        require(not isinstance(self.after, WarmUp), "after", self.after, "a schedule other than a second warm-up")

    def scale(self, step: Array, steps: int) -> np.ndarray:
        """min(1, (t + 1)/W) · after."""
        rise = np.minimum(1, (np.asarray(step) + 1) / max(1, int(self.fraction * steps)))
        return np.asarray(rise * self.after.scale(step, steps))
