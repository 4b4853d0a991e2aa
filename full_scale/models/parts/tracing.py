"""What calls what in the forward pass of a module, and what kind of call each is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from full_scale.models.parts.wrappers import uncompiled
from mechanisms.validation import UserError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MAKERS = (*CONVOLUTIONS, nn.Linear)
NORMS = (_BatchNorm, nn.GroupNorm, _InstanceNorm)
FROZEN_NORM = ("weight", "bias", "running_mean", "running_var")
"""What a normalization with fixed statistics holds."""
ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Softplus, nn.Sigmoid, nn.Tanh),
)
FUNCTIONAL_ACTIVATIONS: dict[Any, type[nn.Module]] = {
    **dict.fromkeys((functional.relu, functional.relu_, torch.relu, torch.relu_, "relu", "relu_"), nn.ReLU),
    **dict.fromkeys((functional.leaky_relu, functional.leaky_relu_), nn.LeakyReLU),
    **dict.fromkeys((functional.elu, functional.elu_), nn.ELU),
    **dict.fromkeys((torch.sigmoid, functional.sigmoid, "sigmoid"), nn.Sigmoid),
    **dict.fromkeys((torch.tanh, functional.tanh, "tanh"), nn.Tanh),
    **dict.fromkeys((torch.selu, torch.selu_, functional.selu, functional.selu_), nn.SELU),
    **dict.fromkeys((torch.celu, torch.celu_, functional.celu, functional.celu_), nn.CELU),
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), nn.Hardtanh),
    functional.hardsigmoid: nn.Hardsigmoid,
    functional.softplus: nn.Softplus,
    functional.relu6: nn.ReLU6,
    functional.gelu: nn.GELU,
    functional.silu: nn.SiLU,
    functional.mish: nn.Mish,
    functional.hardswish: nn.Hardswish,
}
"""Function or name of a tensor's method → the module that does the same."""

_POOLS = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d, nn.FractionalMaxPool2d),
    *(nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.LPPool1d),
    *(nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.LPPool3d, nn.FractionalMaxPool3d),
)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_PER_FEATURE_MODULES = (*_POOLS, *_DROPOUTS, nn.Identity)
_PER_FEATURE_FUNCTIONS = (
    *(functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d),
    *(functional.dropout, functional.dropout1d, functional.dropout2d, "contiguous"),
)
_SIZES = (getattr, "size", "dim")
_POSITIONS = ([[2, 3]], [[-2, -1]], [[-1, -2]], [[2, 3, 4]], [[-3, -2, -1]])


def is_norm(part: object) -> bool:
    """Whether a module normalizes channel by channel, whatever package its class is of; it may apply an activation, too."""
    return isinstance(part, NORMS) or has_frozen_statistics(part)


def has_frozen_statistics(part: object) -> bool:
    """Whether a module is no BatchNorm of torch and holds what one with fixed statistics holds, by whatever class and package."""
    held = isinstance(part, nn.Module) and all(isinstance(getattr(part, name, None), Tensor) for name in FROZEN_NORM)
    return held and not isinstance(part, NORMS)


def normalizes(part: nn.Module) -> bool:
    """Whether a module normalizes in some way, over channels or otherwise, by what it is or is called."""
    return is_norm(part) or ("Norm" in type(part).__name__ and isinstance(getattr(part, "weight", None), Tensor))


def is_closed(part: nn.Module) -> bool:
    """Whether a module of torch does more with weights than a convolution, linear map, normalization or table: attention."""
    return not isinstance(part, (*MAKERS, nn.Embedding)) and any(weight.dim() > 1 for weight in part.parameters())


def is_plain(norm: object) -> bool:
    """Whether a normalization is one of torch itself, which does nothing after it has scaled and shifted."""
    return type(norm).__module__.startswith("torch.nn.")


class _Tracer(fx.Tracer):
    """Goes into what a network is made of, down to layers: of torch, and of classes that others derived from these."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a call of a module is recorded as such."""
        return (
            super().is_leaf_module(m, module_qualified_name) or is_norm(m) or (isinstance(m, MAKERS) and not list(m.children()))
        )

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Records a call of a module, of a compiled one as it was written."""
        plain = uncompiled(m)
        if plain is not m or getattr(m, "_compiled_call_impl", None) is not None:
            forward = plain.forward
        return super().call_module(plain, forward, args, kwargs)


class Trace:
    """The calls of a module's forward pass, recorded without running it.

    Raises:
        UserError: the calls depend on the values or shapes of what is computed, so that no list of them exists.
    """

    def __init__(self, module: nn.Module) -> None:
        try:
            self.graph = _Tracer().trace(module)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise UserError(
                f"the layers of {type(module).__name__} cannot be found ({type(error).__name__}: {first}):"
                " use a forward pass without conditions or loops that depend on tensors"
            ) from None
        self._modules = dict(module.named_modules())
        self._calls = Counter(id(self._modules[str(n.target)]) for n in self.graph.nodes if n.op == "call_module")
        shared = Counter(id(p) for part in set(self._modules.values()) for p in part.parameters(recurse=False))
        self._shared = {parameter for parameter, owners in shared.items() if owners > 1}

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that this call, and no other, makes with parameters of its own; None for anything else."""
        part = self.called(node)
        if part is None or self._calls[id(part)] > 1 or any(id(p) in self._shared for p in part.parameters()):
            return None
        return part

    def called(self, node: fx.Node) -> nn.Module | None:
        """The module that this call makes, which others may call as well; None if it calls a function."""
        return self._modules[str(node.target)] if node.op == "call_module" else None

    def reader(self, node: fx.Node) -> fx.Node | None:
        """The only call that reads the values of another (not just their shape); None if none or several do."""
        readers = [user for user in node.users if user.target not in _SIZES]
        return readers[0] if len(readers) == 1 else None

    def next(self, node: fx.Node) -> fx.Node | None:
        """The call that reads a result alone, and through nothing but pools and dropout, or None."""
        reader = self.reader(node)
        while reader is not None and self._is_per_feature(reader):
            reader = self.reader(reader)
        return reader

    def applied(self, node: fx.Node) -> type[nn.Module] | None:
        """The activation that this call applies, as a module's or as a function, or None."""
        part = self.called(node)
        return FUNCTIONAL_ACTIVATIONS.get(node.target) if part is None else type(part) if isinstance(part, ACTIVATIONS) else None

    def is_known(self, node: fx.Node) -> bool:
        """Whether what this call does to its inputs is known here, or it has several; a function of one input may be anything."""
        return node.op in ("call_module", "output") or len(node.all_input_nodes) != 1 or self.flattens(node)

    def said(self, node: fx.Node) -> str:
        """What a call is called."""
        part = self.called(node)
        return str(getattr(node.target, "__name__", node.target)) if part is None else type(part).__name__

    def _is_per_feature(self, node: fx.Node) -> bool:
        return isinstance(self.called(node), _PER_FEATURE_MODULES) or node.target in _PER_FEATURE_FUNCTIONS

    def flattens(self, node: fx.Node) -> bool:
        """Whether this call turns maps (N, C, H, W) into vectors, channel by channel."""
        part = self.called(node)
        if part is not None:
            return isinstance(part, nn.Flatten) and part.start_dim == 1
        options = [list(o) if isinstance(o, tuple) else o for o in (*node.args[1:], *node.kwargs.values())]
        if node.target in (torch.flatten, "flatten"):
            return options[:1] == [1]
        if node.target in (torch.mean, "mean"):
            return options[:1] in _POSITIONS and not any(options[1:])
        return node.target in ("view", "reshape") and len(options) == 2 and isinstance(options[1], int) and options[1] == -1
