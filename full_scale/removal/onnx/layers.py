"""Operations with weights as modules of torch, and where in the file each of their parameters stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from full_scale.removal.onnx.operations.common import Call, flat_padding, paddings, spread, tensor
from full_scale.removal.onnx.reading import OnnxNode
from full_scale.removal.onnx.sizes import NotCovered


@dataclass(frozen=True)
class Place:
    """Where a parameter stands in a file: input `slot` of the node number `node`, and how it is laid out there.

    `shape` is that in the file, with −1 where the parameter's one axis goes, None where it is the parameter's own. The
    number of the node is None for a bias that the operation has none of: `made_after` is the node that would get it.
    """

    node: int
    slot: int
    transposed: bool = False
    shape: tuple[int, ...] | None = None
    is_new: bool = False

    def laid_out(self, parameter: Tensor) -> Tensor:
        """A parameter as the file has it."""
        found = parameter.detach().cpu()
        if self.transposed:
            found = found.T
        return found.reshape(self.shape).contiguous() if self.shape is not None else found.contiguous()


class Given:
    """The constants that a node reads, and those that a sum right after it adds."""

    def __init__(self, node: OnnxNode, arrays: list[Any], added: tuple[int, int, np.ndarray] | None) -> None:
        self.node, self.arrays, self.added = node, arrays, added

    def has(self, slot: int) -> bool:
        """Whether an input is given."""
        return slot < len(self.node.inputs) and bool(self.node.inputs[slot])

    def array(self, slot: int) -> np.ndarray:
        """A constant input.

        Raises:
            NotCovered: it is computed from the images.
        """
        found = self.arrays[slot]
        if not isinstance(found, np.ndarray):
            raise NotCovered("its weights are computed from the images")
        return found

    def bias(self, slot: int, count: int) -> tuple[nn.Parameter | None, Place]:
        """The bias of as many outputs: the node's own, or that which is added after it; None and where it would stand."""
        if self.has(slot):
            return _vector(self.array(slot), count), Place(self.node.number, slot, shape=_one_axis(self.array(slot)))
        if self.added is not None:
            number, place, array = self.added
            return _vector(array, count), Place(number, place, shape=_one_axis(array))
        return None, Place(self.node.number, slot, is_new=True)


def parameter(array: np.ndarray) -> nn.Parameter:
    """A constant of a file as a parameter with memory of its own; numbers that are not real do not learn.

    Raises:
        NotCovered: torch has no numbers of this type.
    """
    if array.dtype.name == "bfloat16":
        return nn.Parameter(torch.from_numpy(array.astype(np.float32)).bfloat16())
    try:
        made = torch.from_numpy(np.array(array))
    except TypeError:
        raise NotCovered(f"its weights are of type {array.dtype}") from None
    return nn.Parameter(made, made.is_floating_point())


def _vector(array: np.ndarray, count: int) -> nn.Parameter:
    if array.size != count:
        return parameter(np.broadcast_to(array.reshape(-1), (count,)))
    return parameter(array.reshape(-1))


def _one_axis(array: np.ndarray) -> tuple[int, ...]:
    """The shape of a vector that may have further axes of length 1, −1 where the long one is: that of channels, if all are 1."""
    long = [axis for axis, size in enumerate(array.shape) if size != 1]
    at = long[0] if long else max(0, array.ndim - 3) if array.ndim > 2 else array.ndim - 1
    return tuple(-1 if axis == at else 1 for axis in range(array.ndim))


Made = tuple[nn.Module, dict[str, Place]]
"""A module, and where its parameters stand."""


class _Convolving(nn.Module):
    """What convolutions of a file have beside those of torch: borders of two sizes, or such as fit the images."""

    call: Call
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def pairs(self, value: Tensor) -> list[tuple[Any, Any]]:
        """Padding before and after each axis of positions."""
        return paddings(self.call, list(value.shape[2:]), list(self.kernel_size), list(self.stride), list(self.dilation))


CONVOLUTIONS: dict[int, tuple[type[nn.Module], Callable[..., Tensor]]] = {
    1: (nn.Conv1d, functional.conv1d),
    2: (nn.Conv2d, functional.conv2d),
    3: (nn.Conv3d, functional.conv3d),
}
TRANSPOSED: dict[int, tuple[type[nn.Module], Callable[..., Tensor]]] = {
    1: (nn.ConvTranspose1d, functional.conv_transpose1d),
    2: (nn.ConvTranspose2d, functional.conv_transpose2d),
    3: (nn.ConvTranspose3d, functional.conv_transpose3d),
}


def _forward(self: Any, value: Tensor) -> Tensor:
    pairs = self.pairs(value)
    inside = [a if a == b else 0 for a, b in pairs]
    if any(a != b for a, b in pairs):
        value, inside = functional.pad(value, flat_padding(pairs)), [0] * len(pairs)
    run = CONVOLUTIONS[len(pairs)][1]
    return run(value, self.weight, self.bias, self.stride, inside, self.dilation, self.groups)


