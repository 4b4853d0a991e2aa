"""Tries a user's module out: whether it is a network, and what of it can be observed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.models.base import BuiltNetwork, FeatureLayer, Shape
from full_scale.models.discovery import feature_layers
from full_scale.models.parts.activations import with_own_activations
from mechanisms.validation import UserError

IMAGES = 2


def require_network(module: object, shape: Shape, classes: int) -> nn.Module:
    """The module itself, in training mode; raises `UserError` unless it scores images of this shape, in evaluation mode."""
    if not isinstance(module, nn.Module):
        raise UserError(f"it is a {type(module).__name__}, use a callable that returns a torch.nn.Module")
    scores: Any = _scores(module, shape)
    if not isinstance(scores, Tensor) or scores.shape != (IMAGES, classes):
        given = tuple(scores.shape) if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise UserError(f"its output for {IMAGES} images is {given}, use class scores of shape {(IMAGES, classes)}")
    return module.train()


def observable(module: nn.Module, shape: Shape) -> BuiltNetwork:
    """The network with every activation in a module of its own, and those of its feature layers that make maps or vectors.

    Raises:
        UserError: it cannot be traced, does something else when traced, or has no such layers.
    """
    traced = with_own_activations(module)
    outputs: dict[FeatureLayer, Tensor] = {}
    layers = feature_layers(traced)
    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.activation.register_forward_hook(_keep(outputs, layer)))
        scores = _scores(traced, shape)
    if traced is not module and not torch.equal(scores, _scores(module, shape)):
        raise UserError(
            "it does something else when traced in training mode: use modules (nn.ReLU, nn.Dropout, …), each called once"
        )
    fitting = tuple(layer for layer in layers if _fits(outputs[layer], layer.features))
    if not fitting:
        raise UserError("it has no features: use convolutions or linear layers with normalization or activation")
    module.train()
    return BuiltNetwork(traced.train(), fitting)


@torch.no_grad()
def _scores(module: nn.Module, shape: Shape) -> Any:
    return module.eval()(torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0)))


def _keep(outputs: dict[FeatureLayer, Tensor], layer: FeatureLayer) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs[layer] = output

    return keep


def _fits(output: Tensor, features: int) -> bool:
    return output.dim() in (2, 4) and output.shape[:2] == (IMAGES, features)
