"""Normalizations: by running statistics, by those of each channel alone, and by those of several channels together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from full_scale.removal.analysis.channels import Channels, Grouped, Tracker, describe, repeated
from full_scale.removal.analysis.graph import argument, module_of, shape, source
from full_scale.removal.analysis.operations.common import followed, unknown
from full_scale.removal.analysis.values import Values


def batch_norm(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """The channels after BatchNorm with running statistics; scale 0 makes the shift of whatever comes in."""
    found = tracker.channels(source(node), min(1, len(shape(source(node))) - 1))
    names = ("weight", "bias", "running_mean", "running_var")
    parts = [argument(node, name) for name in names]
    if not all(part is None or tracker.holds(part) for part in parts):
        return [unknown(tracker, node)]
    for part in parts:
        tracker.claim(part, 0, found.units)
    mean, variance = (tracker.value(part) for part in parts[2:])
    scale, shift = _scale_and_shift(tracker, parts[:2], len(found.units))
    assert mean is not None
    assert variance is not None
    values = _affine(found.values, scale / (variance + argument(node, "eps")).sqrt(), shift, mean, tracker.rounding)
    return [found.with_values(values.with_constants(torch.where(scale == 0, shift, values.constant)))]


def _scale_and_shift(tracker: Tracker, parts: list[Any], count: int) -> tuple[Tensor, Tensor]:
    scale, shift = (tracker.value(part) for part in parts)
    scale = torch.ones(count).double() if scale is None else scale
    return scale, torch.zeros(count).double() if shift is None else shift


def _affine(values: Values, factor: Tensor, shift: Tensor, mean: Tensor, rounding: float) -> Values:
    values = values.without_patterns()
    ends = torch.stack([(values.low - mean) * factor, (values.high - mean) * factor]) + shift
    size = (values.magnitude() + mean.abs()) * factor.abs() + shift.abs()
    margin = 8 * rounding * size
    constant = (values.constant - mean) * factor + shift
    return Values.bounded(ends.amin(0) - margin, ends.amax(0) + margin).with_constants(constant)


def _shifts(scale: Tensor, shift: Tensor, silent: Tensor) -> Values:
    """Channels that are their shift where the scale is 0 or nothing but 0 comes in, and may be anything elsewhere."""
    dead = (scale == 0) | silent
    return Values.unknown(len(shift)).with_constants(torch.where(dead, shift, torch.nan))


def own_statistics(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """The channels after a normalization of each by its own mean and variance: scale 0, or 0 coming in, make the shift."""
    if argument(node, "use_input_stats") is False and argument(node, "running_mean") is not None:
        return batch_norm(tracker, node)
    found, places = followed(tracker, node), min(1, len(shape(source(node))) - 1)
    parts = [argument(node, name) for name in ("weight", "bias")]
    plain = argument(node, "running_mean") is None and all(part is None or tracker.holds(part) for part in parts)
    if found is None or found.axis != places or not plain:
        return [unknown(tracker, node)]
    for part in parts:
        tracker.claim(part, 0, found.units)
    scale, shift = _scale_and_shift(tracker, parts, len(found.units))
    statistics = Channels(0, found.units, Values.unknown(len(shift)))
    return [found.with_values(_shifts(scale, shift, found.values.constant == 0)), statistics, statistics]


def group_norm(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after GroupNorm, which loses whole groups only: all channels of a group have a part in its statistics."""
    found, parts = followed(tracker, node), [argument(node, name) for name in ("weight", "bias")]
    if found is None or found.axis != 1 or not all(part is None or tracker.holds(part) for part in parts):
        return unknown(tracker, node)
    for part in parts:
        tracker.claim(part, 0, found.units)
    groups, count = argument(node, "num_groups"), len(found.units)
    first = found.units.reshape(groups, -1)[:, 0]
    tracker.tie(found.units, repeated(first, count // groups))
    path = module_of(node)
    owner = dict(tracker.traced.module.named_modules()).get(path)
    if not isinstance(owner, nn.GroupNorm) or owner.num_groups != groups:
        tracker.lock(found.units, f"{describe(node)} has its number of groups in its code")
    tracker.grouped.append(Grouped(node, path, first))
    scale, shift = _scale_and_shift(tracker, parts, count)
    silent = (found.values.constant == 0).view(groups, -1).all(1).repeat_interleave(count // groups)
    return found.with_values(_shifts(scale, shift, silent))


def layer_norm(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after LayerNorm or RMSNorm of the last axis, all of which have a part in its statistics: they stay."""
    parts = [argument(node, name) for name in ("weight", "bias")]
    if len(argument(node, "normalized_shape")) != 1 or not all(part is None or tracker.holds(part) for part in parts):
        return unknown(tracker, node)
    found = tracker.channels(source(node), len(shape(node)) - 1)
    tracker.lock(found.units, f"its mean and variance are part of {describe(node)}")
    for part in parts:
        tracker.claim(part, 0, found.units)
    scale, shift = _scale_and_shift(tracker, parts, len(found.units))
    return found.with_values(_shifts(scale, shift, torch.zeros_like(scale, dtype=torch.bool)))
