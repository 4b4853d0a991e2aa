"""Features put out of action for a while, to see what a network does without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor, nn

from full_scale.models.base import BuiltNetwork, FeatureLayer


@contextmanager
@torch.no_grad()
def without_features(network: BuiltNetwork, removed: pd.Series, keep_shift: bool = False) -> Iterator[None]:
    """Within it, the marked rows of `feature_table` have scale and shift 0, so that they put out act(0) = 0.

    Where a layer has no normalization, what makes the feature is 0 instead. With `keep_shift` shifts (and biases) stay, so that
    features put out a constant, which the next layer could absorb.
    """
    marks = torch.split(torch.from_numpy(removed.to_numpy(dtype=bool, copy=True)), [layer.features for layer in network.layers])
    kept = []
    try:
        for layer, mark in zip(network.layers, marks, strict=True):
            maker = layer.norm or layer.conv
            for parameter in (maker.weight,) if keep_shift or maker.bias is None else (maker.weight, maker.bias):
                kept.append((parameter, parameter.clone()))
                rows = _by_feature(parameter, layer)
                rows[mark.to(parameter.device).view(rows.shape[: rows.dim() - parameter.dim() + 1])] = 0
        yield
    finally:
        for parameter, before in kept:
            parameter.copy_(before)


def _by_feature(parameter: Tensor, layer: FeatureLayer) -> Tensor:
    """A view of the parameter with the features of its layer on the first axis, or on the first two, by groups."""
    if parameter is not layer.conv.weight or not isinstance(layer.conv, nn.ConvTranspose2d):
        return parameter
    groups, size = layer.conv.groups, parameter.shape
    return parameter.view(groups, size[0] // groups, *size[1:]).transpose(1, 2)
