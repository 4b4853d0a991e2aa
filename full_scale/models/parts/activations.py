"""Gives every activation of a module a module of its own, so that it can be observed."""

from __future__ import annotations

import copy
from typing import Any

from torch import fx, nn
from torch.nn import functional

from full_scale.models.parts.tracing import FUNCTIONAL_ACTIVATIONS, Trace

_DROPOUTS: dict[Any, type[nn.Module]] = {functional.dropout: nn.Dropout, functional.dropout2d: nn.Dropout2d}


def with_own_activations(module: nn.Module) -> nn.Module:
    """The module itself where all of its activations can be observed, else one with the same parts that does the same.

    In the latter an activation that is a function, or a module called several times, is a module of its own, and so is
    functional dropout; parameters and buffers are those of the argument, under their names. It does in evaluation what the
    argument does in training, but for such modules: whoever cannot vouch for that compares the two. Both are left in
    training mode.

    Raises:
        UserError: the forward pass cannot be traced.
    """
    trace = Trace(module.train())
    hidden = [node for node in trace.graph.nodes if trace.applied(node) and not _observable(trace, node)]
    if not hidden:
        return module
    separated = fx.GraphModule(module, trace.graph)
    for node in trace.graph.nodes:
        if node in hidden or (node.target in _DROPOUTS and node.kwargs["training"]):
            separated.add_submodule(f"own_{node.name}", _own(trace, node))
            node.op = "call_module"
            node.target = f"own_{node.name}"
            node.args = (node.all_input_nodes[0],)
            node.kwargs = {}
    separated.recompile()
    return separated


def _observable(trace: Trace, node: fx.Node) -> bool:
    """Whether the activation of a call has a module of its own; one with a weight cannot be given several."""
    called = trace.called(node)
    return trace.module(node) is not None or (called is not None and any(True for _ in called.parameters()))


def _own(trace: Trace, node: fx.Node) -> nn.Module:
    """A new module that does what a call of an activation or of dropout does."""
    called = trace.called(node)
    if called is not None:
        return copy.deepcopy(called)
    options = {name: value for name, value in node.kwargs.items() if name not in ("input", "training")}
    return (FUNCTIONAL_ACTIVATIONS | _DROPOUTS)[node.target](*node.args[1:], **options)
