"""What is measured on a network: the forces on its BatchNorm scales, and what its features do on a set of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from full_scale.models.base import BuiltNetwork, FeatureLayer
from full_scale.parameters import ParameterGroups
from mechanisms.dynamics import Step, init
from mechanisms.dynamics import step as dynamics_step
from mechanisms.regularizers import AbstractRegularizer
from mechanisms.selectivity import activity, selectivity
from mechanisms.update_rules import AbstractUpdateRule

FORCES = ("loss_force", "reg_force", "denominator")
IMAGES_AT_ONCE = 512


class ForceProbe:
    """The forces on all BatchNorm scales and shifts, by a shadow of the rule's state beside the optimizer's own.

    Call `observe` after backward and before the optimizer's step: the same w and g then go through `mechanisms.dynamics`.
    """

    def __init__(
        self,
        network: BuiltNetwork,
        groups: ParameterGroups,
        rule: AbstractUpdateRule,
        regularizer: AbstractRegularizer,
        learning_rate: float,
    ) -> None:
        norms = [layer.norm for layer in network.layers]
        self._parameters = [norm.weight for norm in norms] + [norm.bias for norm in norms]
        self._scales = sum(norm.num_features for norm in norms)
        decayed = {id(parameter) for parameter in groups.decayed.values()} & {id(p) for p in self._parameters}
        if decayed and len(decayed) < len(self._parameters):
            raise ValueError("the BatchNorm parameters must be all decayed or all free")
        self._law: dict[str, Any] = {
            "rule": rule,
            "regularizer": regularizer if decayed else dataclasses.replace(regularizer, strength=0.0),
        }
        self._learning_rate = learning_rate
        self._state = init(_flat(self._parameters), **self._law)
        self.last: Step | None = None
        """The last update of scales and shifts, one flat vector: scales in layer order, then shifts."""

    def observe(self, schedule_scale: float) -> None:
        """Follows the update that the optimizer is about to make."""
        w, g = _flat(self._parameters), _flat([p.grad for p in self._parameters])
        self.last = dynamics_step(
            w, g, self._state, learning_rate=self._learning_rate, schedule_scale=schedule_scale, **self._law
        )
        self._state = self.last.state

    def forces(self) -> dict[str, np.ndarray]:
        """Name → value of the last step for each scale, in layer order; NaN before the first step."""
        if self.last is None:
            return {name: np.full(self._scales, np.nan, np.float32) for name in FORCES}
        return {name: getattr(self.last, name)[: self._scales] for name in FORCES}


@torch.no_grad()
def _flat(parts: list[Any]) -> np.ndarray:
    """One NumPy vector, because NumPy is quicker than torch at twenty operations on a few hundred numbers."""
    return np.asarray(torch.cat(parts).numpy(force=True))


@dataclass(frozen=True)
class Observation:
    """What a network did on N images in evaluation mode: class scores (N, classes), and one `peaks` a feature layer.

    A peak is the largest |activation| over the positions of one image; each tensor has shape (N, features).
    """

    scores: Tensor
    peaks: tuple[Tensor, ...]


@torch.no_grad()
def observe(network: BuiltNetwork, images: Tensor) -> Observation:
    """The network on the images, in evaluation mode; its mode is restored."""
    recorded: list[list[Tensor]] = [[] for _ in network.layers]
    with ExitStack() as stack:
        stack.enter_context(_evaluating(network.module))
        for layer, peaks in zip(network.layers, recorded, strict=True):
            stack.enter_context(layer.activation.register_forward_hook(_recorder(peaks)))
        scores = [network.module(chunk) for chunk in torch.split(images, IMAGES_AT_ONCE)]
    return Observation(torch.cat(scores), tuple(map(torch.cat, recorded)))


def _recorder(peaks: list[Tensor]) -> Any:
    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        peaks.append(output.abs().amax(dim=(2, 3)))

    return record


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def measure_features(network: BuiltNetwork, images: Tensor) -> pd.DataFrame:
    """One row a feature: its parameters, and its activations on these images (the whole training set, as a rule)."""
    return feature_table(network, observe(network, images))


def feature_table(network: BuiltNetwork, observation: Observation) -> pd.DataFrame:
    """One row a feature, in layer order, with the columns of the `features` table but step and forces."""
    parts = [
        pd.DataFrame({"layer": layer.name, "feature": np.arange(layer.norm.num_features)} | _columns(layer, peaks))
        for layer, peaks in zip(network.layers, observation.peaks, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


@torch.no_grad()
def _columns(layer: FeatureLayer, peaks: Tensor) -> dict[str, np.ndarray]:
    scale, outgoing = layer.norm.weight.detach(), _outgoing(layer)
    columns = {
        "scale": scale,
        "shift": layer.norm.bias.detach(),
        "incoming": layer.conv.weight.flatten(1).norm(dim=1),
        "outgoing": outgoing,
        "product": scale if layer.following is None else scale * outgoing,
        "max_activation": peaks.amax(dim=0),
        "mean_activation": peaks.mean(dim=0),
        "activity": activity(peaks),
        "selectivity": selectivity(peaks),
    }
    return {name: column.numpy(force=True) for name, column in columns.items()}


@contextmanager
@torch.no_grad()
def without_features(network: BuiltNetwork, removed: pd.Series) -> Iterator[None]:
    """Within it, the marked rows of `feature_table` have BatchNorm scale and shift 0, so that they put out act(0) = 0."""
    norms = [layer.norm for layer in network.layers]
    kept = [(norm.weight.clone(), norm.bias.clone()) for norm in norms]
    marks = torch.split(torch.from_numpy(removed.to_numpy(dtype=bool, copy=True)), [norm.num_features for norm in norms])
    try:
        for norm, mark in zip(norms, marks, strict=True):
            norm.weight[mark] = 0
            norm.bias[mark] = 0
        yield
    finally:
        for norm, (weight, bias) in zip(norms, kept, strict=True):
            norm.weight.copy_(weight)
            norm.bias.copy_(bias)


def _outgoing(layer: FeatureLayer) -> Tensor:
    """L2 norm of what reads each channel; a linear reader of a flattened map has one block of inputs a channel."""
    channels = layer.norm.num_features
    if layer.following is None:
        return torch.full_like(layer.norm.weight, torch.nan)
    weight = layer.following.weight
    norms: Tensor = torch.linalg.vector_norm(weight.reshape(weight.shape[0], channels, -1), dim=(0, 2))
    return norms
