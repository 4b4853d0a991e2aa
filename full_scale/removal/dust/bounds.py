"""By how much the output can change at most, for every input in a range, when weights are replaced by others.

The difference of two networks is followed through their common graph as bounds of each channel, beside those of its values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.constants import NORMS
from full_scale.removal.analysis.graph import TracedNetwork, argument, operation
from full_scale.removal.analysis.operations import OPERATIONS
from full_scale.removal.analysis.values import Values, added, product

STEEPEST: Mapping[str, float] = {
    **dict.fromkeys(
        ("relu", "hardtanh", "clamp", "clamp_min", "clamp_max", "relu6", "tanh", "softplus", "softsign", "abs", "neg"), 1.0
    ),
    **{"sigmoid": 0.25, "log_sigmoid": 1.0, "hardsigmoid": 1 / 6, "hardswish": 1.5, "silu": 1.1, "mish": 1.1, "gelu": 1.13},
    **{"celu": 1.0, "selu": 1.7581, "erf": 1.1284, "sin": 1.0, "cos": 1.0, "tanhshrink": 1.0},
}
"""Function → the largest size of its slope."""


class NoBound(Exception):
    """The change cannot be bounded; the text says where."""


def largest_difference(original: Tracker, changed: Tracker) -> float:
    """The largest difference of any output, for all inputs in the range for which both were analysed, in exact arithmetic.

    Args:
        original: the analysis of a network with bounds of its inputs.
        changed: that of the same network with other weights, not with other biases.

    Raises:
        NoBound: an operation is not covered.
    """
    walk = _Walk(original, changed)
    for node in original.traced.graph.nodes:
        if node.op == "placeholder" and node.name in original.traced.inputs:
            found = original.state(node)
            walk.put(node, None if found is None else found.with_values(_within(torch.zeros(len(found.units)).double())))
        elif node.op == "call_function":
            walk.run(node)
        elif node.op == "output":
            return max((_size(walk.state(read)).max().item() for read in node.all_input_nodes), default=0.0)
    return 0.0


def _within(size: Tensor) -> Values:
    return Values.bounded(-size, size.clone())


def _size(channels: Channels) -> Tensor:
    return channels.values.magnitude()


class _Walk:
    """Follows the difference; `by_new` computes with the changed weights, `by_gap` with what was taken off them."""

    def __init__(self, original: Tracker, changed: Tracker) -> None:
        self.original, self.changed = original, changed
        old, new = original.traced, changed.traced
        offsets = {name for node in old.graph.nodes for name in _offsets(node, "bias", "running_mean")}
        shifts = {name for node in old.graph.nodes for name in _offsets(node, "bias")}
        gaps = {name: tensor if name not in shifts else tensor * 0 for name, tensor in old.tensors.items()}
        gaps |= {name: tensor - new.tensors[name] for name, tensor in old.tensors.items() if name in _weights(old)}
        self.by_new = _tracker(new, {name: t * 0 if name in offsets else t for name, t in new.tensors.items()})
        self.by_gap = _tracker(old, gaps)

    def put(self, node: fx.Node, found: Any) -> None:
        self.by_new.states[node] = found if isinstance(found, list) else [found]

    def state(self, node: Any) -> Channels:
        """The difference of what a node puts out."""
        found = self.by_new.state(node)
        if found is None:
            raise NoBound(f"the change is not followed through {describe(node)}")
        return found

    def run(self, node: fx.Node) -> None:
        """Finds the difference of what an operation puts out."""
        name = operation(node)
        if name == "getitem":
            self.put(node, self.by_new.states[node.args[0]][node.args[1]])  # type: ignore[index]
        elif name in NORMS or name.startswith(("conv", "linear")):
            self.put(node, self._weighed(node))
        elif (slope := self._steepest(node)) is not None:
            before = self.state(node.args[0])
            self.put(node, before.with_values(_within(torch.minimum(_size(before) * slope, self._apart(node)))))
        elif name in ("add", "sub", "mul", "div") and argument(node, "alpha") in (None, 1):
            self.put(node, self._of_two(node, name))
        elif name in FOLLOWED:
            self.put(node, OPERATIONS[name](self.by_new, node))
        else:
            raise NoBound(f"the change is not followed through {describe(node)}")
        self.state(node) if name not in NORMS else None

    def _steepest(self, node: fx.Node) -> float | None:
        """The largest size of a function's slope; None of other operations, and of functions of several tensors."""
        name = operation(node)
        if name == "prelu" and self.original.holds(node.args[1]):
            slopes = self.original.value(node.args[1])
            return None if slopes is None else max(1.0, slopes.abs().max().item())
        if len(node.all_input_nodes) != 1:
            return None
        if name == "rsub":
            return abs(float(argument(node, "alpha")))
        if name == "leaky_relu":
            return max(1.0, abs(float(argument(node, "negative_slope"))))
        if name == "elu":
            alpha, scale, inner = (abs(float(argument(node, name))) for name in ("alpha", "scale", "input_scale"))
            return max(scale, scale * alpha * inner)
        return STEEPEST.get(name)

    def _weighed(self, node: fx.Node) -> Any:
        """W x − W′ x′ is W′ (x − x′) + (W − W′) x."""
        self.state(node.args[0])
        run = OPERATIONS[operation(node)]
        self.by_gap.states = self.original.states
        parts = [run(tracker, node) for tracker in (self.by_new, self.by_gap)]
        first, second = (part[0] if isinstance(part, list) else part for part in parts)
        return first.with_values(added(first.values, second.values))

    def _apart(self, node: fx.Node) -> Tensor:
        """How far values within the bounds of both networks can be apart."""
        one, other = (tracker.state(node) for tracker in (self.original, self.changed))
        if one is None or other is None:
            return torch.tensor(math.inf).double()
        return torch.maximum(one.values.high - other.values.low, other.values.high - one.values.low)

    def _of_two(self, node: fx.Node, name: str) -> Any:
        sides = list(node.args[:2])
        moving = [side for side in sides if isinstance(side, fx.Node) and not self.original.holds(side)]
        if name in ("add", "sub") and len(moving) == 1:
            found, put_out = self.state(moving[0]), self.original.state(node)
            if put_out is None or len(put_out.units) != len(found.units):
                raise NoBound(f"the change is not followed through {describe(node)}")
            return Channels(put_out.axis, found.units, found.values)
        if name != "mul" or len(moving) == 1:
            return OPERATIONS[name](self.by_new, node)
        if sides[0] is sides[1]:
            before = self.state(sides[0])
            sizes = [tracker.state(sides[0]).values.magnitude() for tracker in (self.original, self.changed)]  # type: ignore[union-attr]
            return before.with_values(_within(product(_size(before), sizes[0] + sizes[1])))
        return self._product(node, sides)

    def _product(self, node: fx.Node, sides: list[Any]) -> Channels:
        """The difference x y − x′ y′ is x (y − y′) + (x − x′) y′."""
        differences = [self.by_new.states[side] for side in sides]
        values = [self.original.states[sides[0]], self.changed.states[sides[1]]]
        parts = []
        for first, second in ((values[0], differences[1]), (differences[0], values[1])):
            self.by_gap.states = {sides[0]: first, sides[1]: second}
            parts.append(OPERATIONS["mul"](self.by_gap, node))
        if None in parts:
            raise NoBound(f"the change is not followed through {describe(node)}")
        one, other = cast(list[Channels], parts)
        return one.with_values(added(one.values, other.values))


def _tracker(traced: TracedNetwork, tensors: dict[str, Tensor]) -> Tracker:
    return Tracker(dataclasses.replace(traced, tensors=tensors), 0.0)


def _offsets(node: fx.Node, *fields: str) -> list[str]:
    """The names of what an operation with weights adds."""
    if operation(node) not in NORMS and not operation(node).startswith(("conv", "linear")):
        return []
    parts = [argument(node, field) for field in fields]
    return [part.name for part in parts if isinstance(part, fx.Node)]


def _weights(traced: TracedNetwork) -> set[str]:
    return {name for node in traced.graph.nodes for name in _offsets(node, "weight")}


FOLLOWED = {
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "unsqueeze", "squeeze", "expand", "cat"),
    *("clone", "alias", "detach", "contiguous", "dropout", "_to_copy", "slice", "select", "split", "split_with_sizes", "chunk"),
    *("pad", "constant_pad_nd", "mean", "amax", "amin"),
    *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)),
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_avg") for n in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d")),
}
"""Operations that do to a difference what they do to values, or make it no larger."""
