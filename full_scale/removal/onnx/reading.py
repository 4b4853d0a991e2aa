"""An ONNX file as nodes and constants; what cannot be read is refused in one line, and only the file's own folder is read."""

from __future__ import annotations

import graphlib
import importlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mechanisms.validation import UserError, first_line

OLDEST_OPSET = 9
STANDARD = ("", "ai.onnx")
"""Names of the domain of ONNX's own operations."""

CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinear")
"""Beginnings of the names of operations on quantized numbers."""

HINT = "pip install implicit-filter-sparsity[onnx]"


@dataclass(frozen=True)
class OnnxNode:
    """An operation of a file: its number in the file, name, inputs ("" where one is left out), outputs, attributes."""

    number: int
    name: str
    operation: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.operation} {self.name or '→ ' + ', '.join(self.outputs)}"


@dataclass(frozen=True)
class OnnxInput:
    """An input: its name, its sizes (None where the file leaves one open), and the type of its numbers."""

    name: str
    sizes: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class OnnxFile:
    """What a file holds; `model` is the whole of it as onnx reads it, `nodes` are in an order in which they can be run."""

    path: Path
    model: Any
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]

    def __deepcopy__(self, memo: Any) -> OnnxFile:
        return self  # never changed, so that copies of a network share it


def package(name: str) -> Any:
    """A package of the extra "onnx".

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"ONNX needs the package {name}: {HINT}") from None


def read_file(path: Path) -> OnnxFile:
    """Read and check an ONNX file of opset 9 or later, with its external data where these lie in its folder.

    Raises:
        UserError: it is no such file, is damaged, or holds control flow or quantized operations.
    """
    onnx = package("onnx")
    if not path.is_file():
        raise UserError(f"there is no file {path}: give an ONNX file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as problem:
        raise UserError(f"{path} is not a whole ONNX file ({first_line(problem)}): give another file") from None
    try:
        if len(model.functions):
            model = importlib.import_module("onnx.inliner").inline_local_functions(model)
        opset = _opset(model, path, int(onnx.defs.onnx_opset_version()))
        _require_plain(model, path)
        _require_true_sizes(model, path)
        constants = _constants(model, path)
        nodes = _in_order(_nodes(model), {*constants, *(value.name for value in model.graph.input)}, path)
        inputs = tuple(_input(value, path) for value in model.graph.input if value.name not in constants)
    except UserError:
        raise
    except Exception as problem:
        raise UserError(f"{path} is damaged ({first_line(problem)}): give another file") from None
    outputs = tuple(value.name for value in model.graph.output)
    made = {name for node in nodes for name in node.outputs} | set(constants) | {entry.name for entry in inputs}
    missing = next((name for name in outputs if name not in made), None)
    if missing is not None:
        raise UserError(f"{path} is damaged: nothing puts out {missing}, which is an output of the graph")
    if not inputs or not outputs or not nodes:
        raise UserError(f"{path} holds a graph without inputs, outputs or operations: give a network")
    return OnnxFile(path, model, opset, nodes, constants, inputs, outputs)


def _opset(model: Any, path: Path, newest: int) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    if not versions or not OLDEST_OPSET <= max(versions) <= newest:
        found = f"of opset {max(versions)}" if versions else "of no opset of ONNX"
        raise UserError(f"{path} is {found}: opsets {OLDEST_OPSET} to {newest} are read; convert it by onnx.version_converter")
    return int(max(versions))


def _require_plain(model: Any, path: Path) -> None:
    for number, node in enumerate(model.graph.node):
        named = f"{node.op_type} {node.name or f'number {number}'}"
        if node.op_type in CONTROL_FLOW:
            raise UserError(f"{path} holds control flow, {named}: only graphs without it are read")
        if node.op_type.startswith(QUANTIZED):
            raise UserError(f"{path} is quantized, {named}: remove filters from the file before its quantization")
    if len(model.graph.sparse_initializer):
        raise UserError(f"{path} holds sparse tensors: only dense ones are read")


def _tensors(model: Any) -> list[Any]:
    """All tensors that the file holds."""
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    return [*model.graph.initializer, *(part.t for part in attributes if part.HasField("t"))]


def _require_true_sizes(model: Any, path: Path) -> None:
    """Raises `UserError` unless each tensor is as large as it says, and external ones lie within the file's folder."""
    onnx = package("onnx")
    for tensor in _tensors(model):
        sizes = list(tensor.dims)
        if any(size < 0 for size in sizes) or tensor.data_type not in onnx.helper.get_all_tensor_dtypes():
            raise UserError(f"{path} is damaged: tensor {tensor.name} has sizes {sizes} and type {tensor.data_type}")
        if tensor.data_type == onnx.TensorProto.STRING:
            continue
        wanted = _bytes(onnx, tensor.data_type, math.prod(sizes))
        external = tensor.data_location == onnx.TensorProto.EXTERNAL
        held = _external_bytes(tensor, path) if external else _held_bytes(onnx, tensor, math.prod(sizes), wanted)
        if held != wanted:
            raise UserError(f"{path} is damaged: tensor {tensor.name} of sizes {sizes} needs {wanted} bytes and has {held}")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        importlib.import_module("onnx.external_data_helper").load_external_data_for_model(model, str(path.parent))


