"""Operations that move, join, repeat or take parts of numbers without computing with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from full_scale.removal.onnx.operations.common import Call, flat_padding, known, number, operand, tensor
from full_scale.removal.onnx.sizes import NotCovered, axes_of, filling, numbers, require_small, spans


def target_of(call: Call, shape: Any, wanted: np.ndarray) -> list[Any]:
    """The sizes that a Reshape asks for, those it copies filled in; −1 for the one that follows from the others."""
    copies = not call.get("allowzero")
    return [shape[axis] if copies and type(size) is int and size == 0 else size for axis, size in enumerate(numbers(wanted))]


def _reshaped(call: Call, value: Tensor, wanted: Any) -> Tensor:
    return value.reshape(target_of(call, value.shape, np.asarray(known(wanted))))


def _flattened(call: Call, value: Tensor) -> Tensor:
    axis = call.get("axis", 1)
    axis = axis + value.dim() if axis < 0 else axis
    if axis == 1:
        return value.flatten(1)
    return value.reshape(math.prod(value.shape[:axis]), math.prod(value.shape[axis:]))


def _transposed(call: Call, value: Tensor) -> Tensor:
    return value.permute(call.get("perm") or list(range(value.dim()))[::-1])


def _squeezed(call: Call, value: Tensor, axes: Any = None) -> Tensor:
    gone = axes_of(call.attributes, known(axes))
    return value.squeeze() if gone is None else value.squeeze(tuple(gone))


def _unsqueezed(call: Call, value: Tensor, axes: Any = None) -> Tensor:
    added = axes_of(call.attributes, known(axes)) or []
    dims = value.dim() + len(added)
    for axis in sorted(axis % dims for axis in added):
        value = value.unsqueeze(axis)
    return value


def _joined(call: Call, *parts: Any) -> Tensor:
    return torch.cat([tensor(part) for part in parts], call.attributes["axis"])


def _split(call: Call, value: Tensor, sizes: Any = None) -> list[Tensor]:
    axis = call.get("axis", 0)
    wanted = call.get("split") if sizes is None else numbers(known(sizes))
    if wanted is None or len(set(wanted)) == 1:
        return list(value.chunk(call.outputs, axis))
    return list(torch.split(value, wanted, axis))


def _sliced(call: Call, value: Tensor, *given: Any) -> Tensor:
    arrays = [known(part) for part in given]
    for axis, span in spans(call.attributes, value.shape, *arrays):
        if span.step is not None and span.step < 0:
            if span.step != -1 or span.start is not None or span.stop is not None:
                raise NotCovered("it takes a part backwards")
            value = value.flip(axis)
        elif not _is_whole(span, value.shape[axis]):
            value = value[(slice(None),) * axis + (span,)]
    return value


def _is_whole(span: slice, size: Any) -> bool:
    plain = type(span.start) is int and type(span.stop) is int
    return plain and span.start == 0 and span.step == 1 and (span.stop >= 2**31 - 1 or (type(size) is int and span.stop >= size))


def _gathered(call: Call, value: Any, indices: Any) -> Tensor:
    data, axis = tensor(value), call.get("axis", 0)
    if isinstance(indices, Tensor):
        if axis % data.dim():
            raise NotCovered("it takes parts by numbers computed from the images")
        places = torch.where(indices < 0, indices + len(data), indices)
        return functional.embedding(places, data) if data.dim() == 2 else data[places]
    if indices.ndim == 0:
        return data.select(axis, number(indices))
    if indices.ndim > 1:
        raise NotCovered("it takes parts by a table")
    return data.index_select(axis, torch.tensor([n % data.shape[axis] for n in numbers(indices)]))


def _expanded(call: Call, value: Any, shape: Any) -> Tensor:
    """An axis longer than 1 keeps its length: the sizes can only repeat it, or say it once more."""
    data, wanted = tensor(value), numbers(known(shape))
    require_small(wanted)
    wanted = [1] * (data.dim() - len(wanted)) + wanted
    own = [1] * (len(wanted) - data.dim()) + list(data.shape)
    return data.expand([size if has == 1 else has for size, has in zip(wanted, own, strict=True)])


def _tiled(call: Call, value: Tensor, times: Any) -> Tensor:
    repeats = numbers(known(times))
    require_small([*value.shape, *repeats])
    return value.repeat(repeats)


def _padded(call: Call, value: Tensor, *given: Any) -> Tensor:
    arrays = [*given, None, None, None]
    amounts = call.get("pads") if not given else numbers(known(arrays[0]))
    fill, axes = number(arrays[1]) if given else call.get("value", 0.0), axes_of({}, known(arrays[2]))
    places = list(range(value.dim())) if axes is None else [axis % value.dim() for axis in axes]
    half, by_axis = len(places), dict.fromkeys(range(value.dim()), (0, 0))
    by_axis |= {axis: (amounts[i], amounts[half + i]) for i, axis in enumerate(places)}
    mode = call.get("mode", "constant")
    require_small([size + sum(by_axis[axis]) for axis, size in enumerate(value.shape)])
    if mode == "constant":
        return functional.pad(value, flat_padding(list(by_axis.values())), value=0.0 if fill is None else float(fill))
    if mode not in ("reflect", "edge"):
        raise NotCovered(f"it pads by {mode}")
    kind = "reflect" if mode == "reflect" else "replicate"
    if value.dim() > 2 and not any(by_axis[0]) and not any(by_axis[1]):
        return functional.pad(value, flat_padding(list(by_axis.values())[2:]), mode=kind)
    for axis, pair in by_axis.items():
        if any(pair):
            last = value.movedim(axis, -1)
            rows = functional.pad(last.reshape(1, -1, last.shape[-1]), list(pair), mode=kind)
            value = rows.reshape(*last.shape[:-1], rows.shape[-1]).movedim(-1, axis)
    return value


def _depth_to_space(call: Call, value: Tensor) -> Tensor:
    side = call.attributes["blocksize"]
    if call.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(value, side)
    images, channels, height, width = value.shape
    parts = value.reshape(images, side, side, channels // side**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(images, channels // side**2, height * side, width * side)


def _space_to_depth(call: Call, value: Tensor) -> Tensor:
    side = call.attributes["blocksize"]
    images, channels, height, width = value.shape
    parts = value.reshape(images, channels, height // side, side, width // side, side).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(images, channels * side**2, height // side, width // side)


def _filled(call: Call, shape: Any) -> Tensor:
    wanted = numbers(known(shape))
    require_small(wanted)
    return torch.full(wanted, operand(filling(call.attributes)))


def _range(call: Call, start: Any, end: Any, step: Any) -> Tensor:
    first, last, stride = number(start), number(end), number(step)
    require_small([math.ceil((last - first) / stride)])
    return torch.arange(first, last, stride)


def _triangle(call: Call, value: Any, diagonal: Any = None) -> Tensor:
    offset = 0 if diagonal is None else number(diagonal)
    return torch.triu(tensor(value), offset) if call.get("upper", 1) else torch.tril(tensor(value), offset)


SHAPES: dict[str, Callable[..., Any]] = {
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Transpose": _transposed,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Concat": _joined,
    "Split": _split,
    "Slice": _sliced,
    "Gather": _gathered,
    "GatherElements": lambda call, value, indices: torch.gather(tensor(value), call.get("axis", 0), tensor(indices)),
    "Expand": _expanded,
    "Tile": _tiled,
    "Pad": _padded,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Trilu": _triangle,
}
