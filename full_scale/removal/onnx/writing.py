"""A smaller network back into its file: the same graph with other tensors, and other numbers where it states their sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from full_scale.removal.onnx.layers import Place
from full_scale.removal.onnx.network import OnnxNetwork, Operation
from full_scale.removal.onnx.operations.common import known
from full_scale.removal.onnx.operations.shapes import target_of
from full_scale.removal.onnx.reading import STANDARD, package
from full_scale.removal.onnx.sizes import numbers
from mechanisms.validation import UserError

LARGEST = 2**31 - 1
"""Bytes of a file in the format of ONNX."""


def write_network(network: OnnxNetwork, file: Path) -> None:
    """Write the file that a network was read from, with the network's parameters as they are now.

    Raises:
        UserError: the file states sizes in a way that cannot be changed, or would be too large.
    """
    model = _Writer(network).model()
    if model.ByteSize() > LARGEST:
        raise UserError(f"{file} would be larger than 2 GB, which one file of ONNX cannot be")
    file.write_bytes(model.SerializeToString())


class _Writer:
    def __init__(self, network: OnnxNetwork) -> None:
        self.network, self.onnx = network, package("onnx")
        self.made = self.onnx.ModelProto()
        self.made.CopyFrom(network.file.model)
        self.graph = self.made.graph
        self.nodes = list(self.graph.node)
        self.uses = Counter(name for node in self.nodes for name in node.input)
        self.uses.update(value.name for value in self.graph.output)
        self.held = {tensor.name: tensor for tensor in self.graph.initializer}
        self.names = {*self.uses, *self.held, *(name for node in self.nodes for name in node.output)}
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.known: dict[tuple[str, bytes], str] = {}
        self.after: dict[int, list[Any]] = {}
        self.before: dict[int, list[Any]] = {}

    def model(self) -> Any:
        """The file's content with what has changed."""
        tensors = dict(self.network.named_parameters(remove_duplicate=False)) | dict(
            self.network.named_buffers(remove_duplicate=False)
        )
        changed = [self._put(place, name, tensors[name]) for name, place in self.network.places.items() if name in tensors]
        if not any(changed):
            return self.made
        self._restate_sizes()
        del self.graph.value_info[:]  # they state the sizes of what is computed
        ordered = self.onnx.GraphProto()
        for number, node in enumerate(self.nodes):
            ordered.node.extend([*self.before.get(number, []), node, *self.after.get(number, [])])
        del self.graph.node[:]
        self.graph.node.extend(ordered.node)
        self._drop_unread()
        return self.made

    def _put(self, place: Place, name: str, parameter: Tensor) -> bool:
        """Puts a parameter into the file; whether it is another one than the file had."""
        node = self.nodes[place.node]
        if place.is_new:
            self._add_bias(place, name, parameter)
            return True
        old = node.input[place.slot]
        original = self.network.file.constants[old]
        array = place.laid_out(parameter)
        if array.shape == original.shape and _bytes(array) == original.tobytes():
            return False
        node.input[place.slot] = self._halved(place.node, old, array) or self._tensor(old, array, original.dtype)
        module = self.network.get_submodule(name.rpartition(".")[0])
        for attribute in node.attribute if hasattr(module, "groups") else ():
            if attribute.name == "group":
                attribute.i = module.groups
        return True

    def _halved(self, number: int, old: str, array: Tensor) -> str | None:
        """The name of a tensor that the file keeps in half precision and converts, written so again; None where it does not.

        Numbers that half precision does not hold, as sums of columns may be, are written as they are.
        """
        maker = self.makers.get(old) if self.uses[old] == 1 else None
        kept = None if maker is None or maker.op_type != "Cast" else self.network.file.constants.get(maker.input[0])
        if maker is None or kept is None or kept.dtype != np.float16 or not torch.equal(array.half().to(array), array):
            return None
        name = self._free(f"{old}_kept")
        half = self._tensor(maker.input[0], array.half(), kept.dtype)
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.network.file.constants[old].dtype)
        self.before.setdefault(number, []).append(self.onnx.helper.make_node("Cast", [half], [name], to=kind))
        return name

    def _tensor(self, old: str, array: Tensor, dtype: Any) -> str:
        """The name of a tensor of the file with these numbers: the old one's, if nothing else reads that."""
        kind, content = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), _bytes(array)
        key = (old, content + repr(tuple(array.shape)).encode())
        if key not in self.known:
            alone = old in self.held and self.uses[old] == 1
            name = old if alone else self._free(f"{old}_kept")
            tensor = self.held[old] if alone else self.graph.initializer.add()
            tensor.CopyFrom(self.onnx.TensorProto(name=name, data_type=kind, dims=array.shape, raw_data=content))
            self._declare(name, kind, array)
            self.known[key] = name
        return self.known[key]

    def _declare(self, name: str, kind: int, array: Tensor) -> None:
        """Old files list their tensors among the inputs, with their sizes."""
        listed = [value for value in self.graph.input if value.name == name]
        made = self.onnx.helper.make_tensor_value_info(name, kind, list(array.shape))
        if listed:
            listed[0].CopyFrom(made)
        elif self.made.ir_version < 4:
            self.graph.input.append(made)

    def _free(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def _add_bias(self, place: Place, name: str, bias: Tensor) -> None:
        node = self.nodes[place.node]
        weight = self.network.file.model.graph.node[place.node].input[1]
        dtype = self.network.file.constants[weight].dtype
        made = self._tensor(f"{node.output[0]}_bias", bias.detach().cpu(), dtype)
        if node.op_type == "MatMul":
            output, inner = node.output[0], self._free(f"{node.output[0]}_before_bias")
            node.output[0] = inner
            added = self.onnx.helper.make_node("Add", [inner, made], [output], name=f"{node.name}_bias" if node.name else "")
            self.after.setdefault(place.node, []).append(added)
            return
        del node.input[place.slot :]
        node.input.append(made)

    @torch.no_grad()
    def _restate_sizes(self) -> None:
        """Puts the sizes of channels as they are now where the file states them as numbers."""
        for step, read, found in self.network.each_step(self.network.example, {}):
            module = self.network.get_submodule(step.module)
            restate = RESTATED.get(module.node.operation) if isinstance(module, Operation) and not module.node.domain else None
            if restate is not None and isinstance(module, Operation):
                inputs = module.gathered(read)
                if isinstance(inputs[0], Tensor):
                    restate(self, module, inputs, found)

    def _reshape(self, module: Operation, inputs: list[Any], outputs: list[Any]) -> None:
        raw = numbers(known(inputs[1]))
        asked, made = target_of(module.call, inputs[0].shape, known(inputs[1])), list(outputs[0].shape)  # type: ignore[arg-type]
        wrong = [place for place, size in enumerate(asked) if size not in (-1, made[place])]
        if not wrong:
            return
        slot = self.nodes[module.node.number].input[1]
        if slot in self.network.file.constants:
            new = [made[place] if place in wrong else size for place, size in enumerate(raw)]
        else:
            before = list(inputs[0].shape)
            new = [_size(place, raw, made, before, wrong) for place in range(len(raw))]
            if new.count(-1) > 1:
                raise UserError(f"{module.node} computes sizes of channels while it runs: the file cannot be made smaller")
        self.nodes[module.node.number].input[1] = self._sizes(slot, new)

    def _sizes(self, old: str, sizes: list[int]) -> str:
        return self._tensor(self._free(f"{old}_sizes"), torch.tensor(sizes), np.int64)

    def _expand(self, module: Operation, inputs: list[Any], outputs: list[Any]) -> None:
        wanted, made = numbers(known(inputs[1])), list(outputs[0].shape)
        places = range(len(made) - len(wanted), len(made))
        new = [1 if size not in (1, made[place]) else size for place, size in zip(places, wanted, strict=True)]
        if new != wanted:
            slot = self.nodes[module.node.number].input[1]
            if slot not in self.network.file.constants:
                raise UserError(f"{module.node} computes sizes of channels while it runs: the file cannot be made smaller")
            self.nodes[module.node.number].input[1] = self._sizes(slot, new)

    def _split(self, module: Operation, inputs: list[Any], outputs: list[Any]) -> None:
        axis, node = module.call.get("axis", 0), self.nodes[module.node.number]
        new = [part.shape[axis] for part in outputs]
        attribute = next((part for part in node.attribute if part.name == "split"), None)
        if attribute is not None and list(attribute.ints) != new:
            attribute.ints[:] = new
        elif len(inputs) > 1 and inputs[1] is not None and numbers(known(inputs[1])) != new:
            node.input[1] = self._sizes(node.input[1], new)

    def _resize(self, module: Operation, inputs: list[Any], outputs: list[Any]) -> None:
        """Sizes of a Resize hold that of the channels, too: it is then read from what comes in."""
        sizes = known(inputs[3]) if len(inputs) > 3 else None
        if sizes is None or not sizes.size or len(sizes) != outputs[0].dim() or numbers(sizes)[1] == outputs[0].shape[1]:
            return
        node, helper = self.nodes[module.node.number], self.onnx.helper
        shape, first, rest, joined = (self._free(f"{node.output[0]}_{part}") for part in ("shape", "first", "rest", "sizes"))
        zero, two, end = (self._sizes(f"{node.output[0]}_{number}", [number]) for number in (0, 2, LARGEST))
        self.before.setdefault(module.node.number, []).extend(
            [
                helper.make_node("Shape", [node.input[0]], [shape]),
                helper.make_node("Slice", [shape, zero, two], [first]),
                helper.make_node("Slice", [node.input[3], two, end], [rest]),
                helper.make_node("Concat", [first, rest], [joined], axis=0),
            ]
        )
        node.input[3] = joined

    def _drop_unread(self) -> None:
        """Drops nodes and tensors that nothing reads any more, but not those that nothing read before."""
        outputs = {value.name for value in self.graph.output}
        before = {*self.uses, *outputs}
        while True:
            read = {name for node in self.graph.node for name in node.input} | outputs
            gone = [
                node
                for node in self.graph.node
                if not read & set(node.output) and before & set(node.output) and node.domain in STANDARD
            ]
            if not gone:
                break
            for node in gone:
                self.graph.node.remove(node)
        for tensor in [tensor for tensor in self.graph.initializer if tensor.name not in read and tensor.name in before]:
            for value in [value for value in self.graph.input if value.name == tensor.name]:
                self.graph.input.remove(value)
            self.graph.initializer.remove(tensor)


def _size(place: int, raw: list[int], made: list[int], before: list[int], wrong: list[int]) -> int:
    """A size in a Reshape whose sizes were computed: a number if it is one of channels, else copied, or what follows."""
    if place in wrong:
        return made[place]
    return 0 if place < len(before) and before[place] == made[place] else -1


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return plain.numpy().tobytes()


RESTATED = {"Reshape": _Writer._reshape, "Expand": _Writer._expand, "Split": _Writer._split, "Resize": _Writer._resize}
"""Operation → what restates its sizes."""
