"""Interventions at work in one training: which filters they treat, and what can be done to a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from full_scale.hooks.filter_parameters import Part, has_part, part_of
from full_scale.measure.probes import measure_features
from full_scale.models.base import FeatureLayer
from mechanisms.interventions.base import AbstractIntervention
from mechanisms.interventions.treatment import AbstractTreatment
from mechanisms.records.rng import stream
from mechanisms.validation import UserError

if TYPE_CHECKING:
    from full_scale.training.loop import Training

HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)
"""Activations that let a positive factor through; a normalization stands for itself where none follows it."""


class Treated:
    """The filters of one training that one intervention treats, and what it remembers of them."""

    def __init__(self, training: Training, intervention: AbstractIntervention, number: int) -> None:
        self.training = training
        self.intervention = intervention
        self._number = number
        self._places = self._eligible()
        self.chosen: list[Tensor] = []
        """For each layer whether each filter is chosen; empty until the intervention has started."""
        self.kept: dict[str, Tensor] = {}
        """What the intervention remembers, by `Part.key`."""
        self._parts: dict[str, list[Part]] = {}

    @property
    def layers(self) -> tuple[FeatureLayer, ...]:
        """All feature layers of the network."""
        return self.training.network.layers

    @torch.no_grad()
    def start(self) -> None:
        """Chooses the filters and begins."""
        self.chosen = [torch.zeros(layer.features, dtype=torch.bool) for layer in self.layers]
        table = self._table()
        for place in self._places:
            name = self.layers[place].name
            draws = stream(self.training.seed, f"treated {self._number} {name}")
            marks = self.intervention.filters.chosen(table[table["layer"] == name], draws)
            self.chosen[place] = torch.from_numpy(marks)
        self.chosen = [marks.to(self.training.device) for marks in self.chosen]
        self._parts.clear()
        self.intervention.start(self)

    def parts(self, part: str) -> list[Part]:
        """The parameter of this kind in every layer with a chosen filter; before the start, of every layer that can have one."""
        if part not in self._parts or not self.chosen:
            marks = self.chosen or [torch.ones(layer.features, dtype=torch.bool) for layer in self.layers]
            self._parts[part] = [part_of(self.layers[n], n, part, marks[n]) for n in self._places if marks[n].any()]
        return self._parts[part]

    def draw(self) -> list[Tensor]:
        """For each layer a number between 0 and 1 for each filter, new in every step."""
        generator = stream(self.training.seed, f"intervention {self._number} {self.training.done}")
        dtype = next(self.training.network.module.parameters()).dtype
        numbers = [generator.random(layer.features) for layer in self.layers]
        return [torch.from_numpy(values).to(self.training.device, dtype) for values in numbers]

    def multiply_second_moment(self, one: Part, factor: float) -> None:
        """In the optimizer and in the shadow that measures forces; raises `UserError` for a rule without second moment."""
        rule = self.training.law["rule"]
        if not rule.second_moments():
            raise UserError(f"{self._named}: rule = {rule.name} has no second moment; use one that has, such as rule=adam")
        for holder in (self.training.optimizer, self.training.probe):
            for state in holder.second_moments(one.parameter):
                one.multiply_state(state, factor)

    def require_homogeneous(self) -> None:
        """Raises `UserError` where the activation of a treated layer changes under a positive factor."""
        for place in self._places:
            layer = self.layers[place]
            if not isinstance(layer.activation, HOMOGENEOUS):
                kind = type(layer.activation).__name__
                raise UserError(f"{self._named}: the activation of {layer.name} is {kind}; use layers with ReLU or leaky ReLU")

    @property
    def _named(self) -> str:
        return f"interventions.{self._number} = {self.intervention.name}"

    def _eligible(self) -> list[int]:
        """The numbers of the layers that can be treated: those named, or all that have the parts that it touches."""
        names = [layer.name for layer in self.layers]
        having = [layer.name for layer in self.layers if all(has_part(layer, part) for part in self.intervention.touches)]
        asked = self.intervention.filters.layers or tuple(having)
        for name in asked:
            if name not in having:
                lacks = "lacks one of " + ", ".join(self.intervention.touches) if name in names else "is no layer of filters"
                raise UserError(f"{self._named}: {name} {lacks}; use one of " + ", ".join(having))
        if not asked:
            raise UserError(f"{self._named}: no layer of filters has " + ", ".join(self.intervention.touches))
        return [names.index(name) for name in asked]

    def _table(self) -> pd.DataFrame:
        """One row a filter, with what the selection asks for."""
        training = self.training
        if self.intervention.filters.measured:
            return measure_features(training.network, training.train, training.spec.batch_size)
        scales = [np.full(layer.features, np.nan) if layer.norm is None else _values(layer.norm.weight) for layer in self.layers]
        names = np.repeat([layer.name for layer in self.layers], [layer.features for layer in self.layers])
        return pd.DataFrame({"layer": names, "scale": np.concatenate(scales)})

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"chosen": self.chosen, "kept": self.kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.chosen = state["chosen"]
        self.kept = state["kept"]


class Treatment(AbstractTreatment[Treated]):
    """All interventions of one training, in the order of its spec."""

    def __init__(self, training: Training) -> None:
        super().__init__(Treated(training, one, number) for number, one in enumerate(training.spec.interventions))
        self._training = training

    def start_due(self) -> None:
        """Begins those whose moment is now."""
        for one in self._all:
            if one.intervention.step == self._training.done:
                one.start()

    def marks(self) -> np.ndarray:
        """For each feature, in layer order, whether any intervention has treated it so far."""
        found = np.zeros(sum(layer.features for layer in self._training.network.layers), bool)
        for one in self._started():
            found |= torch.cat(one.chosen).numpy(force=True)
        return found

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [one.state() for one in self._all]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Goes on from what `state` gave."""
        for one, state in zip(self._all, states, strict=True):
            one.restore(state)
            if one.chosen:
                one.intervention.resume(one)

    def _started(self) -> list[Treated]:
        return [one for one in self._all if one.chosen]


def _values(parameter: Tensor) -> np.ndarray:
    return parameter.numpy(force=True)
