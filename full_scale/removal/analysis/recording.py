"""A network's graph from a single run of it, at a tenth of what torch.export costs.

The run is a real one, in which each ATen operation is written down as torch.export would. What a single run cannot show (code
that looks at values, tensors of unknown origin, views that are written to and read again) ends the recording.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from full_scale.removal.analysis.untouched import tensors_in_attributes

ATEN = torch.ops.aten
BATCH_NORM = ATEN._native_batch_norm_legit_no_training.default

VALUES = {
    *(Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.data_ptr, Tensor.apply_, Tensor.map_, Tensor.map2_),
    *(Tensor.untyped_storage, Tensor.storage, Tensor.__dlpack__, Tensor.__reduce_ex__, Tensor.__deepcopy__),
    *(Tensor.data.__get__, Tensor.data.__set__, Tensor.set_),  # type: ignore[attr-defined]
}
"""Functions that take numbers out of tensors, or put them in, so that no operation shows it."""

MAKERS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor, Tensor.new}
"""Functions that make a tensor of numbers, and take these also out of tensors."""

SIZES = {
    *(Tensor.shape.__get__, Tensor.size, Tensor.numel, Tensor.nelement, torch.numel, Tensor.__len__, Tensor.stride),  # type: ignore[attr-defined]
    *(Tensor.view, Tensor.view_as, Tensor.reshape, Tensor.reshape_as, torch.reshape, Tensor.unflatten, torch.unflatten),
    *(Tensor.unbind, torch.unbind, Tensor.__iter__, Tensor.split, torch.split, Tensor.chunk, torch.chunk, Tensor.nbytes.__get__),  # type: ignore[attr-defined]
}
"""Functions whose results tell the code how large a tensor is, or for which sizes that stand in the code are cut to fit."""

HIDING = ("set", "resize", "empty", "new_empty")
"""Beginnings of the names of operations whose result does not depend on their arguments alone."""


class NotRecorded(Exception):
    """A single run does not show what the network computes."""


@dataclass(frozen=True)
class Recording:
    """A graph with its placeholders, as in `TracedNetwork`, and whether the code could depend on the sizes of tensors."""

    graph: fx.Graph
    names: dict[str, str]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    reads_sizes: bool


def record(network: nn.Module, inputs: tuple[Tensor, ...]) -> Recording | None:
    """The graph of a network as it runs on these inputs; None where a run does not show it.

    What the code writes on parameters, buffers and inputs is not carried out; nor is there a recording then.
    """
    recorder = _Recorder(network)
    nodes = [recorder.placeholder(f"input_{number}", part) for number, part in enumerate(inputs)]
    try:
        with torch.inference_mode(), recorder.functions, recorder.operations, _paths(network, recorder.path):
            found = network(*inputs)
        recorder.put_out(found)
    except Exception:
        return None
    names = tuple(node.name for node in nodes)
    tensors = {name: tensor for name, tensor in recorder.tensors.items() if name not in names}
    return Recording(recorder.graph, recorder.names, tensors, names, recorder.functions.reads_sizes)


@contextlib.contextmanager
def _paths(network: nn.Module, path: list[str]) -> Iterator[None]:
    """Within it, `path` ends with the name of the module that is running."""
    hooks = []
    for name, part in network.named_modules():
        hooks.append(part.register_forward_pre_hook(lambda *_, name=name: path.append(name), prepend=True))
        hooks.append(part.register_forward_hook(lambda *_: path.__delitem__(-1), always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Functions(TorchFunctionMode):
    """Watches what Python code calls: what takes values out of tensors ends the recording."""

    def __init__(self) -> None:
        super().__init__()
        self.reads_sizes, self.depth, self.refused = False, 0, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in VALUES or (func in MAKERS and any(isinstance(part, Tensor) for part in tree_leaves((args[-1:], kwargs)))):
            self.refused = True
            raise NotRecorded
        self.reads_sizes |= func in SIZES or (func is Tensor.__getitem__ and not _takes_all(args[1]))
        self.depth += 1
        try:
            return func(*args, **kwargs)
        finally:
            self.depth -= 1


def _takes_all(index: Any) -> bool:
    """Whether an index is the same for all sizes."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or part == slice(None) for part in parts if not isinstance(part, Tensor))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self.recorder.run(func, args, kwargs or {})
        except NotRecorded:
            self.recorder.functions.refused = True  # code may catch it
            raise


