"""Operations that read all channels and put out new ones: convolutions and linear maps."""

from __future__ import annotations

from torch import Tensor, fx

from full_scale.removal.analysis.channels import Channels, Grouped, Reader, Tracker, Units, describe, repeated
from full_scale.removal.analysis.graph import argument, shape, source
from full_scale.removal.analysis.operations.common import unknown
from full_scale.removal.analysis.values import contracted


def convolution(tracker: Tracker, node: fx.Node) -> Channels | None:
    """New channels of a convolution; one with groups ties all channels of a group."""
    weight = argument(node, "weight")
    if not tracker.holds(weight) or not _may_hold(tracker, argument(node, "bias")):
        return unknown(tracker, node)
    spatial = len(shape(weight)) - 2
    axis = len(shape(node)) - spatial - 1
    padding = argument(node, "padding")
    padded = padding == "same" if isinstance(padding, str) else any(padding)
    return _contraction(tracker, node, axis, groups=argument(node, "groups"), transposed=False, drops_taps=padded)


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
    path = tracker.traced.names.get(weight.name, "").rpartition(".")[0]
    if getattr(tracker.traced.module.get_submodule(path), "groups", None) != groups:
        tracker.lock(inputs.units, f"{describe(node)} has its number of groups in its code")
    tracker.grouped.append(Grouped(path, first))


def _by_group(weight: Tensor, groups: int, transposed: bool) -> Tensor:
    """The weight with shape (groups, outputs of a group, inputs of a group, taps)."""
    split = weight.reshape(groups, -1, *weight.shape[1:]).flatten(3) if weight.dim() > 2 else weight[None, :, :, None]
    return split.transpose(1, 2) if transposed else split
