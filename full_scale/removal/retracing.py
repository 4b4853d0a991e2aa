"""Whether a smaller network still runs the same operations: code may compute with a number of channels, as in x / x.shape[1].

Random inputs show that where it changes the output, but not where it only would on others, behind a ReLU that happens to be
closed; the graph of the smaller network shows it everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.channels import Tracker, describe
from full_scale.removal.analysis.graph import TracedNetwork, argument, operation, shape, source
from full_scale.removal.plan import Plan, Selection

SIZED = {"view": "size", "_unsafe_view": "size", "reshape": "shape", "expand": "size", "repeat": "repeats"}
"""Operations that state the sizes of what they put out → the argument; only the size of the channel axis may change."""


CUTTING = {("slice", "start"), ("slice", "end"), ("split", "split_size"), ("split_with_sizes", "split_sizes")}
"""Operations that cut an axis → the arguments that say where; those of the channel axis may change."""


def unlike(tracker: Tracker, selection: Selection, plan: Plan, smaller: TracedNetwork) -> str | None:
    """What a smaller network does otherwise than the analysed one; None if it is the same operations on fewer channels.

    That includes that it reads what the plan made: a bias takes up constants only where the code adds it.
    """
    graphs = (tracker.traced.graph, smaller.graph)
    calls, again = ([node for node in graph.nodes if node.op != "placeholder"] for graph in graphs)
    if len(calls) != len(again):
        return f"with fewer channels it runs {len(again)} operations, not {len(calls)}"
    compared = _Comparison(tracker, selection, plan, smaller)
    other = next((a for a, b in zip(calls, again, strict=True) if not compared.same(a, b)), None)
    return None if other is None else f"with fewer channels {describe(other)} does something else"


class _Comparison:
    """Compares operation by operation; `partners` maps a node's name to that of the node in the same place."""

    def __init__(self, tracker: Tracker, selection: Selection, plan: Plan, smaller: TracedNetwork) -> None:
        self.tracker, self.selection, self.plan, self.smaller = tracker, selection, plan, smaller
        self.partners = dict(zip(tracker.traced.inputs, smaller.inputs, strict=True))
        self.made = {
            reader.node: f"{owner}.bias".lstrip(".")
            for reader in tracker.readers
            if (owner := reader.weight.rpartition(".")[0]) in plan.biases
        }
        self.groups = {grouped.node: int((~selection.goes(grouped.units)).sum()) for grouped in tracker.grouped}

    def same(self, a: fx.Node, b: fx.Node) -> bool:
        self.partners[a.name] = b.name
        if a.op == "get_attr":
            return b.op == "get_attr" and _code(a) == _code(b)
        if a.target is not b.target:
            return False
        pairs = zip(_arguments(a), _arguments(b), strict=True)
        return self._sizes_fit(a, b) and all(self._argument_fits(a, name, x, y) for (name, x), (_, y) in pairs)

    def _argument_fits(self, a: fx.Node, name: str, old: Any, new: Any) -> bool:
        """Whether an argument is the same, or what the plan makes of it."""
        if name == "bias" and a in self.made:
            return isinstance(new, fx.Node) and self.smaller.names.get(new.name) == self.made[a]
        if name in ("groups", "num_groups"):
            old = self.groups.get(a, old)
        state = self.tracker.state(a)
        folded = self.tracker.folded.get(a) or state
        if folded is not None and name == SIZED.get(operation(a)):
            old, new = ([*sizes[: folded.axis], *sizes[folded.axis + 1 :]] for sizes in (old, new))
        elif (operation(a), name) in CUTTING and self._cuts_channels(a):
            return self._cuts_alike(a, name, old, new)
        return self._equal(old, new)

    def _cuts_channels(self, a: fx.Node) -> bool:
        state = self.tracker.state(source(a))
        return state is not None and argument(a, "dim") % len(shape(source(a))) == state.axis

    def _cuts_alike(self, a: fx.Node, name: str, old: Any, new: Any) -> bool:
        """Whether channels are cut between the same ones; of all pieces the sizes say it, which are compared elsewhere."""
        if operation(a) != "slice":
            return all(state is not None for state in self.tracker.states[a])
        state = self.tracker.state(source(a))
        assert state is not None
        if self.selection.orders:
            return True  # of which channels go which way, the orders are the result
        stays = ~self.selection.goes(state.units)
        before, after = (_place(place, name, length) for place, length in ((old, len(stays)), (new, stays.sum())))
        return bool(stays[:before].sum() == after)

    def _equal(self, a: Any, b: Any) -> bool:
        if isinstance(a, list | tuple):
            lists = isinstance(b, list | tuple) and len(a) == len(b)
            return lists and all(self._equal(x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, fx.Node):
            return isinstance(b, fx.Node) and self._same_value(a, b)
        return type(a) is type(b) and a == b

    def _same_value(self, a: fx.Node, b: fx.Node) -> bool:
        before, after = self.tracker.traced, self.smaller
        if a.op != "placeholder" or a.name in before.inputs:
            return self.partners.get(a.name) == b.name
        if a.name in before.names:
            return after.names.get(b.name) == before.names[a.name]
        old, new = before.tensors.get(a.name), after.tensors.get(b.name)
        return b.name not in after.names and old is not None and new is not None and torch.equal(old, new)

    def _sizes_fit(self, a: fx.Node, b: fx.Node) -> bool:
        before, after = _shapes(a), _shapes(b)
        states = self.tracker.states.get(a, [])
        if len(before) != len(after):
            return False
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            state = states[number] if number < len(states) else None
            wanted, folded = list(old), self.tracker.folded.get(a)
            if folded is not None:
                wanted[folded.axis] = int((~self.selection.goes(folded.units)).sum()) // folded.groups
            if state is not None:
                wanted[state.axis] = int((~self.selection.goes(state.units)).sum())
            if wanted != list(new):
                return False
        return True


def _place(number: int | None, name: str, length: int) -> int:
    """Where the start or the end of a slice is on an axis of this length."""
    missing = 0 if name == "start" else length
    return slice(missing if number is None else number).indices(length)[1]


def _arguments(node: fx.Node) -> list[tuple[str, Any]]:
    """All arguments by name, in the order of the operation's schema; as they are given, where it has none."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return [("", list(node.args)), ("", sorted(node.kwargs.items()))]
    return [(formal.name, argument(node, formal.name)) for formal in schema.arguments]


def _shapes(node: fx.Node) -> list[Sequence[int]]:
    value = node.meta.get("val")
    values = value if isinstance(value, list | tuple) else [value]
    return [tuple(part.shape) for part in values if isinstance(part, Tensor)]


def _code(node: fx.Node) -> str:
    """The operations of a graph within the graph, such as a branch of torch.cond."""
    held = getattr(node.graph.owning_module, str(node.target), None)
    return str(held.graph) if isinstance(held, fx.GraphModule) else str(held)
