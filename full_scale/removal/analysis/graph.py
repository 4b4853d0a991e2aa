"""A network as one flat graph of ATen operations, with the names its parameters have in the user's module."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from full_scale.models.parts.wrappers import network_in
from full_scale.removal.analysis.recording import record
from full_scale.removal.analysis.untouched import tensors_in_attributes, untouched
from mechanisms.validation import UserError, first_line

Inputs = tuple[Tensor, ...]
Kind = torch.export.graph_signature.InputKind


@dataclass(frozen=True)
class TracedNetwork:
    """The graph of a network in evaluation mode.

    `names` maps a placeholder to the name of its parameter or buffer, the first one if it has several; `tensors` to its value,
    also for unnamed constants; `inputs` are the placeholders of the network's inputs; parameters in `shared` have memory in
    common with others; `recorded` says whether the graph is that of one run, without torch.export; the code could depend on
    sizes of tensors only with `reads_sizes`.
    """

    module: nn.Module
    graph: fx.Graph
    names: dict[str, str]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    shared: frozenset[str]
    recorded: bool
    reads_sizes: bool


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, nothing is printed to stderr, neither warnings nor what torch says of graphs and of sizes that do not run.

    What is wrong is said in one line.
    """
    top = logging.getLogger("torch")
    made = [logger for name, logger in logging.root.manager.loggerDict.items() if name.startswith("torch.")]
    own = [logger for logger in made if isinstance(logger, logging.Logger) and not logger.disabled]
    level = top.level
    try:
        top.setLevel(logging.CRITICAL + 1)  # for loggers that are made within
        for logger in own:
            logger.disabled = True
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        top.setLevel(level)
        for logger in own:
            logger.disabled = False


