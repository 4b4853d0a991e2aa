"""Filters made larger or smaller in a network that computes the same function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mechanisms.interventions.base import AbstractIntervention
from mechanisms.validation import require_above

if TYPE_CHECKING:
    from mechanisms.interventions.treated import Treated


@dataclass(frozen=True, kw_only=True)
class Rescale(AbstractIntervention):
    """(γ, β) of the chosen filters times `factor`, the weights that read them times 1/`factor`.

    A ReLU, leaky or not, lets a positive factor through, so the network computes the same function, to rounding. What changes
    is how large a filter is beside its neighbours, and what the regularizer and a rule that normalizes make of that.

    Source: THEORY of the product γ·v; the toy counterpart is `rescale` of the gradient model `competition`.
    """

    name: ClassVar[str] = "rescale"
    factor: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("factor", self.factor, 0)

    @property
    def touches(self) -> tuple[str, ...]:
        """Scale, shift and outgoing weights."""
        return "scale", "shift", "outgoing"

    def start(self, treated: Treated) -> None:
        """Multiplies; raises `UserError` where the activation is not positively homogeneous."""
        treated.require_homogeneous()
        for part, factor in (("scale", self.factor), ("shift", self.factor), ("outgoing", 1 / self.factor)):
            for one in treated.parts(part):
                one.multiply(factor)