def _bytes(onnx: Any, kind: int, numbers: int) -> int:
    name = onnx.TensorProto.DataType.Name(kind)
    if name in ("INT4", "UINT4", "FLOAT4E2M1"):
        return (numbers + 1) // 2
    if name in ("INT2", "UINT2"):
        return (numbers + 3) // 4
    return numbers * int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize)


def _held_bytes(onnx: Any, tensor: Any, numbers: int, wanted: int) -> int:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    values = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
    per_number = 2 if onnx.TensorProto.DataType.Name(tensor.data_type).startswith("COMPLEX") else 1
    whole = values == numbers * per_number or wanted < numbers  # small integers may share an entry
    return wanted if whole else wanted // max(numbers, 1) * values


def _external_bytes(tensor: Any, path: Path) -> int:
    given = {entry.key: entry.value for entry in tensor.external_data}
    folder, location = path.parent.resolve(), given.get("location", "")
    file = (folder / location).resolve()
    if not location or not file.is_relative_to(folder):
        raise UserError(f"{path} keeps tensor {tensor.name} in {location!r}, outside of its folder: put it beside the file")
    if not file.is_file():
        raise UserError(f"{path} keeps tensor {tensor.name} in {location}, which is missing: put it beside the file")
    offset = int(given.get("offset") or 0)
    rest = file.stat().st_size - offset
    if offset < 0 or rest < 0:
        raise UserError(f"{path} keeps tensor {tensor.name} in {location}, which is too short: give the whole file")
    return min(int(given["length"]), int(rest)) if given.get("length") else int(rest)


def _constants(model: Any, path: Path) -> dict[str, np.ndarray]:
    to_array = importlib.import_module("onnx.numpy_helper").to_array
    names = Counter(tensor.name for tensor in model.graph.initializer)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path} is damaged: it holds two tensors called {twice}")
    return {tensor.name: to_array(tensor) for tensor in model.graph.initializer}


def _nodes(model: Any) -> list[OnnxNode]:
    onnx = package("onnx")
    found = []
    for number, node in enumerate(model.graph.node):
        values = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
        attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
        domain = "" if node.domain in STANDARD else node.domain
        found.append(OnnxNode(number, node.name, node.op_type, domain, tuple(node.input), tuple(node.output), attributes))
    return found


def _in_order(nodes: Sequence[OnnxNode], given: set[str], path: Path) -> tuple[OnnxNode, ...]:
    """The nodes, each after those that it reads."""
    makers: dict[str, int] = {}
    for node in nodes:
        for name in filter(None, node.outputs):
            if name in makers or name in given:
                raise UserError(f"{path} is damaged: {name} is put out twice")
            makers[name] = node.number
    for node in nodes:
        missing = next((name for name in node.inputs if name and name not in makers and name not in given), None)
        if missing is not None:
            raise UserError(f"{path} is damaged: {node} reads {missing}, which nothing puts out")
    if all(makers.get(name, -1) < node.number for node in nodes for name in node.inputs):
        return tuple(nodes)
    sorter = graphlib.TopologicalSorter({node.number: [makers[name] for name in node.inputs if name in makers] for node in nodes})
    try:
        return tuple(nodes[number] for number in sorter.static_order())
    except graphlib.CycleError as problem:
        raise UserError(f"{path} is damaged: {nodes[problem.args[1][0]]} reads what it puts out, by a cycle") from None


def _input(value: Any, path: Path) -> OnnxInput:
    onnx = package("onnx")
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise UserError(f"{path} has an input {value.name} that is no tensor of a known number of axes: give another file")
    sizes = tuple(size.dim_value if size.dim_value > 0 else None for size in kind.shape.dim)
    return OnnxInput(value.name, sizes, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)))


def reader_counts(nodes: Sequence[OnnxNode], outputs: Sequence[str], resolve: Callable[[str], str]) -> Counter[str]:
    """Name of a tensor → how often it is read; an output of the graph counts as one more reader."""
    return Counter(resolve(name) for name in (*(name for node in nodes for name in node.inputs if name), *outputs))
