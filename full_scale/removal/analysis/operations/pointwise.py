"""Operations on each number by itself: activations, sums, products, BatchNorm."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.graph import argument, is_tensor, operation, shape
from full_scale.removal.analysis.operations.common import followed, unknown
from full_scale.removal.analysis.values import INFINITY, Values, added, multiplied

LARGE = 1e300
"""Stands for ∞ where a function is evaluated, because 0 × ∞ has no value."""

SWITCHING = {"relu", "hardtanh", "clamp", "hardsigmoid", "hardswish", "relu6", "clamp_min", "clamp_max"}
"""Activations that put out exactly the same number over a range of inputs, so that a feature can be silent."""

RISING = SWITCHING - {"hardswish"} | {"sigmoid", "tanh", "softplus", "exp", "erf", "softsign", "log_sigmoid"}
RISING_BY_SIGN = {"leaky_relu", "elu", "celu", "selu"}
VALLEYS = {"silu": -1.2784645427610738, "mish": -1.1924, "hardswish": -1.5, "gelu": -0.7518, "abs": 0.0}
"""Activations that fall up to this input and rise after it."""

OTHER = {
    "neg",
    "pow",
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "log",
    "sin",
    "cos",
    "logit",
    "rsub",
    "tanhshrink",
    "hardshrink",
} | {
    *("softshrink", "threshold", "rrelu", "sign", "log1p", "log2", "log10", "expm1", "exp2", "tan", "atan", "erfc"),
    *("floor", "ceil", "round", "trunc", "frac", "sinh", "cosh", "asinh"),
}
UNARY = RISING | RISING_BY_SIGN | set(VALLEYS) | OTHER
VALLEY_SLACK = 1e-6
"""How much below the value at the listed input the true minimum may be."""


def unary(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a function of one number."""
    found = followed(tracker, node)
    if found is None or any(isinstance(part, fx.Node) for part in (*node.args[1:], *node.kwargs.values())):
        return unknown(tracker, node)
    values = found.values.without_patterns()
    low, high = _bounds(node, values)
    constant = torch.where(values.is_uniform, _apply(node, torch.where(values.is_uniform, values.constant, 0.0)), torch.nan)
    switched = Values.bounded(low, high)
    if operation(node) not in SWITCHING:
        slack = VALLEY_SLACK * (switched.high - switched.low == 0)
        switched = Values.bounded(low - slack, high + slack)
    return found.with_values(switched.with_constants(constant))