def _transposed_forward(self: Any, value: Tensor) -> Tensor:
    pairs = self.pairs(value)
    extra = list(self.call.get("output_padding") or [0] * len(pairs))
    inside = [a if a == b else 0 for a, b in pairs]
    run = TRANSPOSED[len(pairs)][1]
    found = run(value, self.weight, self.bias, self.stride, inside, extra, self.groups, self.dilation)
    if any(a != b for a, b in pairs):
        for axis, (before, after) in enumerate(pairs, start=2):
            found = found if before == after else found.narrow(axis, before, found.shape[axis] - before - after)
    return found


_CLASSES: dict[tuple[str, int], type[nn.Module]] = {
    **{
        ("Conv", dims): type(f"Conv{dims}d", (_Convolving, cls), {"forward": _forward}) for dims, (cls, _) in CONVOLUTIONS.items()
    },
    **{
        ("ConvTranspose", dims): type(f"ConvTranspose{dims}d", (_Convolving, cls), {"forward": _transposed_forward})
        for dims, (cls, _) in TRANSPOSED.items()
    },
}


def _convolution(call: Call, given: Given) -> Made:
    kernel, transposed = given.array(1), given.node.operation == "ConvTranspose"
    dims, groups = kernel.ndim - 2, call.get("group", 1)
    if dims not in CONVOLUTIONS or call.get("output_shape") or (transposed and call.get("auto_pad", "NOTSET").startswith("SAME")):
        raise NotCovered("it convolves in a way that torch has not")
    first, second = kernel.shape[:2]
    channels = (first, second * groups) if transposed else (second * groups, first)
    strides, dilations = (spread(call.get(name), dims) for name in ("strides", "dilations"))
    options: dict[str, Any] = {"stride": tuple(strides), "dilation": tuple(dilations), "groups": groups, "bias": False}
    with torch.device("meta"):
        module: Any = _CLASSES[given.node.operation, dims](*channels, tuple(kernel.shape[2:]), **options)
    module.call, module.weight = call, parameter(kernel)
    module.bias, place = given.bias(2, channels[1])
    return module, {"weight": Place(given.node.number, 1), "bias": place}


def _linear(call: Call, given: Given) -> Made:
    matrix, transposed = given.array(1), not call.get("transB")
    plain = call.get("alpha", 1.0) == 1 and call.get("beta", 1.0) == 1 and not call.get("transA")
    if matrix.ndim != 2 or not plain or isinstance(given.arrays[0], np.ndarray):
        raise NotCovered("it is no linear map of the last axis")
    if given.has(2) and given.array(2).size not in (1, matrix.shape[1 if transposed else 0]):
        raise NotCovered("it adds a matrix")
    outputs, inputs = matrix.T.shape if transposed else matrix.shape
    with torch.device("meta"):
        module = nn.Linear(inputs, outputs, bias=False)
    module.weight = parameter(matrix.T if transposed else matrix)
    module.bias, place = given.bias(2, outputs)  # type: ignore[assignment]
    return module, {"weight": Place(given.node.number, 1, transposed=transposed), "bias": place}


class BatchNormalization(_BatchNorm):
    """BatchNorm with running statistics, of whatever number of axes."""

    def _check_input_dim(self, input: Tensor) -> None:
        """All of them are taken."""


def _batch_norm(call: Call, given: Given) -> Made:
    if call.get("training_mode"):
        raise NotCovered("it normalizes by the statistics of the images")
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = [given.array(slot) for slot in range(1, 5)]
    module = BatchNormalization(0, eps=call.get("epsilon", 1e-5)).eval()
    module.num_features = len(arrays[0])
    module.weight, module.bias = parameter(arrays[0]), parameter(arrays[1])
    module.running_mean, module.running_var = (parameter(array).detach() for array in arrays[2:])
    module.num_batches_tracked = None
    return module, {name: Place(given.node.number, slot) for slot, name in enumerate(names, start=1)}


class _Normalization(nn.Module):
    """A normalization by statistics of the images; `run` is the function of torch, and gets what is given here."""

    def __init__(self, call: Call, given: Given) -> None:
        super().__init__()
        self.call = call
        self.weight = parameter(given.array(1))
        self.bias = parameter(given.array(2)) if given.has(2) else None

    @property
    def places(self) -> dict[str, int]:
        """Name of a parameter → the input that it is."""
        return {"weight": 1} | ({} if self.bias is None else {"bias": 2})


class InstanceNormalization(_Normalization):
    """Each channel of each image by its own mean and variance."""

    def forward(self, value: Tensor) -> Tensor:
        """The normalized channels."""
        return functional.instance_norm(value, None, None, self.weight, self.bias, True, 0.0, self.call.get("epsilon", 1e-5))


