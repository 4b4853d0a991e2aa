"""A graph run node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from full_scale.removal.analysis.graph import Inputs, TracedNetwork


@torch.no_grad()
def each_value(
    traced: TracedNetwork, inputs: Inputs, tensor_of: Callable[[str], Tensor | None] | None = None
) -> Iterator[tuple[fx.Node, Any]]:
    """All operations of a graph with what they put out, in order; a value is dropped after its last use.

    Args:
        traced: the network.
        inputs: of the shapes that it was traced with.
        tensor_of: name of a placeholder → its parameter, buffer or constant; by default those of the network.
    """
    last_use = {read: node for node in traced.graph.nodes for read in node.all_input_nodes}
    values: dict[fx.Node, Any] = {}
    given = dict(zip(traced.inputs, inputs, strict=True))
    held = tensor_of or traced.tensors.get
    for node in traced.graph.nodes:
        if node.op == "placeholder" and node.name in given:
            values[node] = given[node.name]
        elif node.op == "get_attr":
            values[node] = getattr(traced.graph.owning_module, str(node.target))
        elif node.op == "call_function":
            args, kwargs = map_arg((node.args, node.kwargs), lambda read: values[read] if read in values else held(read.name))
            values[node] = node.target(*args, **kwargs)
            yield node, values[node]
        for read in node.all_input_nodes:
            if last_use[read] is node:
                values.pop(read, None)
