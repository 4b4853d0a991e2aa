"""Operations that move, join or repeat channels without computing anything."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe, repeated
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import followed, unknown
from full_scale.removal.analysis.values import Values, concatenated, either


def view(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a change of shape that keeps each channel's numbers together, such as flatten."""
    found = followed(tracker, node)
    if found is None:
        return unknown(tracker, node)
    before, after = shape(source(node)), shape(node)
    places = [axis for axis in range(len(after)) if _keeps_channels(before, found.axis, after, axis)]
    if not places:
        return unknown(tracker, node)
    axis, times = places[0], after[places[0]] // before[found.axis]
    values = _rearranged(tracker, node, found.values).each(lambda vector: vector.repeat_interleave(times))
    return Channels(axis, repeated(found.units, times), values)


def _rearranged(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    """The same values at other positions, which makes another pattern of each."""
    return values.with_constants(values.constant, tracker.pattern(node, values.pattern, borders=False))


def _keeps_channels(before: tuple[int, ...], old: int, after: tuple[int, ...], new: int) -> bool:
    return math.prod(before[:old]) == math.prod(after[:new]) and after[new] % before[old] == 0


def moved(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after axes were exchanged, added or dropped."""
    found, ndim = followed(tracker, node), len(shape(source(node)))
    if found is None:
        return unknown(tracker, node)
    order = _order(operation(node), ndim, node.args[1:], shape(source(node)))
    if found.axis not in order:
        return unknown(tracker, node)
    return Channels(order.index(found.axis), found.units, _rearranged(tracker, node, found.values))


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
    return Channels(axis, found.units, _rearranged(tracker, node, found.values))


def cat(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of all inputs one after the other; or the same channels, joined along another axis."""
    parts = [part for part in cast(list[fx.Node], node.args[0]) if math.prod(shape(part))]
    axis = argument(node, "dim") % len(shape(node))
    states = [tracker.state(part) for part in parts]
    first = next((state for state in states if state is not None), None)
    if first is None or (first.axis != axis and any(s is None or s.axis != first.axis for s in states)):
        return unknown(tracker, node)
    if first.axis != axis:
        return _joined(tracker, [state for state in states if state is not None])
    found = [tracker.channels(part, axis) for part in parts]
    units = [unit for part in found for unit in part.units]
    return Channels(axis, repeated(units, 1), concatenated([part.values for part in found]))


def _joined(tracker: Tracker, states: list[Channels]) -> Channels:
    result = states[0]
    for other in states[1:]:
        tracker.tie(result.units, other.units)
        result = result.with_values(either(result.values.without_patterns(), other.values.without_patterns()))
    return result


def pad(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a border was added; zeros make a pattern, channels of zeros are new and stay."""
    found, amounts = followed(tracker, node), argument(node, "pad")
    if argument(node, "mode") not in (None, "constant"):
        return reflected(tracker, node)
    number = argument(node, "value") or 0
    if found is None or number != 0:
        return unknown(tracker, node)
    ndim = len(shape(node))
    around = {ndim - 1 - i // 2: (amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)}
    before, after = around.pop(found.axis, (0, 0))
    if before < 0 or after < 0:
        return unknown(tracker, node)
    values, amounts = found.values, [amount for pair in around.values() for amount in pair]
    if any(amounts):
        pattern = tracker.pattern(node, values.pattern, borders=max(amounts) > 0)
        values = Values.bounded(values.low.clamp(max=0), values.high.clamp(min=0)).with_constants(values.constant, pattern)
    if not before and not after:
        return found.with_values(values)
    return _with_zero_channels(tracker, node, found.with_values(values), before, after)


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
    return found.with_values(_rearranged(tracker, node, found.values))


def part(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of a part of the positions; a part of the channels is left alone."""
    found, axis = followed(tracker, node), argument(node, "dim")
    ndim = len(shape(source(node)))
    if found is None:
        return unknown(tracker, node)
    if axis % ndim == found.axis:
        whole = shape(node) == shape(source(node))
        return found if whole else unknown(tracker, node)
    dropped = operation(node) == "select" and axis % ndim < found.axis
    return Channels(found.axis - dropped, found.units, _rearranged(tracker, node, found.values))


def split(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """The channels of each piece; pieces of the channels are left alone, because the code fixes their sizes."""
    found, axis = followed(tracker, node), argument(node, "dim")
    pieces = [tuple(value.shape) for value in node.meta["val"]]
    if found is None:
        return [unknown(tracker, node)] * len(pieces)
    if axis % len(pieces[0]) != found.axis:
        pattern = found.values.without_patterns()
        return [found.with_values(pattern) for _ in pieces]
    tracker.lock(found.units, f"cut into pieces by {describe(node)}")
    ends = torch.tensor([piece[found.axis] for piece in pieces]).cumsum(0).tolist()
    spans = [slice(end - piece[found.axis], end) for end, piece in zip(ends, pieces, strict=True)]
    return [Channels(found.axis, found.units[span], _span(found.values, span)) for span in spans]


def _span(values: Values, span: slice) -> Values:
    return values.each(lambda vector: vector[span])
