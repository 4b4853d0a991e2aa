"""Interventions at work in a layer: what `mechanisms.interventions.treated` asks for, over all replicates at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.interventions import AbstractIntervention
from mechanisms.interventions.treatment import AbstractTreatment
from mechanisms.records.rng import stream
from mechanisms.validation import UserError
from toy.layer.measures import NAME
from toy.layer.network import joined, shapes, split
from toy.layer.spec import LayerSpec

if TYPE_CHECKING:
    from toy.layer.simulate import Simulation


@dataclass(frozen=True)
class Decayed:
    """For each parameter of a replicate 1 where the regularizer acts on it, else 0: `marks`, (P,)."""

    spec: LayerSpec
    marks: np.ndarray

    @classmethod
    def of(cls, spec: LayerSpec) -> Decayed:
        """What `spec.decayed` names."""
        return cls(spec, np.ones(1)).narrowed([*spec.decayed, *["shift"] * ("scale" in spec.decayed)])

    def narrowed(self, kept: Iterable[str]) -> Decayed:
        """Only the parts of these names."""
        chosen = set(kept)
        parts = {name: np.full((1, *shape), float(name in chosen)) for name, shape in shapes(self.spec).items()}
        return Decayed(self.spec, self.marks * joined(parts)[0])


@dataclass(frozen=True)
class Part:
    """One part of the features, (R, K) or (R, K, …), with its `gates`; see `mechanisms.interventions.treated`."""

    parameter: str
    values: np.ndarray
    gates: np.ndarray
    chosen: np.ndarray
    place: int = 0

    @property
    def key(self) -> str:
        """The name of the part."""
        return self.parameter

    def multiply(self, factor: float | np.ndarray) -> None:
        """Times a number, or times one of each feature."""
        self.multiply_state(self.values, factor)

    def multiply_gradient(self, factors: np.ndarray) -> None:
        """The gates of the next step times a number of each feature."""
        self.multiply_state(self.gates, factors)

    def multiply_state(self, state: np.ndarray, factor: float | np.ndarray) -> None:
        """As `multiply`, on an array of the shape of the part."""
        state *= self._spread(factor)

    def fill(self, value: float) -> None:
        """A value in all places."""
        self.values[self.chosen] = value

    def copy(self) -> np.ndarray:
        """The part as it is now."""
        return self.values.copy()

    def restore(self, kept: np.ndarray) -> None:
        """The values of a copy."""
        self.values[self.chosen] = kept[self.chosen]

    def norms(self) -> np.ndarray:
        """The L2 norm of each feature's elements, (R, K)."""
        return np.asarray(np.linalg.norm(self.values, axis=-1))

    def _spread(self, factor: float | np.ndarray) -> np.ndarray:
        factors = np.where(self.chosen, factor, 1).astype(self.values.dtype)
        return factors.reshape(*factors.shape, *[1] * (self.values.ndim - 2))


class Treated:
    """The features that one intervention treats, and what it remembers of them."""

    def __init__(self, training: Simulation, intervention: AbstractIntervention, number: int) -> None:
        self.training, self.intervention, self._number = training, intervention, number
        self.chosen = np.zeros((0, 0), bool)
        """Whether each feature of each replicate is chosen, (R, K); empty until the intervention has started."""
        self.kept: dict[str, Any] = {}
        self._parts: dict[str, Part] = {}
        for layer in intervention.filters.layers:
            if layer != NAME:
                raise UserError(f"{self._named}: {layer} is no layer of this model; use {NAME}")

    @property
    def _named(self) -> str:
        return f"interventions.{self._number} = {self.intervention.name}"

    def start(self) -> None:
        """Chooses the features and begins."""
        table, spec = self._table(), self.training.spec
        draws = [stream(self.training.seed, f"treated {self._number} {replicate}") for replicate in range(spec.replicates)]
        self.chosen = np.stack(
            [self.intervention.filters.chosen(table[n], generator) for n, generator in enumerate(draws)],
        )
        self._parts.clear()
        self.intervention.start(self)

    def _table(self) -> list[Any]:
        """For each replicate one row a feature, with what selections ask for."""
        import pandas as pd

        columns = self.training.measured().columns if self.intervention.filters.measured else {}
        columns = columns | {"scale": split(self.training.spec, self.training.vectors)["scale"]}
        return [pd.DataFrame({name: rows[n] for name, rows in columns.items()}) for n in range(self.training.spec.replicates)]

    def parts(self, part: str) -> list[Part]:
        """The part of this name."""
        if part not in self._parts:
            training = self.training
            values, gates = (split(training.spec, vectors)[part] for vectors in (training.vectors, training.gates))
            self._parts[part] = Part(part, values, gates, self.chosen)
        return [self._parts[part]]

    def draw(self) -> list[np.ndarray]:
        """A number between 0 and 1 for each feature, (R, K), new in every step; the first replicates of many are those of few."""
        shape = self.training.spec.replicates, self.training.spec.features
        return [stream(self.training.seed, f"intervention {self._number} {self.training.step}").random(shape)]

    def multiply_second_moment(self, one: Part, factor: float) -> None:
        """In the state of the rule; raises `UserError` for a rule without second moment."""
        rule = self.training.rule
        if not rule.second_moments():
            raise UserError(f"{self._named}: rule = {rule.name} has no second moment; use one that has, such as rule=adam")
        for place in rule.second_moments():
            one.multiply_state(split(self.training.spec, self.training.states[place])[one.parameter], factor)

    def require_homogeneous(self) -> None:
        """All activations of the model let a positive factor through."""

    def acts_in_each_step(self) -> bool:
        """Whether something has to be done before or after every step from now on."""
        kind = type(self.intervention)
        return self.chosen.size > 0 and any(
            getattr(kind, name) is not getattr(AbstractIntervention, name) for name in ("change_gradients", "after_update")
        )


class Treatment(AbstractTreatment[Treated]):
    """All interventions of one training, in the order of its spec."""

    def __init__(self, training: Simulation) -> None:
        super().__init__(Treated(training, one, number) for number, one in enumerate(training.spec.interventions))
        self._training = training

    def start_due(self) -> None:
        """Begins those whose moment is now."""
        for one in self._all:
            if one.intervention.step == self._training.step and not one.chosen.size:
                one.start()

    def next_stop(self, end: int) -> int:
        """Up to which step the training may go on by itself, at most to `end`."""
        step = self._training.step
        if any(one.acts_in_each_step() for one in self._all):
            return step + 1
        return min([end, *(one.intervention.step for one in self._all if one.intervention.step > step)])

    def change_gradients(self) -> None:
        """Before a step: the gates that its gradients meet."""
        self._training.gates[:] = 1
        super().change_gradients()

    def marks(self) -> np.ndarray:
        """Whether any intervention has treated each feature so far, (R, K)."""
        found = np.zeros((self._training.spec.replicates, self._training.spec.features), bool)
        for one in self._started():
            found |= one.chosen
        return found

    def _started(self) -> list[Treated]:
        return [one for one in self._all if one.chosen.size]