def _apply(node: fx.Node, numbers: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = node.target(numbers, *node.args[1:], **node.kwargs)  # type: ignore[operator]
    return result.double()


def _bounds(node: fx.Node, values: Values) -> tuple[Tensor, Tensor]:
    name, ends = operation(node), [values.low.clamp(-LARGE, LARGE), values.high.clamp(-LARGE, LARGE)]
    rises = name in RISING or (name in RISING_BY_SIGN and all(s >= 0 for s in node.args[1:]))  # type: ignore[operator]
    if not rises and name not in VALLEYS:
        return torch.full_like(values.low, -INFINITY), torch.full_like(values.high, INFINITY)
    first, last = (_apply(node, end) for end in ends)
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    if name in VALLEYS:
        bottom = _apply(node, torch.tensor([VALLEYS[name]]).double()) - VALLEY_SLACK
        inside = (ends[0] <= VALLEYS[name]) & (ends[1] >= VALLEYS[name])
        near = (ends[0] - VALLEYS[name]).abs().minimum((ends[1] - VALLEYS[name]).abs()) < 1e-2
        low = torch.where(inside | near, torch.minimum(low, bottom), low)
    low = torch.where(low <= -LARGE / 10, -INFINITY, low)
    return low, torch.where(high >= LARGE / 10, INFINITY, high)


def prelu(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels after a leaky ReLU whose slope is a parameter, one for all channels or one for each."""
    found, weight = followed(tracker, node), argument(node, "weight")
    if found is None or not tracker.holds(weight) or found.axis != min(1, len(shape(node)) - 1):
        return unknown(tracker, node)
    slope = tracker.value(weight)
    assert slope is not None
    if len(slope) > 1:
        tracker.claim(weight, 0, found.units)
    values = found.values.without_patterns()
    slope = slope.expand(len(values.low))
    positive = Values.bounded(values.low.clamp(min=0), values.high.clamp(min=0))
    negative = Values.bounded(values.low.clamp(max=0), values.high.clamp(max=0))
    result = added(positive, multiplied(negative, Values.bounded(slope, slope)))
    constant = torch.where(values.constant > 0, values.constant, values.constant * slope)
    return found.with_values(result.with_constants(constant))


def same(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of the input, unchanged; whole numbers are not followed."""
    if node in tracker.folded:
        return None
    return followed(tracker, node) if node.meta["val"].is_floating_point() else unknown(tracker, node)


def asserted(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Nothing is put out, and nothing but types is looked at."""
    return None


def binary(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of a sum or product of two tensors, or of one and a number or parameter."""
    plain = argument(node, "alpha") in (None, 1) and argument(node, "rounding_mode") is None
    found = aligned(tracker, node, list(node.args[:2])) if plain else None
    return (
        unknown(tracker, node) if found is None else found[0].with_values(_combined(operation(node), found[1], tracker.rounding))
    )


def aligned(tracker: Tracker, node: fx.Node, sides: list[Any]) -> tuple[Channels, list[Values]] | None:
    """Tie the channels of all that is broadcast together; return those of the result and the values of each side.

    None where a side is not followed.
    """
    leading = next((tracker.state(s) for s in sides if tracker.state(s) is not None and shape(s) == shape(node)), None)
    if leading is None:
        return None
    right = leading.axis - len(shape(node))
    parts = [_operand(tracker, side, right, len(leading.units)) for side in sides]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    for part in known:
        if part.units is not None:
            tracker.tie(leading.units, part.units)
    return leading, [part.values for part in known]


def _combined(name: str, values: list[Values], rounding: float) -> Values:
    if name == "div":
        return _divided(*values).widened(2 * rounding)
    if name == "mul":
        return multiplied(*values).widened(2 * rounding)
    minus = Values.bounded(*[torch.tensor([-1.0]).double().expand(len(values[1].low))] * 2)
    return added(values[0], multiplied(values[1], minus) if name == "sub" else values[1]).widened(2 * rounding)


def _divided(a: Values, b: Values) -> Values:
    """What is known of a / b: nothing where b may be 0."""
    safe = (b.low > 0) | (b.high < 0)
    inverse = Values.bounded(*(torch.where(safe, 1 / end, torch.nan) for end in (b.high, b.low)))
    found = multiplied(a, inverse)
    low, high, constant = (torch.where(safe, vector, torch.nan) for vector in (found.low, found.high, found.constant))
    return Values.bounded(low, high).with_constants(constant, found.pattern)


class _Operand:
    """One side of a sum or product: its units, where it has as many channels as the result, and its values."""

    def __init__(self, values: Values, units: Any = None) -> None:
        self.values, self.units = values, units


def _operand(tracker: Tracker, side: Any, right: int, count: int) -> _Operand | None:
    if isinstance(side, int | float):
        number = torch.full((count,), float(side), dtype=torch.float64)
        return _Operand(Values.bounded(number, number)) if math.isfinite(side) else None
    if tracker.holds(side) and tracker.state(side) is None:
        return _parameter(tracker, side, right, count)
    if not is_tensor(side):
        return None
    size, ndim = shape(side), len(shape(side))
    if ndim + right < 0 or size[ndim + right] == 1 != count:
        state = tracker.state(side)
        if state is not None:
            tracker.lock(state.units, f"spread over other channels after {describe(side)}")
        return _Operand(Values.unknown(count) if state is None else state.values.hull(count))
    found = tracker.channels(side, ndim + right)
    return _Operand(found.values, found.units)


def _parameter(tracker: Tracker, node: fx.Node, right: int, count: int) -> _Operand:
    value = tracker.value(node)
    assert value is not None
    axis = value.dim() + right
    if axis < 0 or value.shape[axis] == 1:
        low, high = value.min().expand(count).clone(), value.max().expand(count).clone()
        return _Operand(Values.bounded(low, high))
    rows = value.movedim(axis, 0).flatten(1) if value.dim() > 1 else value[:, None]
    holder = tracker.new_units(count)
    tracker.claim(node, axis, holder)
    return _Operand(Values.bounded(rows.amin(1), rows.amax(1)), holder)
