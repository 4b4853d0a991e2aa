"""What the optimizer and the regularizer do, changed for some parameters or in the middle of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from mechanisms.interventions.base import AbstractIntervention, AbstractOnParts, AnyGroups
from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.validation import require_above, require_at_least

if TYPE_CHECKING:
    from mechanisms.interventions.treated import Treated


@dataclass(frozen=True, kw_only=True)
class DecayOnly(AbstractOnParts):
    """Of all that the spec decays, only these `parts` still are, in the layers `filters.layers` (all, where none is named).

    Scale and shift, incoming and outgoing weights are decayed a layer at a time, so a share of a layer cannot be chosen. It
    holds from the first step. The toy counterpart is `decayed` of the gradient models with several factors.
    """

    name: ClassVar[str] = "decay_only"
    changes_decay: ClassVar[bool] = True
    parts: tuple[str, ...] = ("scale", "shift")

    def regrouped(self, groups: AnyGroups, treated: Treated) -> AnyGroups:
        """Moves all other parameters to the free ones."""
        return groups.narrowed([one.parameter for part in self.parts for one in treated.parts(part)])


@dataclass(frozen=True, kw_only=True)
class Switch(AbstractIntervention):
    """From `step` on another rule, regularizer and rate; where the rule is of the same kind, its moments are carried over.

    The regularizer acts on the same parameters as before. `filters` has no meaning here.
    """

    name: ClassVar[str] = "switch"
    changes_decay: ClassVar[bool] = True
    rule: AbstractUpdateRule = field(default_factory=Adam)
    regularizer: AbstractRegularizer = field(default_factory=L2)
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("learning_rate", self.learning_rate, 0)

    def start(self, treated: Treated) -> None:
        """Puts a new optimizer in the place of the old one."""
        treated.training.change_law(self.rule, self.regularizer, self.learning_rate)

    def resume(self, treated: Treated) -> None:
        """Puts the new optimizer there again."""
        self.start(treated)


@dataclass(frozen=True, kw_only=True)
class ScaleSecondMoment(AbstractOnParts):
    """The second moment of the chosen filters' `parts` times `factor` (0: forgotten), at one step of a rule that has one."""

    name: ClassVar[str] = "scale_second_moment"
    factor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("factor", self.factor, 0)

    def start(self, treated: Treated) -> None:
        """Multiplies, in the optimizer and in the shadow that measures forces."""
        for part in self.parts:
            for one in treated.parts(part):
                treated.multiply_second_moment(one, self.factor)
