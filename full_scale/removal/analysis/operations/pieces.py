"""Operations that cut the channels into pieces, or join groups of channels to one."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Folded, Tracker, repeated
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import followed, rearranged, unknown
from full_scale.removal.analysis.values import Values, multiplied

VIEWS = ("view", "reshape", "_unsafe_view", "flatten")


def part(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels of a part of the positions, or a stretch of the channels.

    A stretch cuts the axis: before, within and behind it, channels are lost in proportion.
    """
    found, axis = followed(tracker, node), argument(node, "dim")
    before = shape(source(node))
    if found is None:
        return unknown(tracker, node)
    if axis % len(before) != found.axis:
        dropped = operation(node) == "select" and axis % len(before) < found.axis
        return Channels(found.axis - dropped, found.units, rearranged(tracker, node, found.values))
    if operation(node) == "select" or argument(node, "step") != 1:
        return unknown(tracker, node)
    count = before[found.axis]
    start, end, _ = slice(argument(node, "start"), argument(node, "end")).indices(count)
    if end <= start:
        return unknown(tracker, node)
    if (start, end) != (0, count):
        stated = [found.units[:place] for place in (start, end) if 0 < place < count]
        tracker.cut(node, [found.units[:start], found.units[start:end], found.units[end:]], stated)
    return _stretch(found, start, end)


def split(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """Follow the channels of each piece; pieces of the channels lose channels in proportion."""
    found, axis = followed(tracker, node), argument(node, "dim")
    pieces = [tuple(value.shape) for value in node.meta["val"]]
    if found is None:
        return [unknown(tracker, node)] * len(pieces)
    if axis % len(pieces[0]) != found.axis:
        return [found.with_values(found.values.without_patterns()) for _ in pieces]
    ends = torch.tensor([0, *(piece[found.axis] for piece in pieces)]).cumsum(0).tolist()
    parts = [_stretch(found, start, end) for start, end in pairwise(ends)]
    if len(parts) > 1:
        tracker.cut(node, [part.units for part in parts], [part.units for part in parts])
    return list(parts)


def _stretch(found: Channels, start: int, end: int) -> Channels:
    return Channels(found.axis, found.units[start:end], _of_whole_maps(found).each(lambda vector: vector[start:end]))


def _of_whole_maps(found: Channels) -> Values:
    """The values, with maps only of channels of their own: the positions of one on an axis may not stay together."""
    return found.values if len(np.unique(found.units)) == len(found.units) else found.values.without_patterns()


def gated_linear_unit(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the first half of the channels times the sigmoid of the second."""
    found = followed(tracker, node)
    if found is None or argument(node, "dim") % len(shape(node)) != found.axis:
        return unknown(tracker, node)
    half = len(found.units) // 2
    tracker.tie(found.units[:half], found.units[half:])
    values, gates = (_stretch(found, start, start + half).values for start in (0, half))
    constant = torch.where(gates.is_uniform, gates.constant.sigmoid(), torch.nan)
    gates = Values.bounded(gates.low.sigmoid(), gates.high.sigmoid()).widened(8 * tracker.rounding).with_constants(constant)
    return Channels(found.axis, found.units[:half], multiplied(values, gates).widened(2 * tracker.rounding))


def pixel_shuffle(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after each group of r² became one of r times the width and height: they go together."""
    found, times = followed(tracker, node), argument(node, "upscale_factor") ** 2
    if found is None or found.axis != len(shape(node)) - 3:
        return unknown(tracker, node)
    return joined(tracker, found, times)


def joined(tracker: Tracker, found: Channels, times: int) -> Channels:
    """Tie each `times` channels in a row, which become one: constant where all are the same constant at all positions."""
    first = found.units[::times]
    tracker.tie(found.units, repeated(first, times))
    low, high, constant = (
        vector.view(-1, times) for vector in (found.values.low, found.values.high, found.values.without_patterns().constant)
    )
    same = (constant == constant[:, :1]).all(1)
    bounds = Values.bounded(low.amin(1), high.amax(1))
    return Channels(found.axis, first, bounds.with_constants(torch.where(same, constant[:, 0], torch.nan)))


def pixel_unshuffle(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after each was spread over r² in a row."""
    found, times = followed(tracker, node), argument(node, "downscale_factor") ** 2
    if found is None or found.axis != len(shape(node)) - 3:
        return unknown(tracker, node)
    values = found.values.without_patterns().each(lambda vector: vector.repeat_interleave(times))
    return Channels(found.axis, repeated(found.units, times), values)


def channel_shuffle(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels in an order that takes one of each group in turn."""
    found = followed(tracker, node)
    if found is None or found.axis != 1:
        return unknown(tracker, node)
    return _shuffled(tracker, found, argument(node, "groups"))


def _shuffled(tracker: Tracker, found: Channels, groups: int) -> Channels:
    order = tracker.shuffle(found.units, groups)
    return Channels(found.axis, found.units[order], _of_whole_maps(found).each(lambda vector: vector[torch.from_numpy(order)]))


def shuffled_by_views(tracker: Tracker, node: fx.Node, found: Channels) -> bool:
    """Whether a view gives groups of channels an axis, which the next operations exchange with theirs and take away again.

    What the last of them puts out is noted, and the others as folded.
    """
    before, after, axis = shape(source(node)), shape(node), found.axis
    if (
        after[:axis] != before[:axis]
        or math.prod(after[axis : axis + 2]) != before[axis]
        or after[axis + 2 :] != before[axis + 1 :]
    ):
        return False
    exchanged = next(iter(node.users))
    chain = [exchanged]
    while len(chain[-1].users) == 1 and operation(next(iter(chain[-1].users))) in ("clone", "contiguous"):
        chain.append(next(iter(chain[-1].users)))
    last = next(iter(chain[-1].users), node)
    alone = all(len(part.users) == 1 for part in (node, *chain))
    if not alone or not _exchanges(exchanged, axis) or operation(last) not in VIEWS or shape(last) != before:
        return False
    groups = after[axis]
    tracker.folded[node] = Folded(axis + 1, groups, found.units)
    tracker.folded.update({part: Folded(axis, groups, found.units) for part in chain})
    tracker.state_size(node, found.units[: after[axis + 1]])
    tracker.state_size(last, found.units)
    tracker.states[last] = [_shuffled(tracker, found, groups)]
    return True


def _exchanges(node: fx.Node, axis: int) -> bool:
    """Whether an operation exchanges an axis with the next."""
    order = list(range(len(shape(node))))
    order[axis : axis + 2] = axis + 1, axis
    if operation(node) == "permute":
        return [place % len(order) for place in argument(node, "dims")] == order
    return operation(node) == "transpose" and sorted(place % len(order) for place in node.args[1:3]) == [axis, axis + 1]  # type: ignore[operator]
