"""Operations on each number by itself, or of the numbers at the same place of several tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from full_scale.removal.onnx.operations.common import Call, converted, number, operand, tensor
from full_scale.removal.onnx.sizes import NotCovered


def _of_one(function: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """A function of one number with the attributes named in `defaults`, in the order in which torch takes them."""

    def run(call: Call, value: Any) -> Any:
        return function(tensor(value), *(call.get(name, default) for name, default in defaults.items()))

    return run


def _of_two(function: Callable[..., Any], by_method: bool = True) -> Callable[..., Any]:
    """A function of two tensors, one of which may be a number; not `by_method` if torch takes tensors only."""

    def run(call: Call, a: Any, b: Any) -> Any:
        first, second = (operand(part) for part in (a, b))
        if not by_method or not isinstance(first, Tensor | int | float):
            first, second = (tensor(part) for part in (a, b))
        if not by_method:
            second = second.to(first) if first.is_floating_point() and second.is_floating_point() else second
        return function(first, second)

    return run


def _of_several(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda call, *parts: functools.reduce(function, [tensor(part) for part in parts])


def _divided(a: Any, b: Any) -> Any:
    whole = all(isinstance(part, int) or (isinstance(part, Tensor) and not part.is_floating_point()) for part in (a, b))
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def _clipped(call: Call, value: Tensor, low: Any = None, high: Any = None) -> Tensor:
    low, high = (call.get(name) if part is None else number(part) for name, part in (("min", low), ("max", high)))
    if low is None and high is None:
        return value
    return torch.clamp(value, low, high)


def _hard_sigmoid(value: Tensor, slope: float, offset: float) -> Tensor:
    return torch.clamp(value * slope + offset, 0.0, 1.0)


def _selu(value: Tensor, alpha: float, gamma: float) -> Tensor:
    return gamma * functional.elu(value, alpha)


def _gelu(value: Tensor, approximate: str) -> Tensor:
    return functional.gelu(value, approximate=approximate)


def _modulo(call: Call, a: Any, b: Any) -> Any:
    return torch.fmod(tensor(a), operand(b)) if call.get("fmod") else torch.remainder(tensor(a), operand(b))


def _chosen(call: Call, condition: Any, a: Any, b: Any) -> Tensor:
    return torch.where(tensor(condition).bool(), operand(a), operand(b))


def _cast(call: Call, value: Tensor) -> Tensor:
    return converted(value, call.attributes["to"])


def _cast_like(call: Call, value: Tensor, like: Any) -> Tensor:
    return value.to(like) if isinstance(like, Tensor) else value


def _dropped(call: Call, value: Tensor, ratio: Any = None, training: Any = None) -> Tensor:
    if training is not None and bool(np.asarray(number(training))):
        raise NotCovered("it drops numbers at random")
    return value


def _softmax(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(call: Call, value: Tensor) -> Tensor:
        if call.opset >= 13:
            return function(value, call.get("axis", -1))
        axis = call.get("axis", 1) % value.dim()
        if axis == value.dim() - 1:
            return function(value, axis)
        return function(value.flatten(axis), axis).reshape(value.shape)

    return run


POINTWISE: dict[str, Callable[..., Any]] = {
    "Relu": _of_one(torch.relu),
    "Sigmoid": _of_one(torch.sigmoid),
    "Tanh": _of_one(torch.tanh),
    "Softplus": _of_one(functional.softplus),
    "Softsign": _of_one(functional.softsign),
    "HardSwish": _of_one(functional.hardswish),
    "Mish": _of_one(functional.mish),
    "Swish": _of_one(lambda value, alpha: value * torch.sigmoid(value * alpha), alpha=1.0),
    "LeakyRelu": _of_one(functional.leaky_relu, alpha=0.01),
    "Elu": _of_one(functional.elu, alpha=1.0),
    "Celu": _of_one(functional.celu, alpha=1.0),
    "Selu": _of_one(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "HardSigmoid": _of_one(_hard_sigmoid, alpha=0.2, beta=0.5),
    "ThresholdedRelu": _of_one(lambda value, alpha: functional.threshold(value, alpha, 0.0), alpha=1.0),
    "Gelu": _of_one(_gelu, approximate="none"),
    **{name: _of_one(getattr(torch, name.lower())) for name in ("Exp", "Log", "Sqrt", "Abs", "Neg", "Erf", "Reciprocal")},
    **{name: _of_one(getattr(torch, name.lower())) for name in ("Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Tan", "Atan")},
    "Not": _of_one(torch.logical_not),
    "IsNaN": _of_one(torch.isnan),
    "Clip": _clipped,
    "Add": _of_two(lambda a, b: a + b),
    "Sub": _of_two(lambda a, b: a - b),
    "Mul": _of_two(lambda a, b: a * b),
    "Div": _of_two(_divided),
    "Pow": _of_two(lambda a, b: a**b),
    "Mod": _modulo,
    "Equal": _of_two(lambda a, b: a == b),
    "Greater": _of_two(lambda a, b: a > b),
    "GreaterOrEqual": _of_two(lambda a, b: a >= b),
    "Less": _of_two(lambda a, b: a < b),
    "LessOrEqual": _of_two(lambda a, b: a <= b),
    "And": _of_two(torch.logical_and, by_method=False),
    "Or": _of_two(torch.logical_or, by_method=False),
    "Xor": _of_two(torch.logical_xor, by_method=False),
    "Max": _of_several(torch.maximum),
    "Min": _of_several(torch.minimum),
    "Sum": _of_several(torch.add),
    "Where": _chosen,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Dropout": _dropped,
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
}
