"""What every intervention provides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeVar

from mechanisms.interventions.selections import AbstractSelection, All
from mechanisms.validation import LARGEST_COUNT, require_choice, require_whole

if TYPE_CHECKING:
    from mechanisms.interventions.treated import Groups, Treated

AnyGroups = TypeVar("AnyGroups", bound="Groups")
PARTS = ("scale", "shift", "incoming", "outgoing")
"""The parameters of a filter: BatchNorm scale and shift, the weights that make it, the weights that read it."""
WEIGHTS = ("incoming", "outgoing")


@dataclass(frozen=True, kw_only=True)
class AbstractIntervention:
    """From the moment when `step` updates are done, something is done to the chosen `filters`; `name` is what a user types.

    The filters are chosen at that moment. An intervention acts once (`start`), or from then on in every step.
    """

    name: ClassVar[str]
    changes_decay: ClassVar[bool] = False
    """Whether the spec's regularizer no longer says what is decayed, and how fast."""
    step: int = 0
    filters: AbstractSelection = field(default_factory=All)

    def __post_init__(self) -> None:
        require_whole("step", self.step, 0, LARGEST_COUNT)

    @property
    def touches(self) -> tuple[str, ...]:
        """The parts of a filter that it needs, of `PARTS`; layers that lack one cannot be chosen."""
        return ()

    def regrouped(self, groups: AnyGroups, treated: Treated) -> AnyGroups:
        """The parameters that the regularizer acts on, as this intervention wants them; asked once, before the first step."""
        del treated
        return groups

    def start(self, treated: Treated) -> None:
        """What happens once."""

    def resume(self, treated: Treated) -> None:
        """What has to happen again where a training goes on from a checkpoint, before its state is put back."""

    def change_gradients(self, treated: Treated) -> None:
        """What happens to the loss gradients of each later step, before the rule sees them."""

    def after_update(self, treated: Treated) -> None:
        """What happens to the parameters after each later update."""


@dataclass(frozen=True, kw_only=True)
class AbstractOnParts(AbstractIntervention):
    """Acts on named `parts` of the filters."""

    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts or ("",):
            require_choice("parts", part, PARTS)

    @property
    def touches(self) -> tuple[str, ...]:
        """The parts."""
        return self.parts
