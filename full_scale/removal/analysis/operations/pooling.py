"""Operations that join the positions of each channel by itself: pooling, means, changes of resolution."""

from __future__ import annotations

import re

from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import followed, unknown
from full_scale.removal.analysis.values import Values

SPREAD = 2.0**12
"""Rounding errors of a mean are taken to be at most this many units, more than any window of 4096 positions can make."""


def max_pool(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a maximum over windows, which ignores the border."""
    found = followed(tracker, node)
    if found is None or not _spares_channels(node, found):
        return unknown(tracker, node)
    return found.with_values(found.values.without_patterns())


def max_pool_with_places(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """The channels after a maximum over windows, and those of the places where it is."""
    found = max_pool(tracker, node)
    places = None if found is None else found.with_values(Values.unknown(len(found.units)))
    return [found, places]


def _spares_channels(node: fx.Node, found: Channels) -> bool:
    """Whether the axes that an operation such as "max_pool2d" works on, its last two, come after that of the channels."""
    dimensions = re.search(r"(\d)d", operation(node))
    return dimensions is not None and found.axis < len(shape(source(node))) - int(dimensions[1])


def average_pool(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a mean over windows; a border of zeros that is counted makes a pattern."""
    padding = argument(node, "padding") or [0]
    borders = any(padding) and argument(node, "count_include_pad") is not False
    if argument(node, "divisor_override") is not None:
        return unknown(tracker, node)
    return _averaged(tracker, node, borders)


def resized(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a mean over regions or a change of resolution with weights that are not negative."""
    return _averaged(tracker, node, borders=False)


def overshooting(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a change of resolution with weights that sum to 1, some of them negative."""
    found = _averaged(tracker, node, borders=False)
    if found is None:
        return None
    values = Values.unknown(len(found.units))
    return found.with_values(values.with_constants(found.values.constant, found.values.pattern))


def _averaged(tracker: Tracker, node: fx.Node, borders: bool) -> Channels | None:
    found = followed(tracker, node)
    if found is None or not _spares_channels(node, found):
        return unknown(tracker, node)
    values = found.values
    low, high = (values.low.clamp(max=0), values.high.clamp(min=0)) if borders else (values.low, values.high)
    pattern = tracker.pattern(node, values.pattern, borders)
    bounded = Values.bounded(low, high).widened(SPREAD * tracker.rounding)
    return found.with_values(bounded.with_constants(values.constant, pattern))


def mean(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a mean or maximum over whole axes, but not that of the channels."""
    found, ndim = followed(tracker, node), len(shape(source(node)))
    axes = argument(node, "dim")
    if found is None or not axes:
        return unknown(tracker, node)
    gone = {axis % ndim for axis in axes}
    if found.axis in gone:
        return unknown(tracker, node)
    values = found.values.widened(SPREAD * tracker.rounding)
    pattern = tracker.pattern(node, values.pattern, borders=False)
    if operation(node) != "mean":
        values, pattern = values.without_patterns(), pattern * 0
    dropped = 0 if argument(node, "keepdim") else sum(axis < found.axis for axis in gone)
    return Channels(found.axis - dropped, found.units, values.with_constants(values.constant, pattern))
