"""Regularizers: the gradient of a penalty, its strength, and the place where it enters the update.

With direction u, rate η_t and base rate η_0 (`coupling`):

* `coupled`: λ r(w) is added to the loss gradient before the rule sees it ("L2" in most papers);
* `decoupled`: η_t λ r(w) is subtracted beside the rule's update (AdamW in torch and optax);
* `independent`: (η_t/η_0) λ r(w) is subtracted, so that λ is the decay per step (weight decay in Loshchilov and
  Hutter, ICLR 2019, and in Mehta, Kim and Theobalt, CVPR 2019). independent(λ) = decoupled(λ/η_0).

To add a regularizer: one class here.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from mechanisms.law.arrays import Array, sign
from mechanisms.validation import require_at_least, require_choice

COUPLINGS = ("coupled", "decoupled", "independent")


def entrance(coupling: str, learning_rate: Array, schedule_scale: Array) -> tuple[float, Array]:
    """The weights with which the gradient of a penalty enters a step: inside the rule's gradient, and beside its update."""
    beside = {
        "coupled": 0.0 * schedule_scale,
        "decoupled": learning_rate * schedule_scale,
        "independent": schedule_scale,
    }[coupling]
    return float(coupling == "coupled"), beside


@dataclass(frozen=True)
class AbstractRegularizer(abc.ABC):
    """Strength λ >= 0 and coupling; `name` is what a user types."""

    name: ClassVar[str]
    strength: float = 0.0
    coupling: str = "coupled"

    def __post_init__(self) -> None:
        require_at_least("strength", self.strength, 0)
        require_choice("coupling", self.coupling, COUPLINGS)

    @staticmethod
    @abc.abstractmethod
    def slope(w: Array) -> Array:
        """r(w): the gradient of the penalty at unit strength, element by element."""

    def gradient(self, w: Array) -> Array:
        """λ r(w), with the shape of `w`."""
        return self.strength * self.slope(w)

    def rates(self, learning_rate: Array, schedule_scale: Array) -> tuple[float, Array]:
        """How λ r(w) enters a step: its weight inside the rule's gradient, and beside the rule's update (numbers or arrays)."""
        return entrance(self.coupling, learning_rate, schedule_scale)


@dataclass(frozen=True)
class L2(AbstractRegularizer):
    """Penalty ½ λ w², gradient λ w."""

    name: ClassVar[str] = "l2"

    @staticmethod
    def slope(w: Array) -> Array:
        """The weight itself."""
        return w


@dataclass(frozen=True)
class L1(AbstractRegularizer):
    """Penalty λ |w|, subgradient λ sign(w), 0 at 0; the discrete step oscillates around 0 by η λ, it is no proximal step."""

    name: ClassVar[str] = "l1"

    @staticmethod
    def slope(w: Array) -> Array:
        """sign(w)."""
        return sign(w)
