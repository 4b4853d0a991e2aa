"""What is held where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.hooks.interventions.base import WEIGHTS, AbstractIntervention, AbstractOnParts
from mechanisms.validation import require_choice

if TYPE_CHECKING:
    from full_scale.hooks.intervention_state import Treated


@dataclass(frozen=True, kw_only=True)
class ClampNorm(AbstractIntervention):
    """The L2 norm of each chosen filter's incoming (or outgoing) weights stays what it was; their direction is free to move.

    In front of a BatchNorm the norm of the incoming weights changes no output, only how far a step turns them.
    """

    name: ClassVar[str] = "clamp_norm"
    part: str = "incoming"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("part", self.part, WEIGHTS)

    @property
    def touches(self) -> tuple[str, ...]:
        """The clamped weights."""
        return (self.part,)

    def start(self, treated: Treated) -> None:
        """Remembers the norms."""
        for one in treated.parts(self.part):
            treated.kept[one.key] = one.norms()

    def after_update(self, treated: Treated) -> None:
        """Multiplies each filter's weights back to their norm; weights that are all 0 stay so."""
        for one in treated.parts(self.part):
            norms = one.norms()
            one.multiply((treated.kept[one.key] / norms).where(norms > 0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Freeze(AbstractOnParts):
    """The chosen filters' `parts` stay what they are, or become `value` and stay so, whatever loss and regularizer say.

    The optimizer's moments go on as if they moved, and so do the recorded forces: those are what would act.
    """

    name: ClassVar[str] = "freeze"
    parts: tuple[str, ...] = ("shift",)
    value: float | None = None

    def start(self, treated: Treated) -> None:
        """Sets the value, if there is one, and remembers."""
        for part in self.parts:
            for one in treated.parts(part):
                if self.value is not None:
                    one.fill(self.value)
                treated.kept[one.key] = one.copy()

    def after_update(self, treated: Treated) -> None:
        """Puts the values back."""
        for part in self.parts:
            for one in treated.parts(part):
                one.restore(treated.kept[one.key])
