"""Operations that read all channels and put out new ones: convolutions and linear maps."""

from __future__ import annotations

from torch import Tensor, fx

from full_scale.removal.analysis.channels import Channels, Grouped, Reader, Tracker, Units, repeated
from full_scale.removal.analysis.graph import argument, operation, shape, source
from full_scale.removal.analysis.operations.common import unknown
from full_scale.removal.analysis.values import Values, contracted

REPEATING = {"expand", "repeat", "clone", "contiguous", "_to_copy", "alias"}
"""Operations that make a weight for each channel of a single filter."""


def convolution(tracker: Tracker, node: fx.Node) -> Channels | None:
    """New channels of a convolution; one with groups ties all channels of a group."""
    weight = argument(node, "weight")
    if not _may_hold(tracker, argument(node, "bias")):
        return unknown(tracker, node)
    spatial = len(shape(weight)) - 2
    axis = len(shape(node)) - spatial - 1
    padding = argument(node, "padding")
    padded = padding == "same" if isinstance(padding, str) else any(padding)
    if not tracker.holds(weight):
        return _same_filter(tracker, node, axis, padded)
    return _contraction(tracker, node, axis, groups=argument(node, "groups"), transposed=False, drops_taps=padded)


def _same_filter(tracker: Tracker, node: fx.Node, axis: int, padded: bool) -> Channels | None:
    """Follow each channel by itself through one filter that the code repeats for each of them, however many there are."""
    inputs, weight, count = tracker.channels(source(node), axis), argument(node, "weight"), argument(node, "groups")
    repeats, filters = [], weight
    while operation(filters) in REPEATING and not tracker.holds(filters):
        repeats.append(filters)
        filters = source(filters)
    value = tracker.value(filters) if tracker.holds(filters) else None
    alike = value is not None and value.shape[:2] == (1, 1) and shape(weight) == (count, 1, *value.shape[2:])
    if not alike or value is None or argument(node, "bias") is not None or count != shape(node)[axis]:
        return unknown(tracker, node)
    for made in repeats:
        if shape(made)[0] == count:
            tracker.states[made] = [Channels(0, inputs.units, Values.unknown(count))]
    tracker.grouped.append(Grouped(node, None, inputs.units))
    by_channel = value.flatten().expand(count, 1, 1, -1)
    return Channels(axis, inputs.units, contracted(by_channel, None, inputs.values, padded, tracker.rounding))


def transposed_convolution(tracker: Tracker, node: fx.Node) -> Channels | None:
    """New channels of a transposed convolution, whose outputs see different taps at different positions."""
    weight = argument(node, "weight")
    if not tracker.holds(weight) or not _may_hold(tracker, argument(node, "bias")):
        return unknown(tracker, node)
    axis = len(shape(node)) - len(shape(weight)) + 1
    return _contraction(tracker, node, axis, groups=argument(node, "groups"), transposed=True, drops_taps=True)


def linear(tracker: Tracker, node: fx.Node) -> Channels | None:
    """New features of a linear map of the last axis."""
    weight = argument(node, "weight")
    if not tracker.holds(weight) or len(shape(weight)) != 2 or not _may_hold(tracker, argument(node, "bias")):
        return unknown(tracker, node)
    return _contraction(tracker, node, len(shape(node)) - 1, groups=1, transposed=False, drops_taps=False)


def _may_hold(tracker: Tracker, bias: object) -> bool:
    return bias is None or tracker.holds(bias)


def _contraction(tracker: Tracker, node: fx.Node, axis: int, *, groups: int, transposed: bool, drops_taps: bool) -> Channels:
    weight, bias = argument(node, "weight"), argument(node, "bias")
    inputs = tracker.channels(source(node), axis)
    outputs = tracker.new_units(shape(node)[axis])
    if groups == 1:
        claim_axis = 0 if transposed else 1
        tracker.claim(weight, claim_axis, inputs.units)
        tracker.claim(weight, 1 - claim_axis, outputs)
        name = tracker.traced.names.get(weight.name, weight.name)
        tracker.read(Reader(node, name, claim_axis, inputs, not drops_taps, weight, bias))
    else:
        tracker.claim(weight, 0, inputs.units if transposed else outputs)
        _tie_groups(tracker, node, weight, groups, inputs, outputs)
    tracker.claim(bias, 0, outputs)
    by_group = _by_group(tracker.traced.tensors[weight.name].detach().cpu(), groups, transposed)
    values = contracted(by_group, tracker.value(bias), inputs.values, drops_taps, tracker.rounding)
    return Channels(axis, outputs, values)


def _tie_groups(tracker: Tracker, node: fx.Node, weight: fx.Node, groups: int, inputs: Channels, outputs: Units) -> None:
    first = inputs.units.reshape(groups, -1)[:, 0]
    tracker.tie(inputs.units, repeated(first, len(inputs.units) // groups))
    tracker.tie(outputs, repeated(first, len(outputs) // groups))
    name = tracker.traced.names.get(weight.name, "")
    owner = tracker.traced.module.get_submodule(name.rpartition(".")[0])
    stated = bool(name) and getattr(owner, "groups", None) == groups
    tracker.grouped.append(Grouped(node, name.rpartition(".")[0] if stated else None, first))
    if not stated:
        tracker.state_size(node, first)


def _by_group(weight: Tensor, groups: int, transposed: bool) -> Tensor:
    """The weight with shape (groups, outputs of a group, inputs of a group, taps)."""
    split = weight.reshape(groups, -1, *weight.shape[1:]).flatten(3) if weight.dim() > 2 else weight[None, :, :, None]
    return split.transpose(1, 2) if transposed else split
