"""What filters are told by the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mechanisms.interventions.base import AbstractOnParts
from mechanisms.validation import require, require_above

if TYPE_CHECKING:
    from mechanisms.interventions.treated import Treated


@dataclass(frozen=True, kw_only=True)
class Gate(AbstractOnParts):
    """The loss gradient of a chosen filter passes with `probability` in each step, in all its `parts` or in none, else it is 0.

    Plain, its mean shrinks by that probability: rare and weak. With `mean_restored` what passes is divided by the probability:
    rare, with the mean it had. A weight between two chosen filters has to pass both gates. The penalty is never gated.

    The toy counterpart is a feature seen by fewer exemplars: `p` of the selective models, with the curvature divided by it where
    the mean is restored (experiment `gate`).
    """

    name: ClassVar[str] = "gate"
    probability: float = 0.1
    mean_restored: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("probability", self.probability, 0)
        require(self.probability <= 1, "probability", self.probability, "a number above 0 and at most 1")

    def change_gradients(self, treated: Treated) -> None:
        """Draws one gate a filter and step."""
        open_value = 1 / self.probability if self.mean_restored else 1.0
        gates = [(draw < self.probability) * open_value for draw in treated.draw()]
        for part in self.parts:
            for one in treated.parts(part):
                one.multiply_gradient(gates[one.place])
