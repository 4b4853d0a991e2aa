"""The walk through a graph: what is constant, what must go together, what stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from full_scale.models.parts.tracing import has_frozen_statistics
from full_scale.removal.analysis.channels import Channels, Tracker
from full_scale.removal.analysis.graph import TracedNetwork, argument, module_of, operation
from full_scale.removal.analysis.operations import OPERATIONS
from full_scale.removal.analysis.operations.common import unknown
from full_scale.removal.analysis.operations.pointwise import UNARY
from full_scale.removal.analysis.values import INFINITY, Values

InputRange = tuple[float | Tensor, float | Tensor]
"""The smallest and the largest value of the inputs, one number each or one a channel."""

OWN_STATISTICS = {"_native_batch_norm_legit", "instance_norm", "group_norm"}
NORMS = OWN_STATISTICS | {"_native_batch_norm_legit_no_training"}
AFFINE = {"add", "sub", "mul", "div"}
FOLLOWING = UNARY | NORMS | {"prelu", "clone", "dropout", "alias", "contiguous", "getitem"}
"""Operations that belong to the layer before them, if they alone read it."""


@dataclass(frozen=True)
class Layer:
    """A layer of features: the name of its BatchNorm (else of its convolution or linear map), and its channels at the end.

    `modules` are the names of all its modules with parameters, `end` is the last operation, usually the activation.
    """

    name: str
    modules: tuple[str, ...]
    end: fx.Node
    channels: Channels


def analyse(traced: TracedNetwork, input_range: InputRange | None = None, silent: Mapping[str, Tensor] | None = None) -> Tracker:
    """All that is found on the way through the graph.

    Args:
        traced: the network.
        input_range: bounds of the inputs; without them nothing is known of the inputs.
        silent: name of a node → the constants that its channels are taken to have, NaN where none.
    """
    tracker = Tracker(traced, _rounding(traced))
    for node in traced.graph.nodes:
        if node.op == "placeholder" and node.name in traced.inputs:
            tracker.states[node] = [_input(tracker, node, input_range)]
        elif tracker.holds(node):
            tracker.follow_parameter(node)
        elif node.op == "call_function":
            tracker.states[node] = _put_out(tracker, node)
            if node.all_input_nodes and all(map(tracker.is_fixed, node.all_input_nodes)):
                tracker.fixed.add(node)
        elif node.op == "output":
            tracker.lock_inputs(node, "an output of the network")
        elif node.op != "placeholder":
            tracker.lock_inputs(node, f"read by {node.op}, which removal does not cover")
        if silent and node.name in silent:
            _impose(tracker, node, silent[node.name])
    tracker.lock_partly_claimed()
    return tracker


def _rounding(traced: TracedNetwork) -> float:
    floating = [tensor.dtype for tensor in traced.tensors.values() if tensor.is_floating_point()]
    return max((torch.finfo(dtype).eps for dtype in floating), default=torch.finfo(torch.float32).eps)


def _input(tracker: Tracker, node: fx.Node, input_range: InputRange | None) -> Channels | None:
    value = node.meta["val"]
    if not isinstance(value, Tensor) or value.dim() < 2 or not value.is_floating_point():
        return None
    count = value.shape[1]
    low, high = (torch.as_tensor(end).double().cpu() for end in input_range or (-INFINITY, INFINITY))
    units = tracker.new_units(count)
    tracker.lock(units, "an input of the network")
    return Channels(1, units, Values.bounded(low.expand(count).clone(), high.expand(count).clone()))


def _put_out(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    if operation(node) == "getitem":
        sources, number = tracker.states.get(node.args[0], []), node.args[1]  # type: ignore[arg-type]
        return [sources[number]] if isinstance(number, int) and number < len(sources) else [None]
    try:
        found: Any = OPERATIONS.get(operation(node), unknown)(tracker, node)
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError):
        found = unknown(tracker, node)  # an unusual form of a known operation must not end the audit of the rest
    return found if isinstance(found, list) else [found]


def _impose(tracker: Tracker, node: fx.Node, constants: Tensor) -> None:
    found = tracker.state(node)
    if found is not None:
        tracker.states[node] = [found.with_values(found.values.with_constants(constants))]


def layers(tracker: Tracker) -> list[Layer]:
    """The layers of features, in the order of the graph."""
    found, seen = [], set[fx.Node]()
    for node in tracker.traced.graph.nodes:
        if weighted_module(tracker, node) is not None and node not in seen:
            chain = _chain(tracker, node)
            seen.update(chain)
            modules = [name for name in (weighted_module(tracker, part) for part in chain) if name is not None]
            named = [name for part in chain if operation(part) in NORMS | AFFINE and (name := weighted_module(tracker, part))]
            channels = tracker.state(chain[-1])
            if channels is not None:
                found.append(Layer(named[-1] if named else modules[0], tuple(modules), chain[-1], channels))
    return found


def weighted_module(tracker: Tracker, node: fx.Node) -> str | None:
    """The name of the module whose weights a convolution, linear map or BatchNorm uses; None for other operations.

    A BatchNorm with frozen statistics may be written as the sums and products that it is made of.
    """
    if operation(node) in AFFINE and not tracker.is_fixed(node):
        path = module_of(node)
        frozen = has_frozen_statistics(dict(tracker.traced.module.named_modules()).get(path))
        return path if frozen else None
    if operation(node) not in NORMS and not operation(node).startswith(("conv", "linear")):
        return None
    for field in ("weight", "running_mean"):
        name = tracker.traced.names.get(getattr(argument(node, field), "name", ""))
        if name is not None:
            return name.rpartition(".")[0]
    return None


def _follows(tracker: Tracker, node: fx.Node, before: fx.Node) -> bool:
    """Whether an operation belongs to the layer before it: one of each number by itself, also with parameters or numbers."""
    others = [part for part in node.all_input_nodes if part is not before]
    return operation(node) in FOLLOWING or (operation(node) in AFFINE and all(map(tracker.is_fixed, others)))


def _chain(tracker: Tracker, node: fx.Node) -> list[fx.Node]:
    """The operations of one layer: each is alone in reading the one before it."""
    chain = [node]
    while True:
        readers = list(chain[-1].users)
        if len(readers) != 1 or not _follows(tracker, readers[0], chain[-1]):
            return chain
        if operation(readers[0]) in OWN_STATISTICS and any(operation(part) in NORMS for part in chain):
            return chain
        after, before = tracker.state(readers[0]), tracker.state(chain[-1])
        if after is None or before is None or after.axis != before.axis or readers[0] in chain:
            return chain
        chain.append(readers[0])
