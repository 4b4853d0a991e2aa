"""Networks inside the wrappers that others put around them: compilation, data parallelism, averages of weights."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import nn

from mechanisms.validation import UserError


def uncompiled(module: nn.Module) -> nn.Module:
    """What `torch.compile` was given; other modules are themselves."""
    inner = getattr(module, "_orig_mod", None)
    return uncompiled(inner) if isinstance(inner, nn.Module) else module


def run_eagerly() -> AbstractContextManager[None]:
    """Within it, compiled parts run as they were written: to compile them costs minutes, for networks that run a few times."""
    return cast("AbstractContextManager[None]", torch.compiler.set_stance("force_eager"))


def unwrapped(model: object) -> nn.Module:
    """The network inside wrappers: compilation, and modules that pass any arguments on to their `module`.

    Raises:
        UserError: it is no torch module, or one whose layers cannot be seen.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model is a {type(model).__name__}, not a network: give a torch.nn.Module{network_in(model)}")
    if isinstance(model, torch.jit.ScriptModule):
        raise UserError("the model is compiled by torch.jit: give the network that it was made from")
    plain = uncompiled(model)
    inner = getattr(plain, "module", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) and _passes_on(plain) else plain


def _passes_on(wrapper: nn.Module) -> bool:
    """Whether a module takes whatever arguments it is given: one that does something to them names them."""
    kinds = [parameter.kind for parameter in inspect.signature(wrapper.forward).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds


def network_in(holder: object) -> str:
    """Where in something that is no network there is one, as the end of a message."""
    held = [name for name, value in getattr(holder, "__dict__", {}).items() if isinstance(value, nn.Module)]
    return f", such as its .{held[0]}" if held else ""
