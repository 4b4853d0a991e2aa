"""Operations that move, join or repeat channels without computing anything."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe, repeated
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import followed, rearranged, unknown
from full_scale.removal.analysis.operations.pieces import joined, shuffled_by_views
from full_scale.removal.analysis.values import UNIFORM, Values, concatenated, either


def view(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels through a change of shape that keeps the numbers of each together, or joins channels in a row.

    The former is flatten, for one; the latter gives the positions of a map back to features: channels of a map go together.
    """
    if tracker.states.get(node):
        return tracker.state(node)  # noted before, at the beginning of a shuffle
    found = followed(tracker, node)
    if found is None:
        return unknown(tracker, node)
    if shuffled_by_views(tracker, node, found):
        return None
    before, after = shape(source(node)), shape(node)
    count = before[found.axis]
    ahead = [axis for axis in range(len(after)) if math.prod(before[: found.axis]) == math.prod(after[:axis])]
    axis = next((axis for axis in ahead if after[axis] % count == 0), None)
    if axis is not None:
        times = after[axis] // count
        values = rearranged(tracker, node, found.values).each(lambda vector: vector.repeat_interleave(times))
        result = Channels(axis, repeated(found.units, times), values)
    else:
        axis = next((axis for axis in ahead if after[axis] > 1 and count % after[axis] == 0), None)
        if axis is None:
            return unknown(tracker, node)
        grouped = joined(tracker, found, count // after[axis])
        result = Channels(axis, grouped.units, grouped.values)
    sizes = argument(node, "size") or argument(node, "shape")
    if isinstance(sizes, list) and sizes[axis] != -1:
        tracker.state_size(node, result.units)
    return result


def moved(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after axes were exchanged, added or dropped."""
    if node in tracker.folded:
        return None
    found, ndim = followed(tracker, node), len(shape(source(node)))
    if found is None:
        return unknown(tracker, node)
    order = _order(operation(node), ndim, node.args[1:], shape(source(node)))
    if found.axis not in order:
        return unknown(tracker, node)
    return Channels(order.index(found.axis), found.units, rearranged(tracker, node, found.values))


def _order(name: str, ndim: int, options: Any, before: tuple[int, ...]) -> list[int]:
    """The old number of each axis after a change of axes, −1 for a new one."""
    order = list(range(ndim))
    if name == "permute":
        return [axis % ndim for axis in options[0]]
    if name == "transpose":
        a, b = (axis % ndim for axis in options[:2])
        order[a], order[b] = b, a
    elif name == "unsqueeze":
        order.insert(options[0] % (ndim + 1), -1)
    else:
        named = options[0] if options else order
        gone = {axis % ndim for axis in (named if isinstance(named, list | tuple) else [named])}
        order = [axis for axis in order if axis not in gone or before[axis] != 1]
    return order


def expanded(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after the repetition of other axes."""
    found = followed(tracker, node)
    axis = 0 if found is None else found.axis + len(shape(node)) - len(shape(source(node)))
    if found is None or shape(node)[axis] != len(found.units):
        return unknown(tracker, node)
    return Channels(axis, found.units, rearranged(tracker, node, found.values))


def cat(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of all inputs one after the other; or the same channels, joined along another axis."""
    parts = [part for part in cast(list[fx.Node], node.args[0]) if math.prod(shape(part))]
    axis = argument(node, "dim") % len(shape(node))
    states = [tracker.state(part) for part in parts]
    first = next((state for state in states if state is not None), None)
    if first is None or (first.axis != axis and any(s is None or s.axis != first.axis for s in states)):
        return unknown(tracker, node)
    if first.axis != axis:
        return tied_together(tracker, [state for state in states if state is not None])
    found = [tracker.channels(part, axis) for part in parts]
    units = [unit for part in found for unit in part.units]
    return Channels(axis, repeated(units, 1), concatenated([part.values for part in found]))


def tied_together(tracker: Tracker, states: list[Channels]) -> Channels:
    """Tie the channels of several tensors that are joined along another axis."""
    result = states[0]
    for other in states[1:]:
        tracker.tie(result.units, other.units)
        result = result.with_values(either(result.values.without_patterns(), other.values.without_patterns()))
    return result


def pad(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after a border of one number was added, which makes a pattern; new channels of zeros stay."""
    found, amounts = followed(tracker, node), argument(node, "pad")
    if argument(node, "mode") not in (None, "constant"):
        return reflected(tracker, node)
    number = float(argument(node, "value") or 0)
    if found is None:
        return unknown(tracker, node)
    ndim = len(shape(node))
    around = {ndim - 1 - i // 2: (amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)}
    before, after = around.pop(found.axis, (0, 0))
    if before < 0 or after < 0 or (number != 0 and before + after > 0):
        return unknown(tracker, node)
    values, amounts = found.values, [amount for pair in around.values() for amount in pair]
    if any(amounts) and not _is_ignored(node, number, around):
        values = _bordered(tracker, node, values, number, max(amounts) > 0)
    if not before and not after:
        return found.with_values(values)
    return _with_zero_channels(tracker, node, found.with_values(values), before, after)


def _is_ignored(node: fx.Node, number: float, around: dict[int, tuple[int, int]]) -> bool:
    """Whether only maxima of windows read a border of −∞, each of which holds a number from within."""
    if number != -math.inf:
        return False
    for reader in node.users:
        size = argument(reader, "kernel_size") if operation(reader).startswith("max_pool") else ()
        first = len(shape(node)) - len(size)
        reached = [max(around.get(axis, (0, 0))) < length for axis, length in enumerate(size, first)]
        plain = bool(size) and not any(argument(reader, "padding")) and all(step == 1 for step in argument(reader, "dilation"))
        if not plain or not all(reached) or any(max(pair) > 0 for axis, pair in around.items() if axis < first):
            return False
    return True


def _bordered(tracker: Tracker, node: fx.Node, values: Values, number: float, borders: bool) -> Values:
    """The values with a border; constants make the same map only where they are the same, unless the border is 0."""
    if not borders:
        return rearranged(tracker, node, values)
    bounds = Values.bounded(values.low.clamp(max=number), values.high.clamp(min=number))
    if number == 0:
        return bounds.with_constants(values.constant, tracker.pattern(node, values.pattern, borders=True))
    constant, pattern = torch.full_like(values.constant, torch.nan), torch.zeros_like(values.pattern)
    for index in np.flatnonzero(values.is_uniform.numpy()).tolist():
        inside = float(values.constant[index])
        if inside == number:
            constant[index] = inside
        elif math.isfinite(number):
            key = f"{node.name} around {inside!r}"
            constant[index] = inside or number
            pattern[index] = tracker.patterns.setdefault((key, UNIFORM), len(tracker.patterns) + 1)
    return bounds.with_constants(constant, pattern)


def _with_zero_channels(tracker: Tracker, node: fx.Node, found: Channels, before: int, after: int) -> Channels:
    zeros = [torch.zeros(count).double() for count in (before, after)]
    added = [tracker.new_units(count) for count in (before, after)]
    tracker.lock(repeated([*added[0], *added[1]], 1), f"channels of zeros made by {describe(node)}")
    values = [Values.bounded(zero, zero) for zero in zeros]
    units = repeated([*added[0], *found.units, *added[1]], 1)
    return Channels(found.axis, units, concatenated([values[0], found.values, values[1]]))


def reflected(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a border of repeated or mirrored values, along other axes than that of the channels."""
    found = followed(tracker, node)
    axes = len(argument(node, "padding") or argument(node, "pad")) // 2
    if found is None or found.axis >= len(shape(node)) - axes:
        return unknown(tracker, node)
    return found.with_values(rearranged(tracker, node, found.values))
