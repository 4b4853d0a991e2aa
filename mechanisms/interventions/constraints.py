"""What is held where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mechanisms.interventions.base import WEIGHTS, AbstractIntervention, AbstractOnParts
from mechanisms.law.arrays import filled, maximum, where
from mechanisms.records.added_fields import added
from mechanisms.validation import require_above, require_at_least, require_choice

if TYPE_CHECKING:
    from mechanisms.interventions.treated import Treated


@dataclass(frozen=True, kw_only=True)
class ClampNorm(AbstractIntervention):
    """The L2 norm of each chosen filter's incoming (or outgoing) weights stays what it was; their direction is free to move.

    With another `floor` and `ceiling`, multiples of what it was, the norm is free between them: `floor=0.05 ceiling=null` only
    keeps it from collapsing, the same number in both holds it at a level. In front of a BatchNorm the norm of the incoming
    weights changes no output, only how far a step turns them.
    """

    name: ClassVar[str] = "clamp_norm"
    part: str = "incoming"
    floor: float = added(1.0)
    ceiling: float | None = added(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("part", self.part, WEIGHTS)
        require_at_least("floor", self.floor, 0)
        if self.ceiling is not None:
            require_above("ceiling", self.ceiling, 0)
            require_at_least("ceiling", self.ceiling, self.floor)

    @property
    def touches(self) -> tuple[str, ...]:
        """The clamped weights."""
        return (self.part,)

    def start(self, treated: Treated) -> None:
        """Remembers the norms."""
        for one in treated.parts(self.part):
            treated.kept[one.key] = one.norms()

    def after_update(self, treated: Treated) -> None:
        """Multiplies each filter's weights back to where their norm may be; weights that are all 0 stay so."""
        for one in treated.parts(self.part):
            norms, at_start = one.norms(), treated.kept[one.key]
            wanted = maximum(norms, self.floor * at_start)
            if self.ceiling is not None:
                wanted = -maximum(-wanted, -self.ceiling * at_start)
            one.multiply(wanted / where(norms > 0, norms, filled(norms, 1.0)))


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


@dataclass(frozen=True, kw_only=True)
class Slow(AbstractOnParts):
    """Each update moves the chosen filters' `parts` by `factor` times what it would: a learning rate of their own.

    The optimizer's moments do not notice, and the recorded forces are those before the factor.
    """

    name: ClassVar[str] = "slow"
    factor: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("factor", self.factor, 0)

    def start(self, treated: Treated) -> None:
        """Remembers where they are."""
        for part in self.parts:
            for one in treated.parts(part):
                treated.kept[one.key] = one.copy()

    def after_update(self, treated: Treated) -> None:
        """Goes the rest of the way back, or farther, and remembers again."""
        for part in self.parts:
            for one in treated.parts(part):
                before = treated.kept[one.key]
                one.restore(before + self.factor * (one.copy() - before))
                treated.kept[one.key] = one.copy()
