"""Weights that torch computes from others before each run: masks, norms, parametrizations; and the same as plain parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from full_scale.removal.analysis.graph import structural_copy

PARAMETRIZATIONS = "torch.nn.utils.parametrize.remove_parametrizations"
HOOKS: dict[type, tuple[str, Callable[..., Any]]] = {
    prune.BasePruningMethod: ("torch.nn.utils.prune.remove", prune.remove),
    WeightNorm: ("torch.nn.utils.remove_weight_norm", remove_weight_norm),
    SpectralNorm: ("torch.nn.utils.remove_spectral_norm", remove_spectral_norm),
}
"""Class of the hook that computes a weight → what makes that weight a plain parameter."""


def computed(module: nn.Module) -> dict[str, str]:
    """Name of each weight that is computed → the function of torch that makes it plain."""
    found = {}
    for path, part in module.named_modules():
        for name, (said, _) in _hooked(part):
            found[f"{path}.{name}".lstrip(".")] = said
        for name in getattr(part, "parametrizations", {}) if parametrize.is_parametrized(part) else ():
            found[f"{path}.{name}".lstrip(".")] = PARAMETRIZATIONS
    return found


def made_plain(module: nn.Module) -> nn.Module:
    """A copy with memory of its own in which no weight is computed, as evaluation has them; the module itself where none is."""
    if not computed(module):
        return module
    plain = structural_copy(module, lambda tensor: tensor.detach().clone())
    parts = list(plain.modules())
    plain.eval()  # in training, a spectral norm changes whenever it is read
    for part in parts:
        for name, (_, remove) in list(_hooked(part)):
            remove(part, name)
        if parametrize.is_parametrized(part):
            _without_parametrizations(part)
    for part, own in zip(parts, module.modules(), strict=True):
        part.training = own.training
    return plain


def _hooked(part: nn.Module) -> Iterator[tuple[str, tuple[str, Callable[..., Any]]]]:
    for hook in part._forward_pre_hooks.values():
        for kind, how in HOOKS.items():
            if isinstance(hook, kind):
                yield getattr(hook, "name", getattr(hook, "_tensor_name", "weight")), how


@torch.no_grad()
def _without_parametrizations(part: nn.Module) -> None:
    """What `remove_parametrizations` does, but for the class: that is the original's as well, and stays as it is.

    A weight that is another one whenever it is read stays computed.
    """
    held = part.get_submodule("parametrizations")
    values = {name: getattr(part, name).detach().clone() for name, _ in held.named_children()}
    if not all(torch.equal(value, getattr(part, name)) for name, value in values.items()):
        return
    trained = {name: any(p.requires_grad for p in one.parameters()) for name, one in held.named_children()}
    del part.parametrizations
    part.__class__ = type(part).__bases__[0]
    for name, value in values.items():
        part.register_parameter(name, nn.Parameter(value, trained[name]))
