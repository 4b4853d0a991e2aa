"""What the entropic regression needs of a network: inner products of what each channel gives to the layer that reads it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from full_scale.data.base import in_order
from full_scale.measure.probes import evaluating, mixed_order
from full_scale.models.base import FeatureLayer
from full_scale.training.loop import Training
from mechanisms.measures.entropic_regression import entropic_weights
from mechanisms.validation import UserError


def entropic_column(training: Training, images: int, strength: float) -> np.ndarray:
    """The weight of each feature in the entropic regression of its reader, layer by layer, on the first mixed training images.

    Raises:
        UserError: a layer is not read by exactly one ungrouped convolution or linear layer.
    """
    layers = training.network.layers
    for layer in layers:
        if not _is_read_plainly(layer):
            raise UserError(f"scores = entropic: {layer.name} is not read by one ungrouped convolution or linear layer alone")
    return np.concatenate([entropic_weights(gram, strength) for gram in gram_matrices(training, images)])


@torch.no_grad()
def gram_matrices(training: Training, images: int) -> list[np.ndarray]:
    """For each layer the inner products, over images, positions and outputs, of what its features give to their reader.

    Feature c gives z = Σ_t W[o, c, t]·x[c, t]; ⟨z_c, z_d⟩ = Σ_{t, u} (Σ x[c, t]·x[d, u])·(Σ_o W[o, c, t]·W[o, d, u]), so that
    one matrix of the inputs' moments does for all outputs. Float64, shape (features, features).
    """
    layers, rows = training.network.layers, mixed_order(len(training.train))[:images]
    moments: list[Any] = [0.0] * len(layers)
    examples = training.train.take(rows)
    with evaluating(training.network.module), ExitStack() as stack:
        for place, layer in enumerate(layers):
            assert layer.following is not None
            stack.enter_context(layer.following.register_forward_pre_hook(_adder(moments, place)))
        for inputs, _ in examples.batches(in_order(len(examples))):
            training.network.module(inputs)
    return [_gram(layer, moment) for layer, moment in zip(layers, moments, strict=True)]


def _gram(layer: FeatureLayer, moment: Tensor) -> np.ndarray:
    reader: Any = layer.following
    weight = reader.weight.detach().double().reshape(reader.weight.shape[0], -1)
    products = moment * (weight.T @ weight)
    taps = weight.shape[1] // layer.features
    found: np.ndarray = products.reshape(layer.features, taps, layer.features, taps).sum(dim=(1, 3)).numpy(force=True)
    return found


def _adder(moments: list[Any], place: int) -> Any:
    def add(reader: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found = inputs[0].detach().double()
        if isinstance(reader, nn.Conv2d):
            sizes: Any = (reader.kernel_size, reader.dilation, reader.padding, reader.stride)
            found = unfold(found, *sizes).transpose(1, 2).flatten(0, 1)
        moments[place] = moments[place] + found.T @ found

    return add


def _is_read_plainly(layer: FeatureLayer) -> bool:
    reader = layer.following
    return isinstance(reader, nn.Linear) or (
        isinstance(reader, nn.Conv2d) and reader.groups == 1 and not isinstance(reader.padding, str)
    )
