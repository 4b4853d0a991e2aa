"""Attention: means over tokens with weights that depend on the image, and products of matrices."""

from __future__ import annotations

import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.graph import argument, shape
from full_scale.removal.analysis.operations.common import unknown
from full_scale.removal.analysis.values import Values

SPREAD = 2.0**12
"""Rounding errors of a mean over tokens are taken to be at most this many units."""


def attention(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The features of values, the last axis, or whole heads of queries, keys and values; a constant is its own mean.

    Where a mask leaves a token nothing to look at, it gets 0.
    """
    parts = [argument(node, name) for name in ("query", "key", "value")]
    states, last = [tracker.state(part) for part in parts], len(shape(node)) - 1
    found = states[2]
    if found is None or found.axis == last - 1 or shape(parts[2])[: last - 1] != shape(node)[: last - 1]:
        return unknown(tracker, node)
    for state in states[:2]:
        if found.axis < last and (state is None or state.axis != found.axis or len(state.units) != len(found.units)):
            return unknown(tracker, node)
        if state is not None and found.axis < last:
            tracker.tie(found.units, state.units)
        elif state is not None:
            tracker.lock(state.units, f"multiplied with other features by {describe(node)}")
    mask = argument(node, "attn_mask")
    if tracker.state(mask) is not None:
        return unknown(tracker, node)
    values = found.values.without_patterns()
    mean = Values.bounded(values.low, values.high).widened(SPREAD * tracker.rounding).with_constants(values.constant)
    return found.with_values(mean if mask is None else mean.including_zero())


def product(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The columns of the second of two matrices; those of zeros stay zeros."""
    left, right = node.args[:2]
    found, other = tracker.state(right), tracker.state(left)
    if found is None or found.axis != len(shape(node)) - 1 or len(shape(right)) != len(shape(node)):  # type: ignore[arg-type]
        return unknown(tracker, node)
    if other is not None:
        tracker.lock(other.units, f"multiplied with other features by {describe(node)}")
    zeros = torch.where(found.values.constant == 0, 0.0, torch.nan)
    return found.with_values(Values.unknown(len(found.units)).with_constants(zeros))