def structural_copy(module: nn.Module, convert: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    """A copy of a module that shares the parameters, or holds what `convert` makes of them; all other tensors are copied.

    Raises:
        UserError: the module holds something that cannot be copied.
    """
    memo: dict[int, Any] = {}
    for tensor in {*module.parameters(), *module.buffers()}:
        if isinstance(tensor, nn.Parameter):
            memo[id(tensor)] = nn.Parameter(convert(tensor), tensor.requires_grad) if convert else tensor
        else:
            memo[id(tensor)] = convert(tensor) if convert else tensor.detach().clone()
    for part in module.modules():  # most of what deepcopy would spend its time on: the empty dicts of hooks
        empty = [held for held in vars(part).values() if type(held) in (dict, OrderedDict) and not held]
        memo |= {id(held): type(held)() for held in empty}
    for tensor in tensors_in_attributes(module):
        memo.setdefault(id(tensor), tensor.detach().clone())  # deepcopy refuses what autograd has made, as weight_norm keeps it
    try:
        return copy.deepcopy(module, memo)
    except Exception as problem:
        raise UserError(f"{type(module).__name__} cannot be copied by copy.deepcopy: {first_line(problem)}") from None


def to_double(tensor: Tensor) -> Tensor:
    """A detached copy, in float64 if it holds real numbers."""
    return tensor.detach().double().clone() if tensor.is_floating_point() else tensor.detach().clone()


def in_plain_order(tensor: Tensor) -> Tensor:
    """The tensor with its last axis the innermost in memory, as `torch.empty` has it; buffers are always copied.

    Parameters in another order (channels last) make torch add copies to a graph. Strides of axes of length 1 count there too, so
    that `Tensor.contiguous` is not enough.
    """
    if isinstance(tensor, nn.Parameter) and tensor.stride() == torch.empty(tensor.shape, device="meta").stride():
        return tensor.detach()
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def as_inputs(example_input: Tensor | tuple[Tensor, ...]) -> Inputs:
    """The inputs as a tuple of tensors.

    Raises:
        UserError: it is neither a tensor nor a tuple of tensors, or holds no numbers or such that are not finite.
    """
    inputs = tuple(example_input) if isinstance(example_input, list | tuple) else (example_input,)
    if not inputs or not all(isinstance(part, Tensor) for part in inputs):
        raise UserError("example_input is not a tensor or a tuple of tensors: give what the network is called with")
    for part in inputs:
        if not part.numel() or (not part.is_meta and not bool(torch.isfinite(part).all())):
            what = "NaN or infinite numbers" if part.numel() else f"no numbers (shape {tuple(part.shape)})"
            raise UserError(f"example_input holds {what}: give what the network is called with")
    return tuple(part.detach() for part in inputs)


@torch.no_grad()
def require_usable(module: nn.Module) -> None:
    """Raises `UserError` unless it is a torch module with initialized, finite parameters and buffers."""
    if not isinstance(module, nn.Module):
        raise UserError(f"{type(module).__name__} is not a network: give a torch.nn.Module{network_in(module)}")
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise UserError(f"{name or 'the network'} is compiled by torch.jit: give the network that it was made from")
        if ".nn.quantized." in type(part).__module__ and "FloatFunctional" not in type(part).__name__:
            raise UserError(f"{name or 'the network'} is quantized: remove features first, and quantize the smaller network")
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise UserError(f"{name} has no shape yet: run the network once before")
        if tensor.is_meta:
            raise UserError(f"{name} has a shape but no numbers, it is on the device meta: load the weights before")
        if tensor.is_floating_point() and not (tensor.sum().isfinite() or torch.isfinite(tensor).all()):
            raise UserError(f"{name} holds NaN or infinite numbers: nothing can be said about such a network")


def trace(module: nn.Module, inputs: Inputs) -> TracedNetwork:
    """The graph of a network in evaluation mode; the module itself is not touched.

    Raises:
        UserError: the inputs do not fit, or what the network does cannot be written as one graph.
    """
    return recorded(module, inputs) or exported(module, inputs)


def recorded(module: nn.Module, inputs: Inputs) -> TracedNetwork | None:
    """The graph by one run of a network, which takes little more time than that; None where a run does not show it."""
    network = structural_copy(module, in_plain_order).eval()
    with untouched(module), quiet():
        found = record(network, tuple(in_plain_order(part) for part in inputs))
    if found is None:
        return None
    shared = _shared_names(module)
    return TracedNetwork(network, found.graph, found.names, found.tensors, found.inputs, shared, True, found.reads_sizes)


def exported(module: nn.Module, inputs: Inputs) -> TracedNetwork:
    """The graph by torch.export, which may take a hundred times as long as a run.

    Raises:
        UserError: see `trace`.
    """
    network = structural_copy(module, in_plain_order).eval()
    with untouched(module):
        program = _export(network, tuple(in_plain_order(part) for part in inputs))
    kinds = program.graph_signature.input_specs
    first = _first_names(network)
    held = [spec for spec in kinds if spec.kind in (Kind.PARAMETER, Kind.BUFFER) and spec.target]
    names = {spec.arg.name: first.get(str(spec.target), str(spec.target)) for spec in held}
    values = dict(program.state_dict) | dict(program.constants)
    tensors = {spec.arg.name: values[spec.target] for spec in kinds if spec.target in values}
    return TracedNetwork(
        network,
        program.graph,
        {placeholder: name for placeholder, name in names.items() if placeholder in tensors},
        tensors,
        tuple(spec.arg.name for spec in kinds if spec.kind == Kind.USER_INPUT),
        _shared_names(module),
        recorded=False,
        reads_sizes=True,
    )


def require_runs(network: nn.Module, inputs: Inputs) -> None:
    """Raises `UserError` in one line if the network cannot be run on these inputs."""
    try:
        with torch.no_grad():
            network(*inputs)
    except Exception as problem:
        shapes = ", ".join(str(tuple(part.shape)) for part in inputs)
        raise UserError(f"the network does not run on an input of shape {shapes}: {first_line(problem)}") from None


def _export(network: nn.Module, inputs: Inputs) -> torch.export.ExportedProgram:
    problems = []
    attempts: tuple[Callable[[], nn.Module], ...] = (lambda: network, lambda: fx.symbolic_trace(network))
    for attempt in attempts:
        try:
            with quiet(), torch.no_grad():
                program: torch.export.ExportedProgram = torch.export.export(attempt(), inputs).run_decompositions({})
                return program
        except Exception as problem:
            problems.append(problem)
    require_runs(network, inputs)
    why = first_line(problems[0])
    raise UserError(f"the network cannot be traced ({why}): its code must not branch on values, only on sizes") from None


def _first_names(network: nn.Module) -> dict[str, str]:
    """Each name of a parameter or buffer → the first of all that it has."""
    tensors = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
    firsts: dict[int, str] = {}
    return {name: firsts.setdefault(id(tensor), name) for name, tensor in tensors}


def _shared_names(module: nn.Module) -> frozenset[str]:
    """The parameters and buffers that have memory in common with another one."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    places = sorted((*_memory(tensor), name) for name, tensor in tensors if tensor.numel())
    shared, last = set[str](), (0, 0, "")
    for place in places:
        if place[0] < last[1]:
            shared |= {place[2], last[2]}
        last = max(last, place, key=lambda taken: taken[1])
    return frozenset(shared)


def _memory(tensor: Tensor) -> tuple[int, int]:
    """The first address of a tensor's numbers, and the first one after them."""
    reach = sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride(), strict=True)) + 1
    return tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()


def argument(node: fx.Node, name: str) -> Any:
    """The value of a named argument of an operation, its default where it is not given."""
    for position, formal in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if formal.name == name:
            return node.args[position] if position < len(node.args) else node.kwargs.get(name, formal.default_value)
    return None


def operation(node: fx.Node) -> str:
    """The name of an operation without its variant, "conv2d" for aten.conv2d.default; "" for what is no operation."""
    if node.op != "call_function":
        return ""
    return getattr(node.target, "__name__", "").partition(".")[0]


def source(node: fx.Node) -> fx.Node:
    """The node that an operation's first argument comes from."""
    return cast(fx.Node, node.args[0])


def shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of what a node puts out."""
    return tuple(int(size) for size in node.meta["val"].shape)


def is_tensor(node: Any) -> bool:
    """Whether an argument is a node that puts out one tensor."""
    return isinstance(node, fx.Node) and isinstance(node.meta.get("val"), Tensor)


def module_of(node: fx.Node) -> str:
    """The name of the innermost module that called an operation, or the operation's own name."""
    return caller(node) or node.name


def caller(node: fx.Node) -> str:
    """The name of the innermost module that called an operation, "" for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    return next((str(entry[0]) for entry in reversed(stack.values())), "")
