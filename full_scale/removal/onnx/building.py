"""From a file to a network: constants are computed, operations tried one by one, and what is not covered is left out by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from full_scale.removal.analysis.graph import quiet
from full_scale.removal.onnx.layers import LAYERS, STATES, WITH_BIAS, Given, Place, parameter
from full_scale.removal.onnx.network import OnnxNetwork, Operation, Step, template_of
from full_scale.removal.onnx.operations import SIZES
from full_scale.removal.onnx.operations.common import Call
from full_scale.removal.onnx.operations.pointwise import POINTWISE
from full_scale.removal.onnx.reading import OnnxFile, OnnxInput, OnnxNode, read_file
from full_scale.removal.onnx.runtime import require_read_right
from full_scale.removal.onnx.sizes import NotCovered, computed
from mechanisms.validation import UserError, first_line

SIDES = (64, 224, 32, 320, 640, 16, 128, 1)
"""Sizes that are tried, in this order, for axes that a file leaves open."""

REAL = {"float16": torch.float16, "float64": torch.float64, "bfloat16": torch.bfloat16}
LARGEST_INPUT = 1 << 28
ALIASES = {"Identity"}
LARGEST_FOLDED = 1 << 24
"""Numbers that an operation on constants may put out to be computed once."""


def read_onnx(path: str | Path, size: Sequence[int] | None = None) -> OnnxNetwork:
    """Read an ONNX file as a network that `audit` and `shrink` take, with its `example` as their input.

    Args:
        path: the file.
        size: shape of the first input, the images first; by default that of the file, with one image and sizes that are tried
            where it leaves them open.

    Raises:
        UserError: the file cannot be read, its operations do not run on such an input, or they do something else than under
            onnxruntime, where that is installed.
    """
    file = read_file(Path(path))
    with quiet(), torch.no_grad():
        problems = []
        for sizes in _candidates(file, size):
            try:
                network = _Builder(file, _example(file, sizes)).network()
            except UserError as problem:
                problems.append(problem)
                continue
            if network.places:
                require_read_right(network)
                if size is None and any(want is None for entry in file.inputs for want in entry.sizes[1:]):
                    network.remarks = (f"run on {_named(network.example)}, as the file leaves sizes open: --input says another",)
                return network
            problems.append(UserError(f"{file.path}: no operation with weights is covered; {'; '.join(network.left_out[:3])}"))
    raise problems[0]


def _named(example: Sequence[Tensor]) -> str:
    return " and ".join("an input of " + "×".join(map(str, part.shape)) for part in example)


def _candidates(file: OnnxFile, size: Sequence[int] | None) -> list[list[tuple[int, ...]]]:
    """The shapes of all inputs that are tried."""
    first = file.inputs[0]
    if size is not None:
        fits = len(size) == len(first.sizes)
        if not fits or any(want not in (None, given) for want, given in zip(first.sizes, size, strict=True)):
            wanted = ",".join("?" if want is None else str(want) for want in first.sizes)
            raise UserError(f"{file.path} takes {first.name} of shape {wanted}, not {','.join(map(str, size))}")
    sides = SIDES if any(want is None for entry in file.inputs for want in entry.sizes[1:]) else SIDES[:1]
    found = [[_filled(entry, side) for entry in file.inputs] for side in sides]
    if size is not None:
        found = [[tuple(size), *rest[1:]] for rest in found]
    return list({tuple(shapes): shapes for shapes in found}.values())


def _filled(given: OnnxInput, side: int) -> tuple[int, ...]:
    sizes = [1 if want is None and not axis else want for axis, want in enumerate(given.sizes)]
    channels = 3 if len(sizes) == 4 and sizes[1] is None and sizes[3] != 3 else None
    return tuple((channels if axis == 1 and channels else side) if want is None else want for axis, want in enumerate(sizes))


def _example(file: OnnxFile, sizes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for given, shape in zip(file.inputs, sizes, strict=True):
        if np.prod([float(size) for size in shape]) > LARGEST_INPUT:
            raise UserError(f"{file.path} takes {given.name} of shape {shape}: of more than {LARGEST_INPUT} numbers")
        if np.issubdtype(given.dtype, np.floating) or given.dtype.name == "bfloat16":
            found.append(torch.randn(shape, generator=generator).to(REAL.get(given.dtype.name, torch.float32)))
        else:
            found.append(torch.from_numpy(np.ones(shape, given.dtype)))
    return tuple(found)


class _Builder:
    """Makes the network of a file by running it on an example."""

    def __init__(self, file: OnnxFile, example: tuple[Tensor, ...]) -> None:
        self.file, self.net = file, OnnxNetwork(file)
        self.net.example = example
        self.arrays: dict[str, np.ndarray] = dict(file.constants)
        self.alias: dict[str, str] = {}
        self.values: dict[str, Any] = {given.name: part for given, part in zip(file.inputs, example, strict=True)}
        self.missing: dict[str, str] = {}
        self.shared: dict[tuple[str, bool], nn.Parameter] = {}
        self.edges: dict[str, None] = {}
        self.nodes = self._needed()

    def resolve(self, name: str) -> str:
        """The tensor that a name stands for."""
        while name in self.alias:
            name = self.alias[name]
        return name

    def _needed(self) -> list[OnnxNode]:
        """The nodes that an output depends on; those of constants are computed, and names for the same tensor joined."""
        wanted, found = set(self.file.outputs), []
        for node in reversed(self.file.nodes):
            if wanted & set(node.outputs):
                wanted.update(node.inputs)
                found.append(node)
        left = []
        for node in reversed(found):
            if node.operation in ALIASES and not node.domain:
                self.alias[node.outputs[0]] = node.inputs[0]
            elif not self._folds(node):
                left.append(node)
        return left

    def _folds(self, node: OnnxNode) -> bool:
        arrays = [self.arrays.get(self.resolve(name)) if name else None for name in node.inputs]
        known = all(array is not None or not name for array, name in zip(arrays, node.inputs, strict=True))
        if not known or node.operation.startswith("Random"):
            return False
        try:
            found = computed(node, self.file.opset, arrays)
        except Exception:
            return False
        if sum(array.size for array in found) > LARGEST_FOLDED + sum(array.size for array in arrays if array is not None):
            return False
        self.arrays.update(zip(node.outputs, found, strict=False))
        return True

    def network(self) -> OnnxNetwork:
        """The network, or as much of it as is covered.

        Raises:
            UserError: nothing is.
        """
        readers = Counter(self.resolve(name) for node in self.nodes for name in node.inputs if name)
        readers.update(map(self.resolve, self.file.outputs))
        sums = {self.resolve(name): node for node in self.nodes if node.operation == "Add" for name in node.inputs}
        last = {self.resolve(name): node.number for node in self.nodes for name in node.inputs if name}
        done = set[int]()
        for node in self.nodes:
            if node.number not in done:
                added = self._added(node, readers, sums)
                self._put(node, added)
                done |= set() if added is None else {added[0].number}
            self._forget([name for name in map(self.resolve, node.inputs) if last.get(name) == node.number])
        results = {self.resolve(name): None for name in self.file.outputs} | self.edges
        self.net.results = tuple(name for name in results if isinstance(self.values.get(name), Tensor))
        self.net.alias = {name: self.resolve(name) for name in self.alias}
        known = {name: self.arrays[self.resolve(name)] for name in self.alias if self.resolve(name) in self.arrays}
        self.net.file = dataclasses.replace(self.file, constants=self.arrays | known)
        self.net.left_out = tuple(dict.fromkeys(reason for reason in self.missing.values() if reason))
        if not self.net.results or not self.net.steps:
            raise UserError(f"{self.file.path}: {next(iter(self.net.left_out), 'nothing in it depends on its inputs')}")
        return self.net

    def _forget(self, names: list[str]) -> None:
        """Drops the numbers of tensors that nothing reads any more, not their shapes."""
        for name in names:
            if isinstance(self.values.get(name), Tensor):
                self.values[name] = self.values[name].to("meta")

    def _added(self, node: OnnxNode, readers: Counter[str], sums: dict[str, OnnxNode]) -> tuple[OnnxNode, int, np.ndarray] | None:
        """The sum with a constant that alone reads what an operation without bias puts out, as its bias."""
        slot = WITH_BIAS.get(node.operation)
        if slot is None or node.domain or (slot < len(node.inputs) and node.inputs[slot]) or len(node.inputs) < 2:
            return None
        found, weight = sums.get(node.outputs[0]), self.arrays.get(self.resolve(node.inputs[1]))
        if found is None or weight is None or readers[node.outputs[0]] != 1:
            return None
        names = [self.resolve(name) for name in found.inputs]
        place = 1 if names[0] == node.outputs[0] else 0
        array = self.arrays.get(names[place])
        if array is None or names[1 - place] != node.outputs[0]:
            return None
        linear = node.operation in ("MatMul", "Gemm")
        outputs = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}.get(node.operation, 0 if node.attributes.get("transB") else 1)
        groups = node.attributes.get("group", 1) if node.operation == "ConvTranspose" else 1
        count, trailing = weight.shape[outputs] * groups, 0 if linear else weight.ndim - 2
        shape = (1,) * (trailing + 1 - array.ndim) + array.shape
        vector = len(shape) <= trailing + 2 and shape[len(shape) - trailing - 1] == count == array.size
        return (found, place, array) if vector and array.ndim > trailing else None

    def _put(self, node: OnnxNode, added: tuple[OnnxNode, int, np.ndarray] | None) -> None:
        """Adds an operation to the network, if it runs; else says why not, and what it reads is put out."""
        names = [self.resolve(name) if name else "" for name in node.inputs]
        ends = node if added is None else added[0]
        behind = any(name in self.missing for name in names)
        reason = "" if behind else self._tried(node, names, ends.outputs, added)
        if not behind and reason is None:
            return
        self.missing |= dict.fromkeys(filter(None, (*node.outputs, *ends.outputs)), reason or "")
        self.edges |= {name: None for name in names if isinstance(self.values.get(name), Tensor) and name not in self._inputs()}

    def _inputs(self) -> set[str]:
        return {given.name for given in self.file.inputs}

    def _tried(
        self, node: OnnxNode, names: list[str], outputs: tuple[str, ...], added: tuple[OnnxNode, int, np.ndarray] | None
    ) -> str | None:
        """Runs an operation on the example; None, or why it cannot be covered."""
        try:
            module, places, reads = self._made(node, names, added)
            values = module(*(self.values[name] for name in reads))
        except Exception as problem:
            why = str(problem) if isinstance(problem, NotCovered) else f"it does not run: {first_line(problem)}"
            return f"{node} is not covered ({why})"
        found = values if isinstance(values, list | tuple) else [values]
        self.values.update((name, part) for name, part in zip(outputs, found, strict=False) if name)
        if isinstance(module, Operation) and node.operation == "Reshape" and isinstance(found[0], Tensor):
            self._follow_sizes(module, names)
        path = self._name(node)
        self.net.add_module(path, module)
        self.net.places |= {f"{path}.{name}": place for name, place in places.items()}
        self.net.steps.append(Step(path, tuple(reads), outputs))
        return None

    def _follow_sizes(self, module: Operation, names: list[str]) -> None:
        value, wanted = (self.values.get(name, self.arrays.get(name)) for name in names)
        if isinstance(value, Tensor) and isinstance(wanted, np.ndarray):
            asked = module.target(value, wanted)
            module.template = template_of(value.shape, asked, value.reshape(asked).shape)

    def _made(
        self, node: OnnxNode, names: list[str], added: tuple[OnnxNode, int, np.ndarray] | None
    ) -> tuple[nn.Module, dict[str, Place], list[str]]:
        """The module of an operation, where its parameters stand, and the computed tensors that it reads."""
        call = Call(node.attributes, self.file.opset, len(node.outputs))
        arrays: list[Any] = [self.arrays.get(name) for name in names]
        if node.operation in LAYERS and not node.domain and any(array is not None for array in arrays):
            bias = None if added is None else (added[0].number, added[1], added[2])
            try:
                module, places = LAYERS[node.operation](call, Given(node, arrays, bias))
            except NotCovered:
                if added is not None or node.operation not in ("MatMul", "Gemm"):
                    raise
            else:
                self._share(module, places, names)
                return (
                    module.eval(),
                    places,
                    [name for slot, name in enumerate(names) if slot in (0, *STATES) and name in self.values],
                )
        return self._plain(node, call, names, arrays)

    def _share(self, module: nn.Module, places: dict[str, Place], names: list[str]) -> None:
        """A matrix that the file holds once is one parameter; a vector is one for each use, as equal ones may be held once."""
        for field, place in places.items():
            held = module._parameters.get(field)
            if held is not None and not place.is_new and sum(size > 1 for size in held.shape) > 1:
                key = (names[place.slot], place.transposed)
                setattr(module, field, self.shared.setdefault(key, held))

    def _plain(
        self, node: OnnxNode, call: Call, names: list[str], arrays: list[Any]
    ) -> tuple[nn.Module, dict[str, Place], list[str]]:
        reads = list(dict.fromkeys(name for name in names if name in self.values))
        dims = max((self.values[name].ndim for name in reads), default=0)
        of_sizes = not any(isinstance(self.values[name], Tensor) for name in reads)
        sources: list[Any] = [None] * len(names)
        module, places = Operation(node, call, sources), dict[str, Place]()
        for slot, (name, array) in enumerate(zip(names, arrays, strict=True)):
            if name in self.values:
                module.sources[slot] = reads.index(name)
            elif array is not None and (of_sizes or slot in SIZES.get(node.operation, ()) or not _is_numbers(array)):
                module.sources[slot] = array
            elif array is not None and array.size == 1 and node.operation in POINTWISE and array.ndim <= dims:
                module.sources[slot] = array.reshape(())
            elif array is not None:
                field = f"input_{slot}"
                made = parameter(array)
                if made.is_floating_point():
                    module.register_parameter(field, made)
                    places[field] = Place(node.number, slot)
                else:
                    module.register_buffer(field, made.detach())
                module.sources[slot] = field
            elif name:
                raise NotCovered(f"it reads {name}, which is not known")
        if not reads:
            raise NotCovered("it makes its numbers without any image")
        self._share(module, places, names)
        return module, places, reads

    def _name(self, node: OnnxNode) -> str:
        """A name that is the node's own, as far as torch takes it."""
        name = (node.name or f"{node.operation}_{node.outputs[0]}").strip("/").replace(".", "/") or node.operation
        while hasattr(self.net, name):
            name += "_"
        return name


def _is_numbers(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiub" or array.dtype.name == "bfloat16"