class GroupNormalization(_Normalization):
    """Groups of channels of each image by their mean and variance."""

    def forward(self, value: Tensor) -> Tensor:
        """The normalized channels."""
        groups = self.call.attributes["num_groups"]
        weight, bias = self.weight, self.bias
        if self.call.opset < 21 and bias is not None:  # one scale for each group
            weight, bias = (part.repeat_interleave(value.shape[1] // groups) for part in (weight, bias))  # type: ignore[assignment]
        return functional.group_norm(value, groups, weight, bias, self.call.get("epsilon", 1e-5))


class LayerNormalization(_Normalization):
    """The last axes by their mean and variance."""

    def forward(self, value: Tensor) -> Tensor:
        """The normalized numbers."""
        axis = self.call.get("axis", -1) % value.dim()
        return functional.layer_norm(value, value.shape[axis:], self.weight, self.bias, self.call.get("epsilon", 1e-5))


class RMSNormalization(_Normalization):
    """The last axes by the root of their mean square."""

    def forward(self, value: Tensor) -> Tensor:
        """The normalized numbers."""
        axis = self.call.get("axis", -1) % value.dim()
        return functional.rms_norm(value, value.shape[axis:], self.weight, self.call.get("epsilon", 1e-5))


def _normalization(cls: type[_Normalization]) -> Callable[[Call, Given], Made]:
    def make(call: Call, given: Given) -> Made:
        module = cls(call, given)
        return module, {name: Place(given.node.number, slot) for name, slot in module.places.items()}

    return make


def _leaky(call: Call, given: Given) -> Made:
    slopes = given.array(1)
    if sum(size != 1 for size in slopes.shape) > 1 or (slopes.size > 1 and slopes.ndim > 1 and slopes.shape[-1] != 1):
        raise NotCovered("its slopes are not one for each channel")
    module = nn.PReLU(slopes.size)
    module.weight = parameter(slopes.reshape(-1))
    return module, {"weight": Place(given.node.number, 1, shape=_one_axis(slopes))}


RNNS: Mapping[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "LSTM": (torch.lstm, (0, 2, 3, 1)),
    "GRU": (torch.gru, (1, 0, 2)),
    "RNN": (torch.rnn_tanh, (0,)),
}
"""Operation → function of torch, and the order of its gates there."""

STATES = (5, 6)
"""Inputs of a recurrent layer that are its states before the first step; no other layer has so many."""


class Recurrent(nn.Module):
    """A recurrent layer, its steps on the first axis; puts out (steps, directions, images, features).

    The weights are as the file has them: what removal does not cover it must not cut.
    """

    def __init__(self, kind: str, weights: list[np.ndarray]) -> None:
        super().__init__()
        self.kind = kind
        self.weights = nn.ParameterList([parameter(array) for array in weights])

    def _get_name(self) -> str:
        return self.kind

    def forward(self, value: Tensor, *first: Any) -> list[Tensor]:
        """All states, the last ones, and for an LSTM the last cells; `first` are the states before, zero by default."""
        run, order = RNNS[self.kind]
        directions, features = len(self.weights[1]), self.weights[1].shape[2]
        start = [tensor(part).to(value) for part in first]
        start = start or [value.new_zeros(directions, value.shape[1], features)] * (2 if self.kind == "LSTM" else 1)
        held = [part for direction in range(directions) for part in self._of(direction, order)]
        options = len(self.weights) > 2, 1, 0.0, False, directions > 1, False
        found, *last = run(value, start if self.kind == "LSTM" else start[0], held, *options)
        return [found.unflatten(2, (directions, features)).transpose(1, 2), *last]

    def _of(self, direction: int, order: tuple[int, ...]) -> list[Tensor]:
        """The weights of a direction, and its biases, with the gates in another order."""
        parts = [self.weights[0][direction], self.weights[1][direction]]
        parts += list(self.weights[2][direction].chunk(2)) if len(self.weights) > 2 else []
        gates = [part.chunk(len(order)) for part in parts]
        return [torch.cat([part[number] for number in order]) for part in gates]


def _recurrent(call: Call, given: Given) -> Made:
    kind, direction = given.node.operation, call.get("direction", "forward")
    plain = set(call.attributes) <= {"hidden_size", "direction", "linear_before_reset", "layout"} and not call.get("layout")
    states = [given.has(slot) and not _is_zero(given.arrays[slot]) for slot in STATES[: 2 if kind == "LSTM" else 1]]
    computed = all(given.arrays[slot] is None for slot, has in zip(STATES, states, strict=False) if has)
    odd = direction == "reverse" or (kind == "GRU" and not call.get("linear_before_reset")) or given.has(4) or given.has(7)
    if not plain or not computed or len(set(states)) > 1 or odd:
        raise NotCovered("it is recurrent in a way that torch has not")
    return Recurrent(kind, [given.array(slot) for slot in ((1, 2, 3) if given.has(3) else (1, 2))]), {}


def _is_zero(array: Any) -> bool:
    return isinstance(array, np.ndarray) and not array.any()


LAYERS: Mapping[str, Callable[[Call, Given], Made]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _linear,
    "MatMul": _linear,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _normalization(InstanceNormalization),
    "GroupNormalization": _normalization(GroupNormalization),
    "LayerNormalization": _normalization(LayerNormalization),
    "RMSNormalization": _normalization(RMSNormalization),
    "PRelu": _leaky,
    **dict.fromkeys(RNNS, _recurrent),
}
"""Operation → what makes a module of it, or raises `NotCovered` where its weights are no constants."""

WITH_BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": 2}
"""Operations that a sum right after them gives a bias → the input that is theirs."""
