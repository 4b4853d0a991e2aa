"""Penalties and steps after the update at work in one training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from full_scale.hooks.filter_parameters import has_part, parameter_of
from full_scale.measure.probes import mixed_order, observe
from full_scale.models.base import FeatureLayer
from mechanisms.law.penalties import AbstractPenalty
from mechanisms.law.proximal import AbstractAfterUpdate
from mechanisms.measures.selectivity import selectivity
from mechanisms.records.rng import stream
from mechanisms.validation import UserError

if TYPE_CHECKING:
    from full_scale.training.loop import Training

WEIGHED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
SELECTIVITY_IMAGES = 500
"""Selectivity is measured on the first of these training images in the mixed order …"""
SELECTIVITY_EVERY = 100
"""… before every so many steps."""


@dataclass(frozen=True)
class Piece:
    """One part of one layer as a penalty sees it: which elements of a parameter stand where in (features, channels, taps)."""

    place: int
    parameter: nn.Parameter
    order: Tensor

    def weights(self) -> Tensor:
        """The elements, shape (features, channels, taps)."""
        return self.parameter.detach().reshape(-1)[self.order]

    def spread(self, values: Tensor) -> Tensor:
        """Values of that shape in the shape of the parameter."""
        flat = torch.zeros_like(self.parameter).reshape(-1)
        flat[self.order.flatten()] = values.flatten()
        return flat.view(self.parameter.shape)


def piece_of(layer: FeatureLayer, place: int, part: str) -> Piece:
    """A part ("scale", "incoming" or "outgoing") of a layer, which has it."""
    parameter = parameter_of(layer, part)
    places = torch.arange(parameter.numel(), device=parameter.device).view(parameter.shape)
    if part == "scale":
        rows: Any = places
    else:
        rows = layer.incoming(places) if part == "incoming" else layer.outgoing(places)
    # A kernel's taps are the last axes of a convolution's weight; a linear layer has none.
    taps = parameter.shape[2:].numel()
    return Piece(place, parameter, rows.reshape(layer.features, -1, taps))


class Sparsifiers:
    """All penalties and steps after the update of one training, in the order of its spec."""

    def __init__(self, training: Training) -> None:
        self._training = training
        layers = training.network.layers
        spec = training.spec
        self._acting = [(one, self._pieces(number, one)) for number, one in enumerate(spec.penalties)]
        self._measures = any(one.measured for one in spec.penalties)
        self._selectivity: tuple[Tensor, ...] = ()
        self._costs = _costs(layers)
        self._zeros: dict[str, Tensor] = {}
        """Key → where a step that keeps its zeros has set them."""
        for number, step in enumerate(spec.after_update):
            if not self._targets(step):
                raise UserError(f"after_update.{number} = {step.name} acts on {step.acts_on}s: this network has none")

    @torch.no_grad()
    def step(self, schedule_scale: float) -> None:
        """One update of the training: observed, made by its optimizer under the penalties too, and what comes after it."""
        training = self._training
        inside, beside = self._pulls(schedule_scale)
        training.probe.observe(schedule_scale, (inside.of, beside.of) if self._acting else None)
        inside.add()
        training.optimizer.step(schedule_scale)
        beside.subtract()
        for number, step in enumerate(training.spec.after_update):
            if (training.done + 1) % step.every == 0:
                self._apply(number, step, training.law["learning_rate"] * schedule_scale)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"selectivity": list(self._selectivity), "zeros": self._zeros}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self._selectivity = tuple(state["selectivity"])
        self._zeros = state["zeros"]

    def _pieces(self, number: int, penalty: AbstractPenalty) -> list[Piece]:
        layers = self._training.network.layers
        found = [piece_of(layer, n, penalty.part) for n, layer in enumerate(layers) if has_part(layer, penalty.part)]
        if not found:
            raise UserError(f"penalties.{number}.part = {penalty.part}: no layer of features of this network has it")
        return found

    def _pulls(self, schedule_scale: float) -> tuple[_Sum, _Sum]:
        """Inside the rule's gradient, and beside its update."""
        training, both = self._training, (_Sum(), _Sum())
        if self._measures and (training.done % SELECTIVITY_EVERY == 0 or not self._selectivity):
            self._measure()
        for penalty, pieces in self._acting:
            rates = penalty.entrance(training.law["learning_rate"], schedule_scale)
            for piece in pieces if penalty.strength else ():
                slope = penalty.strength * penalty.slope(piece.weights())
                if penalty.measured:
                    slope = slope * penalty.factors(self._selectivity[piece.place])[:, None, None]
                for rate, pull in zip(rates, both, strict=True):
                    if rate:
                        pull.put(piece.parameter, rate * piece.spread(slope))
        return both

    def _measure(self) -> None:
        training = self._training
        rows = mixed_order(len(training.train))[:SELECTIVITY_IMAGES]
        peaks = observe(training.network, training.train.take(rows)).peaks
        self._selectivity = tuple(selectivity(one) for one in peaks)

    def _targets(self, step: AbstractAfterUpdate) -> list[tuple[str, nn.Parameter, float]]:
        """Name, parameter and cost of a feature, of all that a step acts on."""
        network = self._training.network
        if step.acts_on == "scale":
            return [
                (layer.name, parameter_of(layer, "scale"), cost)
                for layer, cost in zip(network.layers, self._costs, strict=True)
                if layer.norm is not None
            ]
        modules = dict(network.module.named_modules()).items()
        return [(name, cast(nn.Parameter, module.weight), 1.0) for name, module in modules if isinstance(module, WEIGHED)]

    def _apply(self, number: int, step: AbstractAfterUpdate, learning_rate: float) -> None:
        training = self._training
        draws = stream(training.seed, f"after_update {number} {training.done}")
        for name, parameter, cost in self._targets(step):
            uniform: Tensor = parameter
            if step.draws:
                numbers = draws.random(tuple(parameter.shape), dtype=np.float32)
                uniform = torch.from_numpy(numbers).to(parameter)
            key = f"{number} {name}"
            after = step.applied(parameter.detach(), learning_rate=learning_rate, cost=cost, uniform=uniform)
            if step.keeps_zeros:
                gone = (after == 0) & (parameter != 0)
                self._zeros[key] = gone | self._zeros[key] if key in self._zeros else gone
                after = after.masked_fill(self._zeros[key], 0.0)
            parameter.copy_(after)


class _Sum:
    """For each parameter, in the order of first use, what is added to it."""

    def __init__(self) -> None:
        self._parts: dict[nn.Parameter, Tensor] = {}

    def put(self, parameter: nn.Parameter, values: Tensor) -> None:
        self._parts[parameter] = self._parts[parameter] + values if parameter in self._parts else values

    def of(self, parameter: Tensor) -> Tensor:
        found = self._parts.get(parameter)  # type: ignore[call-overload]
        return torch.zeros_like(parameter) if found is None else found

    def add(self) -> None:
        """To the gradients."""
        for parameter, values in self._parts.items():
            if parameter.grad is not None:
                parameter.grad.add_(values)

    def subtract(self) -> None:
        """From the parameters."""
        for parameter, values in self._parts.items():
            if parameter.grad is not None:
                parameter.sub_(values)


def _costs(layers: tuple[FeatureLayer, ...]) -> list[float]:
    """How many weights make and read a feature of each layer, beside the mean over layers."""
    counts = []
    for layer in layers:
        reading = layer.outgoing()
        counts.append(layer.incoming().shape[1] + (0 if reading is None else reading.shape[1]))
    mean = sum(counts) / len(counts) if counts else 1.0
    return [count / mean for count in counts]
