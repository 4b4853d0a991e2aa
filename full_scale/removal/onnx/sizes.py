"""Arithmetic on sizes and other small constants, which a file does by operations on tensors: here it is done by NumPy.

An array of dtype object holds symbols, where a network is run with symbols for the sizes of its images.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from full_scale.removal.onnx.reading import OnnxNode, package

LARGEST = 1 << 28
"""Numbers in a tensor that a file asks to be made."""


UNLIMITED = {"OneHot", "EyeLike", "Pad", "CenterCropPad", "Resize", "Upsample", "MaxUnpool", "Col2Im"}
"""Operations on constants that may put out much more than they read."""


class NotCovered(Exception):
    """An operation, or this use of it, is not covered."""


def sizes_of(shape: Sequence[Any]) -> np.ndarray:
    """A shape as an array of whole numbers, or of symbols."""
    plain = all(type(size) is int for size in shape)
    found = np.empty(len(shape), np.int64 if plain else object)
    found[:] = list(shape)
    return found


def numbers(array: Any) -> list[Any]:
    """The entries of an array of sizes: whole numbers, or symbols."""
    return [entry if array.dtype == object else int(entry) for entry in np.ravel(array)]


def require_small(shape: Sequence[Any]) -> None:
    """Raises `NotCovered` if a file asks for a tensor that is too large to be made."""
    known = math.prod(size for size in shape if isinstance(size, int))
    if known > LARGEST:
        raise NotCovered(f"it would make {known} numbers")


def computed(node: OnnxNode, opset: int, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """What an operation on small constants puts out.

    Raises:
        NotCovered: it is not known.
    """
    known = SIZE_OPERATIONS.get(node.operation) if not node.domain else None
    if known is not None:
        found = known(node.attributes, *arrays)
        return list(found) if isinstance(found, list | tuple) else [np.asarray(found)]
    if any(array is not None and array.dtype == object for array in arrays):
        raise NotCovered("it computes with symbols")
    return _by_reference(node, opset, arrays)


def _by_reference(node: OnnxNode, opset: int, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """By the evaluator that comes with the package onnx, which is slow and complete; not what may be made of any size."""
    if node.operation in UNLIMITED:
        raise NotCovered("it is not known to removal")
    helper, reference = package("onnx").helper, importlib.import_module("onnx.reference")
    made = helper.make_node(node.operation, node.inputs, node.outputs, domain=node.domain, **node.attributes)
    given = {name: array for name, array in zip(node.inputs, arrays, strict=True) if name and array is not None}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))
        for name, array in given.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
    graph = helper.make_graph([made], "constants", inputs, outputs)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(node.domain, 1)] if node.domain else [])
    try:
        evaluator = reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=imports))
        return [np.asarray(part) for part in evaluator.run(None, given)]
    except Exception:
        raise NotCovered("it is not known to removal") from None


def _constant(attributes: Any) -> np.ndarray:
    to_array = importlib.import_module("onnx.numpy_helper").to_array
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        for key in (name, f"{name}s"):
            if key in attributes:
                return np.array(attributes[key], dtype)
    if "value" not in attributes:
        raise NotCovered("it is a constant that is no dense tensor")
    return np.asarray(to_array(attributes["value"]))


def filling(attributes: Any) -> np.ndarray:
    """The number that ConstantOfShape fills a tensor with, shape (1,)."""
    return _constant(attributes).reshape(1) if "value" in attributes else np.zeros(1, np.float32)


def _filled(attributes: Any, shape: np.ndarray) -> np.ndarray:
    wanted = numbers(shape)
    require_small(wanted)
    return np.full(wanted, filling(attributes)[0])


def _divided(attributes: Any, a: np.ndarray, b: np.ndarray) -> Any:
    if np.issubdtype(a.dtype, np.floating):
        return a / b
    if a.dtype == object or b.dtype == object:
        return a // b
    return np.trunc(a / b).astype(a.dtype)


def _gathered(attributes: Any, data: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.take(data, indices.astype(np.int64), axis=attributes.get("axis", 0))


def axes_of(attributes: Any, given: Any = None) -> list[int] | None:
    """The axes that an operation is told, as an attribute or as an input; None where it is told none."""
    found = attributes.get("axes") if given is None else numbers(given)
    return None if found is None else [int(axis) for axis in found]


def _unsqueezed(attributes: Any, data: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.expand_dims(data, tuple(axes_of(attributes, axes) or ()))


def _squeezed(attributes: Any, data: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    gone = axes_of(attributes, axes)
    return np.squeeze(data, None if gone is None else tuple(gone))


def spans(attributes: Any, shape: Sequence[Any], *given: Any) -> list[tuple[int, slice]]:
    """(axis, part that is taken) of a Slice of a tensor of this shape."""
    if given:
        starts, ends, axes, steps = ([] if part is None else numbers(part) for part in (*given, None, None)[:4])
    else:
        starts, ends, axes, steps = attributes["starts"], attributes["ends"], attributes.get("axes", []), []
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    parts = zip(axes, starts, ends, steps, strict=True)
    return [_span(int(axis) % len(shape), start, end, step, shape) for axis, start, end, step in parts]


def _span(axis: int, start: Any, end: Any, step: int, shape: Sequence[Any]) -> tuple[int, slice]:
    if step < 0:
        start, end = (None if start in (-1,) or start >= shape[axis] - 1 else start), (None if end < -shape[axis] else end)
    return axis, slice(start, end, step)


def _sliced(attributes: Any, data: np.ndarray, *given: Any) -> np.ndarray:
    index = [slice(None)] * data.ndim
    for axis, span in spans(attributes, data.shape, *given):
        index[axis] = span
    return data[tuple(index)]


def _expanded(attributes: Any, data: np.ndarray, shape: np.ndarray) -> np.ndarray:
    wanted = np.broadcast_shapes(data.shape, tuple(numbers(shape)))
    require_small(wanted)
    return np.broadcast_to(data, wanted)


def _tiled(attributes: Any, data: np.ndarray, times: np.ndarray) -> np.ndarray:
    require_small([data.size, *numbers(times)])
    return np.tile(data, tuple(numbers(times)))


def _counted(attributes: Any, start: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
    require_small([math.ceil((end - start) / step)])
    found: np.ndarray = np.arange(start.item(), end.item(), step.item(), dtype=start.dtype)
    return found


def _cast(attributes: Any, data: np.ndarray) -> np.ndarray:
    dtype = np.dtype(package("onnx").helper.tensor_dtype_to_np_dtype(attributes["to"]))
    return data if data.dtype == object else data.astype(dtype)


def _reshaped(attributes: Any, data: np.ndarray, shape: np.ndarray) -> np.ndarray:
    wanted = [data.shape[i] if n == 0 and not attributes.get("allowzero") else n for i, n in enumerate(numbers(shape))]
    return data.reshape(wanted)


def _transposed(attributes: Any, data: np.ndarray) -> np.ndarray:
    return np.transpose(data, attributes.get("perm"))


def _rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda attributes, data: data if data.dtype == object else function(data)


def _of_two(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda attributes, a, b: function(a, b)


SIZE_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Identity": lambda attributes, data: data,
    "Cast": _cast,
    "Add": _of_two(operator.add),
    "Sub": _of_two(operator.sub),
    "Mul": _of_two(operator.mul),
    "Div": _divided,
    "Equal": _of_two(lambda a, b: np.equal(a, b)),
    "Where": lambda attributes, chosen, a, b: np.where(chosen.astype(bool), a, b),
    "Gather": _gathered,
    "Concat": lambda attributes, *parts: np.concatenate(parts, attributes["axis"]),
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Slice": _sliced,
    "Reshape": _reshaped,
    "Transpose": _transposed,
    "Expand": _expanded,
    "Tile": _tiled,
    "Range": _counted,
    "Floor": _rounded(np.floor),
    "Ceil": _rounded(np.ceil),
    "Shape": lambda attributes, data: sizes_of(data.shape)[attributes.get("start", 0) : attributes.get("end")],
}
"""Operation → function (attributes, arrays) → array; others are left to the evaluator of the package onnx."""
