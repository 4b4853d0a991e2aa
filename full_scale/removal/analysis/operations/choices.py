"""Operations that compare numbers, or choose between them: masks, maxima of two tensors, `where`."""

from __future__ import annotations

import torch
from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker
from full_scale.removal.analysis.graph import argument, operation, source
from full_scale.removal.analysis.operations.common import unknown
from full_scale.removal.analysis.operations.pointwise import aligned
from full_scale.removal.analysis.operations.positions import largest
from full_scale.removal.analysis.values import Values, either

COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne")


def comparison(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow channels of truth values, as 0 and 1."""
    found = aligned(tracker, node, list(node.args[:2]))
    if found is None:
        return unknown(tracker, node)
    (leading, (one, other)), known = found, found[1][0].is_uniform & found[1][1].is_uniform
    truth = getattr(torch, operation(node))(one.constant, other.constant).double()
    zero = torch.zeros_like(one.low)
    return leading.with_values(Values.bounded(zero, zero + 1).with_constants(torch.where(known, truth, torch.nan)))


def extreme(tracker: Tracker, node: fx.Node) -> Channels | list[Channels | None] | None:
    """Follow channels of the larger or smaller of two tensors; or of one over an axis."""
    if argument(node, "other") is None:
        return largest(tracker, node)
    found = aligned(tracker, node, list(node.args[:2]))
    if found is None:
        return unknown(tracker, node)
    leading, (one, other) = found
    choose = torch.maximum if operation(node).startswith("max") else torch.minimum
    both = one.is_uniform & other.is_uniform
    constant = torch.where(both, choose(one.constant, other.constant), torch.nan)
    return leading.with_values(Values.bounded(choose(one.low, other.low), choose(one.high, other.high)).with_constants(constant))


def where(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow channels whose numbers are those of one tensor where a condition holds, else those of another."""
    found = aligned(tracker, node, [argument(node, name) for name in ("condition", "self", "other")])
    if found is None:
        return unknown(tracker, node)
    leading, (condition, one, other) = found
    return leading.with_values(_chosen(condition, one, other))


def masked_fill(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Follow channels in which some numbers are replaced by a given one."""
    found = aligned(tracker, node, [argument(node, "mask"), source(node), argument(node, "value")])
    if found is None:
        return unknown(tracker, node)
    leading, (condition, kept, filled) = found
    return leading.with_values(_chosen(condition, filled, kept))


def _chosen(condition: Values, one: Values, other: Values) -> Values:
    """What is known of `one` where the condition is 1, of `other` where it is 0, else of either."""
    one, other = one.without_patterns(), other.without_patterns()
    mixed, known = either(one, other), condition.is_uniform
    yes, no = known & (condition.constant != 0), known & (condition.constant == 0)
    low, high, constant = (
        torch.where(yes, a, torch.where(no, b, c))
        for a, b, c in zip(*((v.low, v.high, v.constant) for v in (one, other, mixed)), strict=True)
    )
    return Values.bounded(low, high).with_constants(constant)
