"""What is measured on a network: the forces on its scales, and what its features do on a set of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from full_scale.data.base import AbstractExamples, in_order
from full_scale.models.base import BuiltNetwork, FeatureLayer
from full_scale.training.parameters import ParameterGroups
from mechanisms.law.dynamics import DynamicsState, Step, init, split_step
from mechanisms.law.dynamics import step as dynamics_step
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.measures.selectivity import activity, selectivity
from mechanisms.records.rng import stream

FORCES = ("loss_force", "reg_force", "denominator")
Pulls = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
"""Of a parameter: what penalties add to its gradient inside the rule, and what they take from it beside the rule's update."""
OTHER_THRESHOLDS = {"selectivity_1e-2": 1e-2, "selectivity_1e-1": 1e-1}
"""Column → the share of a feature's own maximum below which an image counts as not using it."""


class ForceProbe:
    """The forces on all scales and shifts of normalizations, by a shadow of the rule's state beside the optimizer's own.

    Call `observe` after backward and before the optimizer's step: the same w and g then go through `mechanisms.law.dynamics`, on
    NumPy for a network on the CPU (quicker at twenty operations on a few hundred numbers), on the network's device elsewhere.
    """

    def __init__(
        self,
        network: BuiltNetwork,
        groups: ParameterGroups,
        rule: AbstractUpdateRule,
        regularizer: AbstractRegularizer,
        learning_rate: float,
    ) -> None:
        self._layers = network.layers
        norms = [layer.norm for layer in network.layers if layer.norm is not None and _is_trained(layer.norm)]
        self._parameters = [norm.weight for norm in norms] + [norm.bias for norm in norms]
        decayed = {id(parameter) for parameter in groups.decayed.values()} & {id(p) for p in self._parameters}
        acting: Any = regularizer if decayed else dataclasses.replace(regularizer, strength=0.0)
        if decayed and len(decayed) < len(self._parameters):
            acting = _OnSome(regularizer, _flat([torch.full_like(p, id(p) in decayed) for p in self._parameters]))
        self._law: dict[str, Any] = {"rule": rule, "regularizer": acting}
        self._learning_rate = learning_rate
        self.state: DynamicsState = init(_flat(self._parameters), **self._law)
        """The shadow's state: one flat vector a slot, scales in layer order, then shifts."""
        self.last: Step | None = None
        """The last update of scales and shifts, in the same order; None before the first one and right after a resumption."""

    def observe(self, schedule_scale: float, pulls: Pulls | None = None) -> None:
        """Follows the update that the optimizer is about to make; the pulls of penalties count as forces of the regularizer."""
        w, g = _flat(self._parameters), _flat([p.grad for p in self._parameters])
        if pulls is None or not self._parameters:
            self.last = dynamics_step(
                w, g, self.state, learning_rate=self._learning_rate, schedule_scale=schedule_scale, **self._law
            )
        else:
            inside, beside = (_flat([pull(p) for p in self._parameters]) for pull in pulls)
            self.last = self._pulled(w, g, schedule_scale, inside, beside)
        self.state = self.last.state

    def _pulled(self, w: Any, g: Any, schedule_scale: float, inside: Any, beside: Any) -> Step:
        """The step with further terms of the regularizer inside the rule's gradient and beside its update."""
        rule, regularizer = self._law["rule"], self._law["regularizer"]
        own, rates = regularizer.gradient(w), regularizer.rates(self._learning_rate, schedule_scale)
        coefficients = tuple(map(float, rule.coefficients(self.state.step + 1)))
        *_, loss_force, reg_force, denominator, filters = split_step(rule.direction)(
            w,
            g,
            rates[0] * own + inside,
            self.state.filters,
            coefficients,
            1.0,
            self._learning_rate * schedule_scale,
            0.0 * schedule_scale,
        )
        reg_force = reg_force - (rates[1] * own + beside)
        denominator = denominator + 0 * w  # a rule without denominator has one number
        state = DynamicsState(self.state.step + 1, filters)
        return Step(w + (loss_force + reg_force), state, loss_force, reg_force, denominator)

    def replay(self, coefficients: tuple[Tensor, ...], learning_rate: Tensor, beside: Tensor) -> None:
        """As `observe`, with the numbers of the step on the device of the network; the state changes in place."""
        if not self._parameters:
            return
        w = torch.cat([p.detach() for p in self._parameters])
        g = torch.cat([p.grad for p in self._parameters if p.grad is not None])
        regularizer: AbstractRegularizer = self._law["regularizer"]
        inside = float(regularizer.coupling == "coupled")
        moved, loss_force, reg_force, denominator, filters = split_step(self._law["rule"].direction)(
            w, g, regularizer.gradient(w), self.state.filters, coefficients, inside, learning_rate, beside
        )
        for kept, value in zip(self.state.filters, filters, strict=True):
            kept.copy_(value)
        if self.last is None:
            self.last = Step(moved.clone(), self.state, *(torch.empty_like(w) for _ in FORCES))
        for kept, value in zip(
            (self.last.loss_force, self.last.reg_force, self.last.denominator), (loss_force, reg_force, denominator), strict=True
        ):
            kept.copy_(value)

    def forces(self) -> dict[str, np.ndarray]:
        """Name → value of the last step for each feature, in layer order; NaN before the first step and without a scale."""
        return {name: self._of_features(None if self.last is None else getattr(self.last, name)) for name in FORCES}

    def adopt(self, other: ForceProbe) -> None:
        """Goes on from the moments of a probe of the same rule, under another regularizer or rate."""
        self.state = other.state

    def cut(self, kept: Mapping[Tensor, Tensor]) -> None:
        """Forgets the elements of parameters that are about to be cut: parameter → the indices that stay."""
        parts, start = [], 0
        for one in self._parameters:
            indices = torch.arange(one.numel()) if one not in kept else kept[one].cpu()
            parts.append(start + indices)
            start += one.numel()
        if parts:
            rows: Any = torch.cat(parts)
            filters = tuple(values[rows.numpy() if isinstance(values, np.ndarray) else rows] for values in self.state.filters)
            self.state = DynamicsState(self.state.step, filters)

    def second_moments(self, parameter: Tensor) -> Iterator[Tensor]:
        """Views of what the shadow keeps of the squares of a parameter's gradients; none for what it does not follow."""
        start = 0
        for one in self._parameters:
            if one is parameter:
                for place in self._law["rule"].second_moments():
                    yield torch.as_tensor(self.state.filters[place])[start : start + one.numel()]
            start += one.numel()

    def _of_features(self, flat: Any) -> np.ndarray:
        parts, start = [], 0
        values = None if flat is None else _numpy(flat)
        for layer in self._layers:
            if layer.norm is None or not _is_trained(layer.norm) or values is None:
                parts.append(np.full(layer.features, np.nan, np.float32))
            else:
                parts.append(values[start : start + layer.features])
                start += layer.features
        return np.concatenate(parts)


