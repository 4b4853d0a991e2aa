"""Two networks run side by side, operation by operation: what a closed ReLU hides from the outputs is seen where it happens."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.channels import Tracker, describe
from full_scale.removal.analysis.graph import Inputs, TracedNetwork
from full_scale.removal.analysis.running import each_value
from full_scale.removal.plan import Plan, Selection, fold_target


class _SideBySide:
    def __init__(self, tracker: Tracker, selection: Selection, plan: Plan) -> None:
        self.tracker, self.selection = tracker, selection
        self.shifted = {reader.node for reader in tracker.readers if _in_mean(tracker, reader, plan)}
        self.sizes: dict[fx.Node, float] = {}

    def gap(self, node: fx.Node, old: Any, new: Any) -> float:
        """The difference of what an operation puts out, relative to the largest |number| that it puts out or reads."""
        olds, news = (value if isinstance(value, list | tuple) else [value] for value in (old, new))
        self.sizes[node] = max((_largest(part) for part in olds), default=0.0)
        if node in self.shifted or node in self.tracker.folded:
            return 0.0
        size = max([self.sizes[node], *(self.sizes.get(read, 0.0) for read in node.all_input_nodes)])
        states = self.tracker.states.get(node, [])
        worst = 0.0
        for number, (one, other) in enumerate(zip(olds, news, strict=True)):
            state = states[number] if number < len(states) else None
            if isinstance(one, Tensor) and one.is_floating_point() and one.numel():
                kept = None if state is None else self.selection.kept(state.units, ("node", node.name, number))
                if state is not None and kept is not None:
                    one = one.index_select(state.axis, torch.from_numpy(kept).to(one.device))
                worst = max(worst, _apart(one, other, size))
        return worst


def _in_mean(tracker: Tracker, reader: Any, plan: Plan) -> bool:
    """Whether the mean of the BatchNorm right after an operation takes up its constants: before that, it is another number."""
    target = fold_target(tracker, reader)
    return target is not None and target[1] < 0 and target[0] in plan.additions


def _largest(value: Any) -> float:
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        return 0.0
    size = _extreme(value)
    return size if math.isfinite(size) else _extreme(torch.where(value.isfinite(), value, 0.0))


def _extreme(value: Tensor) -> float:
    """The largest |number|; NaN if one is."""
    low, high = value.aminmax()
    return float(torch.maximum(-low, high))


def _apart(one: Tensor, other: Tensor, size: float) -> float:
    gap = _extreme(one - other)
    if not math.isfinite(gap):
        same = (one == other) | (one.isnan() & other.isnan())
        gap = torch.where(same, 0.0, (one - other).abs()).nan_to_num(nan=float("inf")).max().item()
    return gap / size if size else float("inf") if gap else 0.0


def operation_apart(
    tracker: Tracker,
    selection: Selection,
    plan: Plan,
    traced: tuple[TracedNetwork, TracedNetwork],
    tensors: tuple[dict[str, Tensor], dict[str, Tensor]],
    inputs: Inputs,
    limit: float,
) -> str | None:
    """The first operation that puts out other numbers in a smaller network; None if none does.

    Args:
        tracker: the analysis of the original.
        selection: what was removed.
        plan: what was changed.
        traced: the original and the smaller network for these inputs, with the operations of the analysed graph.
        tensors: name → parameter or buffer of the original, and of the smaller network; others are as they were traced.
        inputs: for both, of the shapes that they were traced with.
        limit: the largest relative difference that rounding may make.

    Raises:
        Exception: of any kind, if the graphs do not run on these tensors.
    """
    pair = _SideBySide(tracker, selection, plan)
    runs = []
    for network, values in zip(traced, tensors, strict=True):
        runs.append(each_value(network, inputs, _reading(network, values, inputs)))
    calls = (node for node in tracker.traced.graph.nodes if node.op == "call_function")
    with torch.random.fork_rng(devices=[]):
        for node, (_, old), (_, new) in zip(calls, *runs, strict=True):
            gap = pair.gap(node, old, new)
            if not gap <= limit:
                return f"with fewer channels {describe(node)} puts out other numbers, by {gap:.1e}"
    return None


def _reading(traced: TracedNetwork, values: dict[str, Tensor], inputs: Inputs) -> Any:
    dtype = next((part.dtype for part in inputs if part.is_floating_point()), torch.float64)

    def tensor_of(placeholder: str) -> Tensor | None:
        found = values.get(traced.names.get(placeholder, ""), traced.tensors.get(placeholder))
        return found.detach().to(dtype) if found is not None and found.is_floating_point() else found

    return tensor_of
