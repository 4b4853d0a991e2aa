"""An ONNX file as a module of torch that runs the file's operations in order, with the file's tensors as parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from full_scale.removal.onnx.layers import Place
from full_scale.removal.onnx.operations import OPERATIONS
from full_scale.removal.onnx.operations.common import Call, known
from full_scale.removal.onnx.operations.shapes import target_of
from full_scale.removal.onnx.reading import OnnxFile, OnnxNode
from full_scale.removal.onnx.sizes import NotCovered, computed, sizes_of

Value = Tensor | np.ndarray | None
Part = tuple[tuple[int, ...], int]
"""Axes whose sizes are multiplied, and by what that is divided."""


class Operation(nn.Module):
    """An operation without weights of its own kind: its inputs are computed, parameters, or known arrays.

    `sources` says for each input: the number of a computed one, the name of a parameter or buffer, an array, or None.
    `template` says of each axis that a Reshape puts out what it is made of, where the file states its size as a number.
    """

    def __init__(self, node: OnnxNode, call: Call, sources: Sequence[int | str | np.ndarray | None]) -> None:
        super().__init__()
        self.node, self.call, self.sources = node, call, list(sources)
        self.template: list[Part | None] = []

    def _get_name(self) -> str:
        return self.node.operation

    def forward(self, *inputs: Value) -> Any:
        """What the operation puts out: a tensor, or a list of several; arrays where all inputs are."""
        values = self.gathered(inputs)
        kind = self.node.operation
        if kind == "Shape" and isinstance(values[0], Tensor):
            return sizes_of(values[0].shape)[self.call.get("start", 0) : self.call.get("end")]
        if not any(isinstance(value, Tensor) for value in values):
            try:
                return _single(computed(self.node, self.call.opset, values))  # type: ignore[arg-type]
            except NotCovered:
                pass
        if kind not in OPERATIONS or self.node.domain:
            raise NotCovered("it is not known to removal")
        if kind == "Reshape" and self.template and isinstance(values[0], Tensor):
            return values[0].reshape(self.target(values[0], known(values[1])))
        return OPERATIONS[kind](self.call, *values)

    def gathered(self, inputs: Sequence[Value]) -> list[Value]:
        """All inputs in the order of the file, those that are computed among them."""
        return [
            getattr(self, source) if isinstance(source, str) else inputs[source] if isinstance(source, int) else source
            for source in self.sources
        ]

    def target(self, value: Tensor, wanted: Any) -> list[Any]:
        """The sizes that a Reshape makes: numbers in the file that are sizes of what comes in follow that."""
        asked = target_of(self.call, value.shape, wanted)
        for place, part in enumerate(self.template):
            if part is not None:
                asked[place] = math.prod(value.shape[axis] for axis in part[0]) // part[1]
        return asked


def _single(found: list[np.ndarray]) -> Any:
    return found[0] if len(found) == 1 else found


def template_of(before: Sequence[int], asked: Sequence[Any], after: Sequence[int]) -> list[Part | None]:
    """For each axis of a Reshape's result that is given as a number above 1: what it is made of.

    Where axes are cut into several, all but the last of these keep their sizes, as groups of channels do.

    >>> template_of((2, 8, 3, 3), (-1, 72), (2, 72))
    [None, ((1, 2, 3), 1)]
    >>> template_of((2, 72), (2, 8, 9), (2, 8, 9))
    [((0,), 1), None, ((1,), 8)]
    """
    found: list[Part | None] = [None] * len(after)
    first = second = 0
    while first < len(before) and second < len(after):
        ins, outs, size, made = [first], [second], before[first], after[second]
        first, second = first + 1, second + 1
        while size != made:
            if size < made and first < len(before):
                size, ins, first = size * before[first], [*ins, first], first + 1
            elif second < len(after):
                made, outs, second = made * after[second], [*outs, second], second + 1
            else:
                return [None] * len(after)
        while first < len(before) and before[first] == 1 and (second >= len(after) or after[second] != 1):
            ins, first = [*ins, first], first + 1
        long = [axis for axis in outs if after[axis] != 1]
        if long and asked[long[-1]] > 1:
            found[long[-1]] = tuple(ins), math.prod(after[axis] for axis in long[:-1])
    return found


@dataclass(frozen=True)
class Step:
    """An operation of the network: the name of its module, and the tensors that it reads and puts out."""

    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxNetwork(nn.Module):
    """The part of an ONNX file that is covered.

    It puts out the file's outputs as far as they are covered, and what operations read that are not: these stay as they are.

    Attributes:
        file: what the file holds.
        steps: the operations in order.
        results: the names of the tensors that are put out.
        alias: other names that the file has for tensors.
        places: name of a parameter or buffer → where it stands in the file.
        example: inputs that it was tried with.
        left_out: what is not covered, one line an operation.
        remarks: what else is to be said of it.
    """

    def __init__(self, file: OnnxFile) -> None:
        super().__init__()
        self.file = file
        self.steps: list[Step] = []
        self.results: tuple[str, ...] = ()
        self.alias: dict[str, str] = {}
        self.places: dict[str, Place] = {}
        self.example: tuple[Tensor, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self.remarks: tuple[str, ...] = ()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        """What the file puts out on these inputs, in the order of the file."""
        values = self.values(*inputs)
        found = tuple(values[name] for name in self.results)
        return found[0] if len(found) == 1 else found

    def values(self, *inputs: Tensor) -> dict[str, Any]:
        """Name of a tensor that is put out, and of each input → its value."""
        values: dict[str, Any] = {}
        for _ in self.each_step(inputs, values):
            pass
        return values

    def each_step(self, inputs: Sequence[Tensor], values: dict[str, Any]) -> Iterator[tuple[Step, list[Any], list[Any]]]:
        """Run the operations in order: each with what it reads and puts out; `values` holds what is still needed."""
        self._require_fit(inputs)
        values.update((given.name, part) for given, part in zip(self.file.inputs, inputs, strict=True))
        last = {name: number for number, step in enumerate(self.steps) for name in step.inputs}
        for number, step in enumerate(self.steps):
            read = [values[name] for name in step.inputs]
            found = self.get_submodule(step.module)(*read)
            found = list(found) if isinstance(found, list | tuple) else [found]
            values.update((name, part) for name, part in zip(step.outputs, found, strict=False) if name)
            yield step, read, found
            for name in step.inputs:
                if last[name] == number and name not in self.results:
                    values.pop(name, None)

    def _require_fit(self, inputs: Sequence[Tensor]) -> None:
        for given, part in zip(self.file.inputs, inputs, strict=True):
            fits = len(part.shape) == len(given.sizes)
            if not fits or any(want not in (None, size) for want, size in zip(given.sizes, part.shape, strict=True)):
                wanted = ", ".join("?" if size is None else str(size) for size in given.sizes)
                raise ValueError(f"input {given.name} is of shape ({wanted}), not {tuple(part.shape)}")