@dataclass(frozen=True)
class _OnSome:
    """A regularizer on some elements of a vector: `marks` is 1 there and 0 elsewhere."""

    regularizer: AbstractRegularizer
    marks: Any

    @property
    def coupling(self) -> str:
        return self.regularizer.coupling

    def gradient(self, w: Any) -> Any:
        return self.regularizer.gradient(w) * self.marks

    def rates(self, learning_rate: Any, schedule_scale: Any) -> tuple[float, Any]:
        return self.regularizer.rates(learning_rate, schedule_scale)


def _is_trained(norm: nn.Module) -> bool:
    return all(isinstance(part, nn.Parameter) and part.requires_grad for part in (norm.weight, norm.bias))


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.numpy(force=True) if isinstance(values, Tensor) else values)


@torch.no_grad()
def _flat(parts: list[Any]) -> Any:
    """One vector of many parameters; a NumPy array where they are on the CPU."""
    if not parts:
        return np.zeros(0, np.float32)
    vector = torch.cat(parts)
    return vector.numpy(force=True) if vector.device.type == "cpu" else vector


@dataclass(frozen=True)
class Observation:
    """What a network did on N images in evaluation mode: class scores (N, classes), and for each feature layer two tensors.

    A peak is the largest |activation| over the positions of one image, shape (N, features); `zeros` is the share of activations
    that are exactly 0 over images and positions, shape (features,).
    """

    scores: Tensor
    labels: Tensor
    peaks: tuple[Tensor, ...]
    zeros: tuple[Tensor, ...]


