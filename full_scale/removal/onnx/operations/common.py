"""What the operations share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from full_scale.removal.onnx.sizes import NotCovered, numbers


@dataclass(frozen=True)
class Call:
    """How an operation is called: its attributes, the opset that says what they mean, and how many tensors it puts out."""

    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def get(self, name: str, default: Any = None) -> Any:
        """The value of an attribute."""
        return self.attributes.get(name, default)


def number(value: Any) -> Any:
    """A single number from an array, or what else is given.

    Raises:
        NotCovered: it is computed from images.
    """
    if isinstance(value, Tensor):
        raise NotCovered("how it works is computed from the images")
    if not isinstance(value, np.ndarray):
        return value
    return numbers(value)[0] if value.dtype.kind in "iuO" else value.item()


def known(value: Any) -> np.ndarray | None:
    """An array of sizes or axes, or None.

    Raises:
        NotCovered: it is computed from images.
    """
    if isinstance(value, Tensor):
        raise NotCovered("how it works is computed from the images")
    return None if value is None else np.asarray(value)


def operand(value: Any) -> Any:
    """What torch computes with: a tensor as it is, an array of one number as that number, others as a tensor."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 1 and value.ndim <= 1:
        entry = value.reshape(-1)[0]
        return entry if value.dtype == object else entry.item()
    return torch.tensor(value.tolist(), dtype=torch.from_numpy(np.empty(0, value.dtype)).dtype)


def tensor(value: Any) -> Tensor:
    """The same as a tensor also where it is one number."""
    found = operand(value)
    return found if isinstance(found, Tensor) else torch.tensor(found)


TYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""ONNX's number of a type → that of torch."""


def converted(value: Tensor, kind: int) -> Tensor:
    """A tensor in another type; what is in float64 stays so, since that is how a network is compared exactly."""
    if kind not in TYPES:
        raise NotCovered("it makes numbers of a type that torch does not have")
    dtype = TYPES[kind]
    return value if dtype.is_floating_point and value.dtype in (torch.float64, dtype) else value.to(dtype)


def spread(values: list[int], dims: int) -> list[int]:
    """One value for each of the axes of positions: those of windows may be left out."""
    return list(values) if values else [1] * dims


def paddings(call: Call, sizes: list[Any], kernel: list[int], strides: list[int], dilations: list[int]) -> list[tuple[Any, Any]]:
    """How much is added before and after each axis of positions.

    Args:
        call: with the attributes auto_pad and pads.
        sizes: of the axes of positions.
        kernel: size of the window on each; likewise `strides` and `dilations`.
    """
    mode = call.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            whole = dilation * (width - 1) + 1 - stride
            need = whole if stride == 1 else max(((size + stride - 1) // stride - 1) * stride + whole + stride - size, 0)
            small, large = need // 2, need - need // 2
            found.append((small, large) if mode == "SAME_UPPER" else (large, small))
        return found
    given = [0] * (2 * len(kernel)) if mode == "VALID" else list(call.get("pads") or [0] * (2 * len(kernel)))
    half = len(kernel)
    return list(zip(given[:half], given[half:], strict=True))


def flat_padding(pairs: list[tuple[Any, Any]]) -> list[Any]:
    """Amounts of padding in the order of torch.nn.functional.pad, the last axis first."""
    return [amount for pair in reversed(pairs) for amount in pair]
