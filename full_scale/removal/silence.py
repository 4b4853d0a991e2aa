"""Which channels are constant on a set of images: the graph run node by node."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.graph import Inputs, operation
from full_scale.removal.analysis.operations.pointwise import SWITCHING
from full_scale.removal.analysis.running import each_value


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
        for node, value in each_value(tracker.traced, batch):
            if node in found:
                found[node].observe(value)
    return {node.name: extremes.constants() for node, extremes in found.items()}