@torch.no_grad()
def observe(network: BuiltNetwork, examples: AbstractExamples) -> Observation:
    """The network on the examples, in evaluation mode and float32; its mode is restored."""
    recorded: list[list[tuple[Tensor, Tensor, int]]] = [[] for _ in network.layers]
    scores, labels = [], []
    with ExitStack() as stack:
        stack.enter_context(evaluating(network.module))
        for layer, parts in zip(network.layers, recorded, strict=True):
            stack.enter_context(layer.activation.register_forward_hook(_recorder(parts, layer.axis)))
        for images, these in examples.batches(in_order(len(examples))):
            scores.append(network.module(images))
            labels.append(these)
    peaks = tuple(torch.cat([peak for peak, _, _ in parts]) for parts in recorded)
    zeros = tuple(
        1 - torch.stack([used for _, used, _ in parts]).sum(dim=0) / sum(places for _, _, places in parts) for parts in recorded
    )
    return Observation(torch.cat(scores), torch.cat(labels), peaks, zeros)


def mixed_order(count: int) -> np.ndarray:
    """The numbers from 0 to `count` - 1 in an order that is the same in every run; stored sets may be sorted by class."""
    return stream(0, "mixed_order").permutation(count)


def _recorder(parts: list[tuple[Tensor, Tensor, int]], axis: int) -> Any:
    """Keeps of each output, with features on an axis: its peaks, how many activations of a feature are not 0, out of how many.

    Written for speed: pooling over the plane is ten times quicker on a CPU than `amax`, and signs add up quicker than they count.
    """

    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        positions = tuple(range(2, output.dim()))
        sizes = output.abs() if output.dim() < 3 else output.movedim(axis, 1).abs()
        peaks = sizes.amax(positions) if positions else sizes
        if len(positions) == 2 and axis == 1:
            peaks = adaptive_max_pool2d(sizes, 1).flatten(1)
        used = sizes.sign().sum(dim=(0, *positions))
        parts.append((peaks, used, sizes.numel() // max(1, peaks.shape[-1])))

    return record


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within it, a module is in evaluation mode; its own mode is restored."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def measure_features(network: BuiltNetwork, examples: AbstractExamples, batch_size: int) -> pd.DataFrame:
    """One row a feature: its parameters, and its activations on these examples (the whole training set, as a rule)."""
    return feature_table(network, observe(network, examples), batch_size)


def feature_table(network: BuiltNetwork, observation: Observation, batch_size: int) -> pd.DataFrame:
    """One row a feature, in layer order, with the columns of the `features` table but step and forces."""
    parts = [
        pd.DataFrame({"layer": layer.name, "feature": np.arange(layer.features)} | _columns(layer, peaks, zeros, batch_size))
        for layer, peaks, zeros in zip(network.layers, observation.peaks, observation.zeros, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


@torch.no_grad()
def _columns(layer: FeatureLayer, peaks: Tensor, zeros: Tensor, batch_size: int) -> dict[str, np.ndarray]:
    missing = torch.full_like(peaks[0], torch.nan)
    scale, shift = (missing, missing) if layer.norm is None else (layer.norm.weight.detach(), layer.norm.bias.detach())
    incoming, weights = layer.incoming().norm(dim=1), layer.outgoing()
    outgoing = missing if weights is None else weights.norm(dim=1)
    size = min(batch_size, len(peaks))
    mixed = peaks[torch.from_numpy(mixed_order(len(peaks))).to(peaks.device)]
    batches = torch.stack([batch.amax(dim=0) for batch in torch.split(mixed, size) if len(batch) == size])
    columns = {
        "scale": scale,
        "shift": shift,
        "incoming": incoming,
        "outgoing": outgoing,
        "product": scale if layer.following is None else scale * outgoing,
        "max_activation": peaks.amax(dim=0),
        "mean_activation": peaks.mean(dim=0),
        "activity": activity(peaks),
        "batch_activity": activity(batches),
        "zero_share": zeros,
        "selectivity": selectivity(peaks),
        **{name: selectivity(peaks, threshold) for name, threshold in OTHER_THRESHOLDS.items()},
    }
    return {name: column.numpy(force=True) for name, column in columns.items()}
