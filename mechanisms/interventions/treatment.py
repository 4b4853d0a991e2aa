"""All interventions of one training at work, in the order of its spec."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from mechanisms.interventions.base import AbstractIntervention
from mechanisms.interventions.treated import Groups, Treated


class One(Treated, Protocol):
    """What one intervention treats, and the intervention."""

    @property
    def intervention(self) -> AbstractIntervention:
        """The intervention."""


T = TypeVar("T", bound=One)
G = TypeVar("G", bound=Groups)


class AbstractTreatment(abc.ABC, Generic[T]):
    """What networks and the layer model do alike with the interventions of a training; which have begun, each says by itself."""

    def __init__(self, treated: Iterable[T]) -> None:
        self._all = list(treated)

    @abc.abstractmethod
    def _started(self) -> list[T]:
        """Those that have begun."""

    def regrouped(self, groups: G) -> G:
        """Return the parameters that the regularizer acts on."""
        for one in self._all:
            groups = one.intervention.regrouped(groups, one)
        return groups

    def change_gradients(self) -> None:
        """Act between the gradients and the update."""
        for one in self._started():
            one.intervention.change_gradients(one)

    def after_update(self) -> None:
        """Act after the update."""
        for one in self._started():
            one.intervention.after_update(one)
