"""What pruning criteria need of a network beside its `features` table: weights, gradients of single exemplars, costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cross_entropy, group_norm, instance_norm
from torch.nn.modules.instancenorm import _InstanceNorm

from full_scale.data.base import AbstractExamples, in_order
from full_scale.measure.probes import evaluating, feature_table, mixed_order, observe
from full_scale.models.base import BuiltNetwork, FeatureLayer
from full_scale.models.parts.tracing import is_plain
from full_scale.training.loop import Training
from mechanisms.law.regularizers import L2
from mechanisms.measures.redundancy import merge_heights
from mechanisms.theory.feature import effective_strength

Parts = list[tuple[Tensor, ...]]


def criteria_table(training: Training, images: int) -> pd.DataFrame:
    """One row a feature of a training under way, with every column that a criterion reads; the training is not disturbed.

    Measured on the first `images` training images of the mixed order, which are the same in every run. `step`, forces and
    denominators are those of the last step; before the first one they are NaN.
    """
    examples = training.train.take(mixed_order(len(training.train))[:images])
    network, spec = training.network, training.spec
    observation = observe(network, examples)
    table = feature_table(network, observation, spec.batch_size).assign(**training.probe.forces())
    table.insert(0, "step", training.done)
    decayed = {id(parameter) for parameter in training.groups.decayed.values()}
    pulled = [float(layer.norm is not None and id(layer.norm.weight) in decayed) for layer in network.layers]
    strength: Any = np.nan  # but that of L2 is not proportional to the scale
    if isinstance(spec.regularizer, L2):
        denominator = table["denominator"].to_numpy()
        strength = effective_strength(spec.rule, spec.regularizer, learning_rate=spec.learning_rate, denominator=denominator)
    features = [layer.features for layer in network.layers]
    peaks = [merge_heights(layer.numpy(force=True)) for layer in observation.peaks]
    columns = _weights(network) | affine_gradients(network, examples, spec.batch_size) | taylor_and_cost(network, examples)
    columns |= {"effective_strength": strength * np.repeat(pulled, features), "redundancy": np.concatenate(peaks)}
    return table.assign(**columns)


@torch.no_grad()
def _weights(network: BuiltNetwork) -> dict[str, np.ndarray]:
    rows = [layer.incoming() for layer in network.layers]
    sums = [part.abs().sum(dim=1) for part in rows]
    # Not by matrix products: they lose the small distances between like filters.
    distances = [torch.cdist(part, part, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1) for part in rows]
    return {"incoming_l1": _joined(sums), "distance_sum": _joined(distances)}


def affine_gradients(network: BuiltNetwork, examples: AbstractExamples, batch_size: int) -> dict[str, np.ndarray]:
    """What single exemplars say of scales and shifts, in training mode, in batches of `batch_size` of these examples.

    The gradient of a batch's summed loss with respect to (γ, β) is a sum over exemplars of
    (Σ ∂L/∂y·x̂, Σ ∂L/∂y) over positions, y = γ·x̂ + β; two hooks at each normalization give its terms exactly. An incomplete last
    batch is left out unless it is the only one. NaN where a layer has no normalization, or one that is not torch's own.
    """
    parts: list[Parts] = [[] for _ in network.layers]
    whole = np.split(np.arange(len(examples)), range(batch_size, len(examples), batch_size))
    batches = [rows for rows in whole if len(rows) == min(batch_size, len(examples))]
    with _undisturbed(network.module), ExitStack() as stack:
        network.module.train()
        for layer, own in zip(network.layers, parts, strict=True):
            if layer.norm is not None and is_plain(layer.norm):
                stack.enter_context(layer.norm.register_forward_hook(_affine_hook(own)))
        _backward(network.module, examples, batches)
    found = [_affine_columns(layer, own) for layer, own in zip(network.layers, parts, strict=True)]
    return {name: _joined([one[name] for one in found]) for name in found[0]}


def _affine_hook(parts: Parts) -> Any:
    def forward(norm: nn.Module, inputs: Any, output: Tensor) -> None:
        centred = _normalized(norm, inputs[0].detach())

        def backward(gradient: Tensor) -> None:
            parts.append((_over_positions(gradient * centred), _over_positions(gradient)))

        output.register_hook(backward)  # type: ignore[no-untyped-call]

    return forward


def _normalized(norm: Any, images: Tensor) -> Tensor:
    if isinstance(norm, nn.GroupNorm):
        return group_norm(images, norm.num_groups, eps=norm.eps)
    if isinstance(norm, _InstanceNorm):
        return instance_norm(images, eps=norm.eps)
    return batch_norm(images, None, None, training=True, eps=norm.eps)


@torch.no_grad()
def _affine_columns(layer: FeatureLayer, parts: Parts) -> dict[str, Tensor]:
    names = ("affine_taylor", "affine_taylor_square", "affine_gradient")
    if layer.norm is None or not is_plain(layer.norm):
        return dict.fromkeys(names, torch.full((layer.features,), torch.nan))
    by_scale, by_shift = (torch.cat(terms) for terms in zip(*parts, strict=True))
    terms = layer.norm.weight * by_scale + layer.norm.bias * by_shift
    length = (by_scale.square() + by_shift.square()).mean(dim=0).sqrt()
    return dict(zip(names, (terms.mean(dim=0), terms.square().mean(dim=0), length), strict=True))


def taylor_and_cost(network: BuiltNetwork, examples: AbstractExamples) -> dict[str, np.ndarray]:
    """Mean over images of |Σ a·∂L/∂a| over positions, in evaluation mode, and what each feature costs on one image."""
    parts: list[Parts] = [[] for _ in network.layers]
    positions: dict[int, int] = {}
    with _undisturbed(network.module), ExitStack() as stack:
        network.module.eval()
        for layer, own in zip(network.layers, parts, strict=True):
            stack.enter_context(layer.activation.register_forward_hook(_taylor_hook(own)))
            for part in (layer.conv, layer.following):
                if part is not None:
                    stack.enter_context(part.register_forward_hook(_position_hook(positions)))
        _backward(network.module, examples, in_order(len(examples)))
    taylor = [torch.cat([terms for (terms,) in own]).abs().mean(dim=0) for own in parts]
    cost = [torch.full((layer.features,), _cost(layer, positions)) for layer in network.layers]
    return {"taylor": _joined(taylor), "cost": _joined(cost)}


def _taylor_hook(parts: Parts) -> Any:
    def forward(module: nn.Module, inputs: Any, output: Tensor) -> None:
        activation = output.detach()

        def backward(gradient: Tensor) -> None:
            parts.append((_over_positions(gradient * activation),))

        output.register_hook(backward)  # type: ignore[no-untyped-call]

    return forward


def _position_hook(positions: dict[int, int]) -> Any:
    def forward(module: nn.Module, inputs: Any, output: Tensor) -> None:
        positions[id(module)] = output[0, 0].numel()

    return forward


def _cost(layer: FeatureLayer, positions: dict[int, int]) -> float:
    """Weights that make a feature times the positions it has, and those that read it times the positions they write."""
    reading = layer.outgoing()
    cost = layer.incoming().shape[1] * positions[id(layer.conv)]
    return float(cost + (0 if reading is None else reading.shape[1] * positions[id(layer.following)]))


def _over_positions(values: Tensor) -> Tensor:
    return values.flatten(2).sum(dim=2) if values.dim() > 2 else values


def _joined(parts: list[Tensor]) -> np.ndarray:
    return torch.cat([part.cpu() for part in parts]).numpy(force=True)


def _backward(module: nn.Module, examples: AbstractExamples, rows: Any) -> None:
    """Runs the gradients of the summed loss, so that those of single exemplars do not shrink with the batch."""
    for images, labels in examples.batches(rows):
        loss = cross_entropy(module(images.contiguous(memory_format=torch.channels_last)), labels, reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Within it, gradients may be taken in any mode; mode, gradients and running statistics are restored after."""
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with evaluating(module):
        try:
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