class _Recorder:
    def __init__(self, network: nn.Module) -> None:
        self.graph = fx.Graph()
        self.path: list[str] = []
        self.functions, self.operations = _Functions(), _Operations(self)
        self.names: dict[str, str] = {}
        self.tensors: dict[str, Tensor] = {}
        self.fixed = set[int]()
        self.numbers = set[fx.Node]()  # what is computed from nothing but numbers in the code
        self.plain = set[int]()  # memory that nothing else was written to
        self.nodes: Any = WeakTensorKeyDictionary()
        self.given: dict[int, fx.Node] = {}
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            self.names[self.placeholder(name.replace(".", "_"), tensor).name] = name
        self.others = {id(tensor): tensor for tensor in tensors_in_attributes(network)}

    def placeholder(self, name: str, tensor: Tensor) -> fx.Node:
        """A node for a tensor that is there before the run."""
        node = self.graph.placeholder(name)
        node.meta["val"] = _without_numbers(tensor)
        self.numbers |= {node} if name == "constant" else set()
        self.tensors[node.name] = tensor
        self.given[id(tensor)] = node
        self.fixed.add(_memory(tensor))
        return node

    def put_out(self, found: Any) -> None:
        """Ends the graph."""
        leaves = tree_leaves(dict(found) if isinstance(found, dict) else found)
        plain = all(leaf is None or isinstance(leaf, Tensor | int | float | str) for leaf in leaves)
        if self.functions.refused or not plain:
            raise NotRecorded
        self.graph.output(tuple(self.node(leaf) for leaf in leaves if isinstance(leaf, Tensor)))

    def node(self, value: Any) -> Any:
        """The node of a tensor; other values are themselves."""
        if not isinstance(value, Tensor):
            return value
        found = self.given.get(id(value)) or self.nodes.get(value)
        if found is None and value in self.nodes and _memory(value) in self.plain:
            found = self.nodes[value] = self.placeholder("constant", value.clone())
        if found is None and id(value) in self.others and value not in self.nodes:
            found = self.placeholder("constant", value)
        if found is None:
            raise NotRecorded
        return found

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs an operation and writes it down."""
        self.functions.reads_sizes |= not self.functions.depth  # compiled code, which may ask what it wants
        if func is ATEN.detach_.default:
            return args[0]
        seen = func is not ATEN.lift_fresh.default or self.functions.depth  # else a maker of old, to which anything may be given
        if not isinstance(func, torch._ops.OpOverload) or (_hides(func) and not _takes_by_number(func, args)) or not seen:
            raise NotRecorded
        if func is ATEN.batch_norm.default:
            return self._norm(func, args, kwargs)
        if func is ATEN.lift_fresh.default:
            self.placeholder("constant", args[0])
            return args[0]
        if _is_split(func):
            with self.operations:
                return func.decompose(*args, **kwargs)
        written = _written(func)
        if written is not None:
            return self._in_place(func, written, args, kwargs)
        given = map_aggregate((args, kwargs), self.node)
        found = func(*args, **kwargs)
        if all(isinstance(part, Tensor) for part in tree_leaves(found)):
            self._put(func, given, found)
        elif any(isinstance(part, Tensor) for part in tree_leaves((args, kwargs))):  # what profiles takes none
            raise NotRecorded  # the code looks at numbers
        return found

    def _in_place(self, func: Any, functional: Any, args: Any, kwargs: Any) -> Any:
        """Writes down what an operation makes of its first argument; what shares memory with that may not be read any more."""
        target, given = args[0], map_aggregate((args, kwargs), self.node)
        memory = _memory(target)
        if memory in self.fixed:
            raise NotRecorded
        found = func(*args, **kwargs)
        for other in list(self.nodes):
            if other is not target and _memory(other) == memory:
                self.nodes[other] = None
        node = self._put(functional, given, target)
        (self.plain.add if node in self.numbers else self.plain.discard)(memory)
        return found

    def _norm(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """BatchNorm in evaluation mode, with or without running statistics, in the form that torch.export gives it."""
        training, without = args[5], [part is None for part in args[3:5]]
        if kwargs or without != [training, training]:
            raise NotRecorded
        form, numbers = (BATCH_NORM, args[:5]) if not training else (ATEN._native_batch_norm_legit.no_stats, (*args[:3], True))
        given: Any = map_aggregate(((*numbers, *args[6:8]), {}), self.node)
        found: Tensor = func(*args)
        statistics = found.new_empty(found.shape[1] if training else 0)
        self._put(form, given, (found, statistics, statistics.clone()))
        return found

    def _put(self, func: Any, given: Any, found: Any) -> fx.Node:
        args, kwargs = given
        node = self.graph.create_node("call_function", func, args, kwargs, func._schema.name.rpartition("::")[2])
        node.meta["nn_module_stack"] = {"": (self.path[-1], None)} if self.path else {}
        node.meta["val"] = _without_numbers(found)
        random = torch.Tag.nondeterministic_seeded in func.tags
        if _is_filled(func) or (self.numbers.issuperset(node.all_input_nodes) and not random):
            self.numbers.add(node)
        if isinstance(found, Tensor):
            self.nodes[found] = node
        elif isinstance(found, list | tuple):
            for number, part in enumerate(found):
                if isinstance(part, Tensor) and (part.numel() or len(found) == 1):
                    piece = self.graph.call_function(operator.getitem, (node, number))
                    piece.meta |= {**node.meta, "val": node.meta["val"][number]}
                    self.nodes[part] = piece
        return node


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _without_numbers(value: Any) -> Any:
    """The same tensors without their numbers."""
    if isinstance(value, list | tuple):
        return [_without_numbers(part) for part in value]
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


@functools.cache
def _hides(func: torch._ops.OpOverload) -> bool:
    name = func._schema.name.partition("::")[2]
    tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}
    return name.startswith(HIDING) or bool(tags & set(func.tags)) or any(part.is_out for part in func._schema.arguments)


def _takes_by_number(func: torch._ops.OpOverload, args: Any) -> bool:
    """Whether an operation takes what tensors of whole numbers count, so that sizes alone say how much that is."""
    return func is ATEN.index.Tensor and all(part is None or part.dtype not in (torch.bool, torch.uint8) for part in args[1])


@functools.cache
def _is_filled(func: torch._ops.OpOverload) -> bool:
    """Whether an operation makes a tensor of one number, and takes its size or type from another tensor at most."""
    return func._schema.name.rpartition("::")[2] in ("new_zeros", "new_ones", "zeros_like", "ones_like")


@functools.cache
def _is_split(func: torch._ops.OpOverload) -> bool:
    """Whether torch.export writes down the operations that this one is made of."""
    aliasing = func._schema.is_mutable or any(part.alias_info is not None for part in func._schema.arguments)
    return func._can_decompose() and (aliasing or torch.Tag.maybe_aliasing_or_mutating in func.tags)


@functools.cache
def _written(func: torch._ops.OpOverload) -> Any:
    """For an operation that writes on its first argument, the one that puts out the same instead; None for all others.

    Raises:
        NotRecorded: it writes on something else, or there is no such operation.
    """
    if not func._schema.is_mutable:
        return None
    writes = [part.alias_info is not None and part.alias_info.is_write for part in func._schema.arguments]
    space, _, name = func._schema.name.partition("::")
    packet = getattr(getattr(torch.ops, space), name.removesuffix("_"), None)
    plain = getattr(packet, func._overloadname, None)
    names = [[part.name for part in each._schema.arguments] for each in (func, plain) if each is not None]
    if not name.endswith("_") or writes != [True] + [False] * (len(writes) - 1) or len(names) != 2 or names[0] != names[1]:
        raise NotRecorded
    return plain
