"""Operations that reorder, repeat or reduce the positions of each channel by itself."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, repeated
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import followed, rearranged, unknown
from full_scale.removal.analysis.operations.shapes import tied_together
from full_scale.removal.analysis.values import INFINITY, Values


def flipped(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after axes were turned around; that of the channels too."""
    found = followed(tracker, node)
    if found is None:
        return unknown(tracker, node)
    values = rearranged(tracker, node, found.values)
    if found.axis not in {axis % len(shape(node)) for axis in argument(node, "dims")}:
        return found.with_values(values)
    return Channels(found.axis, found.units[::-1].copy(), values.each(lambda vector: vector.flip(0)))


def rolled(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after positions were moved around, along other axes than theirs."""
    found = followed(tracker, node)
    axes = {axis % len(shape(node)) for axis in argument(node, "dims")}
    if found is None or not axes or found.axis in axes:
        return unknown(tracker, node)
    return found.with_values(rearranged(tracker, node, found.values))


def repeated_whole(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels of a tensor that is repeated as a whole: all of them again, or more positions."""
    found, before, after = followed(tracker, node), shape(source(node)), shape(node)
    if found is None:
        return unknown(tracker, node)
    axis = found.axis + len(after) - len(before)
    times = after[axis] // len(found.units)
    values = rearranged(tracker, node, found.values).each(lambda vector: vector.repeat(times))
    return Channels(axis, np.tile(found.units, times), values)


def repeated_each(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels of a tensor whose entries along an axis are repeated one by one."""
    found, times, axis = followed(tracker, node), argument(node, "repeats"), argument(node, "dim")
    if found is None or axis is None or not isinstance(times, int):
        return unknown(tracker, node)
    values = rearranged(tracker, node, found.values)
    if axis % len(shape(node)) != found.axis:
        return found.with_values(values)
    return Channels(found.axis, repeated(found.units, times), values.each(lambda vector: vector.repeat_interleave(times)))


def stacked(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow channels of several tensors, which are tied, along a new axis."""
    states = [tracker.state(part) for part in cast(list[fx.Node], node.args[0])]
    new = argument(node, "dim") % len(shape(node))
    found = [state for state in states if state is not None]
    if len(found) < len(states) or len({state.axis for state in found}) != 1:
        return unknown(tracker, node)
    result = tied_together(tracker, found)
    return Channels(result.axis + (new <= result.axis), result.units, result.values)


def largest(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """Follow the channels of a maximum or minimum over one other axis, and of the places where it is."""
    found, axis = followed(tracker, node), argument(node, "dim")
    if found is None or axis is None or axis % len(shape(source(node))) == found.axis:
        return [unknown(tracker, node)] * 2
    dropped = not argument(node, "keepdim") and axis % len(shape(source(node))) < found.axis
    place = found.axis - dropped
    values = found.values.without_patterns()
    return [Channels(place, found.units, values), Channels(place, found.units, Values.unknown(len(found.units)))]


def reduced(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels of a sum, norm, variance or standard deviation over whole axes, but not theirs."""
    found, ndim = followed(tracker, node), len(shape(source(node)))
    axes = {axis % ndim for axis in argument(node, "dim") or ()}
    if found is None or not axes or found.axis in axes:
        return unknown(tracker, node)
    kept = argument(node, "keepdim")
    values = _REDUCED[operation(node)](tracker, node, found.values.without_patterns())
    return Channels(found.axis - (0 if kept else sum(axis < found.axis for axis in axes)), found.units, values)


def _summed(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    """Of how many positions there are depends the size of the image: constants are all multiples of that."""
    low, high = torch.where(values.low < 0, -INFINITY, 0.0), torch.where(values.high > 0, INFINITY, 0.0)
    return Values.bounded(low, high).with_constants(values.constant, tracker.pattern(node, values.pattern, borders=True))


def _normed(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    order = argument(node, "ord")
    if not isinstance(order, int | float) or order <= 0:
        return Values.unknown(len(values.low))
    pattern = tracker.pattern(node, values.pattern, borders=math.isfinite(order))
    zero = torch.zeros_like(values.low)
    return Values.bounded(zero, zero + INFINITY).with_constants(values.constant.abs(), pattern)


def _spread(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    """Of constants it is 0, and no number where there are not more positions than are subtracted from their number."""
    positions = math.prod(shape(source(node))) // math.prod(shape(node))
    correction = argument(node, "correction")
    subtracted = int(argument(node, "unbiased") is not False) if correction is None else correction
    zero = torch.zeros_like(values.low)
    known = values.is_uniform & (positions > subtracted)
    return Values.bounded(zero, zero + INFINITY).with_constants(torch.where(known, 0.0, torch.nan))


_REDUCED = {"sum": _summed, "linalg_vector_norm": _normed, "std": _spread, "var": _spread}


def unpooled(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels after their numbers were put to given places of larger maps of zeros."""
    found, places = followed(tracker, node), tracker.state(argument(node, "indices"))
    if found is None or places is None or places.axis != found.axis:
        return unknown(tracker, node)
    tracker.tie(found.units, places.units)
    return found.with_values(found.values.without_patterns().including_zero())


def patches(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow the channels of all patches of maps, each tap of a patch by itself."""
    found = followed(tracker, node)
    if found is None or found.axis != len(shape(source(node))) - 3:
        return unknown(tracker, node)
    taps = math.prod(argument(node, "kernel_size"))
    values = found.values.without_patterns()
    values = values.including_zero() if any(argument(node, "padding")) else values
    return Channels(found.axis, repeated(found.units, taps), values.each(lambda vector: vector.repeat_interleave(taps)))
