"""What a network does at other sizes of its images: one run with symbols for them, and what the code asks of these.

A graph for one size does not show `if x.shape[3] > x.shape[1]`, nor `x[..., : x.shape[1]]` where all columns are fewer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from full_scale.removal.analysis.graph import Inputs, in_plain_order, quiet, structural_copy
from full_scale.removal.analysis.untouched import untouched

FREE = ("size", "groups", "stride", "C", "group")
"""Arguments that state sizes of channels; what follows from these is seen in the graph for one size."""

CUTTING = (
    *(torch.ops.aten.slice.Tensor, torch.ops.aten.split.Tensor, torch.ops.aten.split_with_sizes.default),
    torch.ops.aten.repeat.default,
)
"""Operations that are told where to cut an axis, or how often to repeat it."""

SIZES_TRIED = (*range(1, 65), *range(67, 600, 7))
"""Sizes for which two sets of conditions are compared."""


@dataclass(frozen=True)
class Run:
    """One run with symbols for height and width: its operations with their plain arguments, and its conditions on sizes.

    What an operation asks within itself is no condition: it is about the order in memory, and with the same arguments an
    operation is the same function. Only where it is given sizes, which are not compared, what it asks of these counts.
    """

    calls: tuple[tuple[str, tuple[str, ...]], ...]
    conditions: frozenset[Any]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, environment: ShapeEnv) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.environment = environment
        self.calls: list[tuple[str, tuple[str, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(zip((formal.name for formal in func._schema.arguments), args, strict=False)) | (kwargs or {})
        plain = {name: str(value) for name, value in given.items() if name not in FREE and not _holds_tensors(value)}
        if func in CUTTING and _is_of_known_sizes(given):
            plain = {name: value for name, value in plain.items() if name in ("dim", "step")}
        self.calls.append((str(func), tuple(f"{name}={value}" for name, value in plain.items())))
        with contextlib.nullcontext() if "size" in given else self.environment.suppress_guards():
            return func(*args, **(kwargs or {}))


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value))


def _is_of_known_sizes(given: dict[str, Any]) -> bool:
    """Whether no size of images decides where an axis is cut: then the graph for one size says it."""
    sizes = tree_leaves([given[name] for name in ("start", "end", "split_size", "split_sizes", "repeats") if name in given])
    return all(isinstance(number, int) for number in (given["self"].shape[given.get("dim", 0)], *sizes) if number is not None)


@torch.no_grad()
def run_with_symbols(network: nn.Module, inputs: Inputs) -> Run | None:
    """What a network does, with a symbol for each size but those of batch and channels; None where it does not run so."""
    environment = ShapeEnv(duck_shape=False)
    mode = FakeTensorMode(shape_env=environment, allow_non_fake_inputs=True)
    no_mkldnn = torch.backends.mkldnn.flags(enabled=False)  # torch, too, does something else from a certain size on
    try:
        copied = structural_copy(network, lambda tensor: mode.from_tensor(in_plain_order(tensor), static_shapes=True)).eval()
        symbols = tuple(
            mode.from_tensor(in_plain_order(part), source=ConstantSource(f"input_{number}"), symbolic_context=_context(part))
            for number, part in enumerate(inputs)
        )
        with untouched(network), quiet(), no_mkldnn, mode, enable_python_dispatcher(), _Recorder(environment) as recorder:
            copied(*symbols)
    except Exception:
        return None
    return Run(tuple(recorder.calls), frozenset(guard.expr for guard in environment.guards))


def _context(part: Tensor) -> StatelessSymbolicContext[Any, Any]:
    return StatelessSymbolicContext([DimDynamic.DYNAMIC if axis >= 2 else DimDynamic.STATIC for axis in range(part.dim())])


def differs_by_size(before: Run, after: Run) -> bool:
    """Whether there may be sizes of images at which the second network does something else than the first."""
    if before.calls != after.calls:
        return True
    common = before.conditions & after.conditions
    only = [run.conditions - common for run in (before, after)]
    sizes = (size for size in _sizes({*only[0], *only[1]}) if _hold(common, size))
    return any(only) and any(_hold(only[0], size) != _hold(only[1], size) for size in sizes)


def _sizes(conditions: Iterable[Any]) -> Iterable[dict[Any, Any]]:
    """All symbols of the same size, and each with the others at a fixed one."""
    symbols = sorted({symbol for condition in conditions for symbol in condition.free_symbols}, key=str)
    for size in map(sympy.Integer, SIZES_TRIED):
        yield dict.fromkeys(symbols, size)
        for one in symbols if len(symbols) > 1 else ():
            yield dict.fromkeys(symbols, sympy.Integer(32)) | {one: size}


def _hold(conditions: Iterable[Any], size: dict[Any, Any]) -> bool:
    try:
        return all(condition.xreplace(size) != sympy.false for condition in conditions)
    except (ZeroDivisionError, AssertionError):  # no image has this size; torch asserts that sizes are not negative
        return False
