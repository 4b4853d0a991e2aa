"""Which channels are constant on a set of images: the graph run node by node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.graph import Inputs, TracedNetwork, operation
from full_scale.removal.analysis.operations.pointwise import SWITCHING


class _Extremes:
    """The smallest and the largest value of each channel of a node so far."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def observe(self, value: Tensor) -> None:
        others = [axis for axis in range(value.dim()) if axis != self.axis]
        low, high = value.amin(others), value.amax(others)
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)

    def constants(self) -> Tensor:
        """The value of each channel that never changed, NaN for the others."""
        assert self.low is not None
        assert self.high is not None
        return torch.where(self.low == self.high, self.low, torch.nan).double().cpu()


@torch.no_grad()
def measured_constants(tracker: Tracker, batches: list[Inputs]) -> dict[str, Tensor]:
    """Name of each activation that can be silent → the constant of each channel on all batches, NaN where it varies."""
    found: dict[fx.Node, _Extremes] = {}
    for node in tracker.traced.graph.nodes:
        state = tracker.state(node)
        if operation(node) in SWITCHING and state is not None:
            found[node] = _Extremes(state.axis)
    for batch in batches:
        _interpret(tracker.traced, batch, found)
    return {node.name: extremes.constants() for node, extremes in found.items()}


def _interpret(traced: TracedNetwork, inputs: Inputs, observers: dict[fx.Node, _Extremes]) -> None:
    """Runs the graph, and shows the observed nodes' values; a value is dropped after its last use."""
    last_use = {read: node for node in traced.graph.nodes for read in node.all_input_nodes}
    values: dict[fx.Node, Any] = {}
    given = dict(zip(traced.inputs, inputs, strict=True))
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            values[node] = given.get(node.name, traced.tensors.get(node.name))
        elif node.op == "call_function":
            args, kwargs = map_arg((node.args, node.kwargs), lambda read: values[read])
            values[node] = node.target(*args, **kwargs)
            if node in observers:
                observers[node].observe(values[node])
        for read in node.all_input_nodes:
            if last_use[read] is node:
                del values[read]
