"""Operations that join positions: pooling, reductions, changes of resolution; and products of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from full_scale.removal.onnx.operations.common import Call, flat_padding, known, paddings, spread, tensor
from full_scale.removal.onnx.sizes import NotCovered, axes_of, numbers, require_small

MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGE_POOL: dict[int, Callable[..., Tensor]] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _window(call: Call, value: Tensor) -> tuple[list[int], list[int], list[int], list[tuple[Any, Any]]]:
    kernel = list(call.attributes["kernel_shape"])
    strides, dilations = (spread(call.get(name), len(kernel)) for name in ("strides", "dilations"))
    return kernel, strides, dilations, paddings(call, list(value.shape[2:]), kernel, strides, dilations)


def _fits(pairs: list[tuple[Any, Any]], kernel: list[int]) -> bool:
    """Whether a pooling of torch adds these borders itself."""
    return all(
        isinstance(a, int) and isinstance(b, int) and a == b and 2 * a <= k for (a, b), k in zip(pairs, kernel, strict=True)
    )


def _max_pool(call: Call, value: Tensor) -> Tensor:
    kernel, strides, dilations, pairs = _window(call, value)
    inside = [pair[0] for pair in pairs] if _fits(pairs, kernel) else [0] * len(kernel)
    if not _fits(pairs, kernel):
        value = functional.pad(value, flat_padding(pairs), value=float("-inf"))
    return MAX_POOL[len(kernel)](value, kernel, strides, inside, dilations, ceil_mode=bool(call.get("ceil_mode")))


def _average_pool(call: Call, value: Tensor) -> Tensor:
    kernel, strides, dilations, pairs = _window(call, value)
    counted = bool(call.get("count_include_pad"))
    if any(dilation != 1 for dilation in dilations):
        raise NotCovered("it averages over a dilated window")
    inside = [pair[0] for pair in pairs] if _fits(pairs, kernel) else [0] * len(kernel)
    if not _fits(pairs, kernel):
        border = flat_padding(pairs)
        if not counted:  # the share of each window that lies within the image
            inner = AVERAGE_POOL[len(kernel)](functional.pad(torch.ones_like(value[:1, :1]), border), kernel, strides)
            return AVERAGE_POOL[len(kernel)](functional.pad(value, border), kernel, strides) / inner
        value = functional.pad(value, border)
    return AVERAGE_POOL[len(kernel)](value, kernel, strides, inside, bool(call.get("ceil_mode")), counted)


def _over_positions(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda call, value: function(value, list(range(2, value.dim())), keepdim=True)


def _reduced(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(call: Call, value: Tensor, axes: Any = None) -> Tensor:
        gone = axes_of(call.attributes, known(axes))
        if not gone and call.get("noop_with_empty_axes"):
            return value
        return function(value, gone or list(range(value.dim())), keepdim=bool(call.get("keepdims", 1)))

    return run


def _product(value: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted((axis % value.dim() for axis in axes), reverse=True):
        value = value.prod(axis, keepdim=keepdim)
    return value


def _norm(order: int) -> Callable[..., Tensor]:
    return lambda value, axes, keepdim: torch.linalg.vector_norm(value, order, axes, keepdim)


def _summed_squares(value: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return value.square().sum(axes, keepdim)


def _best(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(call: Call, value: Tensor) -> Tensor:
        if call.get("select_last_index"):
            raise NotCovered("of equal numbers it takes the last")
        return function(value, call.get("axis", 0), keepdim=bool(call.get("keepdims", 1)))

    return run


def _largest(call: Call, value: Tensor, count: Any) -> list[Tensor]:
    chosen = numbers(known(count))[0]
    return list(torch.topk(value, chosen, call.get("axis", -1), bool(call.get("largest", 1)), bool(call.get("sorted", 1))))


def _resized(call: Call, value: Tensor, *given: Any) -> Tensor:
    """Changes of resolution that torch does in the same way; others are not covered."""
    arrays = [known(part) for part in given] + [None] * 3
    scales, sizes = (arrays[0], None) if call.opset < 11 else (arrays[1], arrays[2])
    spatial = value.dim() - 2
    if call.get("axes") is not None and list(call.get("axes")) != list(range(2, value.dim())):
        raise NotCovered("it resizes some of the axes")
    before = list(value.shape[2:])
    if sizes is not None and sizes.size:
        after, factors = numbers(sizes)[-spatial:], None
    elif scales is not None and scales.size:
        factors = [float(scale) for scale in np.ravel(scales)[-spatial:]]
        whole = all(factor == int(factor) for factor in factors)
        after = [int(f) * size if whole else int(np.floor(f * size)) for f, size in zip(factors, before, strict=True)]
    else:
        raise NotCovered("it is told neither sizes nor scales")
    if call.get("antialias") or call.get("keep_aspect_ratio_policy", "stretch") != "stretch" or call.get("exclude_outside"):
        raise NotCovered("it resizes in a way that torch has not")
    require_small([*value.shape[:2], *after])
    return _interpolated(call, value, before, after, factors)


def _interpolated(call: Call, value: Tensor, before: list[Any], after: list[Any], factors: list[float] | None) -> Tensor:
    mode = call.get("mode", "nearest")
    place = "asymmetric" if call.opset < 11 else call.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        rounding = "floor" if call.opset < 11 else call.get("nearest_mode", "round_prefer_floor")
        ratios = factors or [b / a for a, b in zip(before, after, strict=True)]
        whole = all(ratio == int(ratio) for ratio in ratios)
        twice = whole and all(ratio in (1, 2) for ratio in ratios)
        same = (place, rounding) == ("asymmetric", "floor") or (whole and place == "half_pixel" and rounding.startswith("round"))
        if not same and not (twice and place == "asymmetric" and rounding == "round_prefer_floor"):
            raise NotCovered(f"it takes the nearest numbers by {place}, {rounding}")
        return functional.interpolate(value, after, mode="nearest")
    names = {("linear", 1): "linear", ("linear", 2): "bilinear", ("linear", 3): "trilinear", ("cubic", 2): "bicubic"}
    name = names.get((mode, len(after)))
    cubic = mode == "cubic" and call.get("cubic_coeff_a", -0.75) != -0.75
    if name is None or cubic or place not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise NotCovered(f"it resizes by {mode}, {place}")
    return functional.interpolate(value, after, mode=name, align_corners=place == "align_corners")


def _multiplied(call: Call, a: Any, b: Any) -> Tensor:
    return torch.matmul(tensor(a), tensor(b))


def _affine(call: Call, a: Any, b: Any, c: Any = None) -> Tensor:
    left, right = (tensor(part).T if call.get(name) else tensor(part) for part, name in ((a, "transA"), (b, "transB")))
    found: Tensor = torch.matmul(left, right) * call.get("alpha", 1.0)
    return found if c is None else found + tensor(c) * call.get("beta", 1.0)


def _summed(call: Call, *parts: Any) -> Tensor:
    return torch.einsum(call.attributes["equation"], *map(tensor, parts))


def _accumulated(call: Call, value: Tensor, axis: Any) -> Tensor:
    if call.get("exclusive") or call.get("reverse"):
        raise NotCovered("it sums from the end, or without the number itself")
    return torch.cumsum(value, numbers(known(axis))[0])


def _local_response(call: Call, value: Tensor) -> Tensor:
    a = call.attributes
    return functional.local_response_norm(value, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))


def _unit_norm(call: Call, value: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(value, call.get("p", 2), call.get("axis", -1), keepdim=True)
    return value / norm


POSITIONS: dict[str, Callable[..., Any]] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _over_positions(torch.mean),
    "GlobalMaxPool": _over_positions(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMin": _reduced(torch.amin),
    "ReduceProd": _reduced(_product),
    "ReduceL1": _reduced(_norm(1)),
    "ReduceL2": _reduced(_norm(2)),
    "ReduceSumSquare": _reduced(_summed_squares),
    "ReduceLogSumExp": _reduced(torch.logsumexp),
    "ArgMax": _best(torch.argmax),
    "ArgMin": _best(torch.argmin),
    "TopK": _largest,
    "Resize": _resized,
    "Upsample": _resized,
    "MatMul": _multiplied,
    "Gemm": _affine,
    "Einsum": _summed,
    "CumSum": _accumulated,
    "LRN": _local_response,
    "LpNormalization": _unit_norm,
}
