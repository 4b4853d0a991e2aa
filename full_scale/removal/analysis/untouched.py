"""What a network's own code leaves behind when it is run, such as activations that hooks record: all of it is undone."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 10**7
"""Numbers in a tensor above which its values are not kept: a data set, no record of activations."""

LONG = 10**4
"""Entries of a container above which they are not looked into."""


@contextlib.contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Afterwards, what the module and its hooks hold and what the hooks write to is what it was; a copy's hooks may have run.

    That is the contents of containers, the attributes of modules and of objects of the user's own classes, the values of
    tensors that are no parameters, and whether parameters require and have gradients.
    """
    held = list(_reachable([module]))
    before = [(thing, _content(thing)) for thing in held]
    try:
        yield
    finally:
        for thing, content in before:
            if not _same(_content(thing), content):
                _put_back(thing, content)


def tensors_in_attributes(module: nn.Module) -> Iterator[Tensor]:
    """All tensors that modules hold outside of their parameters and buffers: what `copy.deepcopy` comes to."""
    for part in module.modules():
        own = [value for name, value in vars(part).items() if name not in ("_parameters", "_buffers", "_modules")]
        for thing in _reachable(own, functions=False):
            if isinstance(thing, Tensor) and not isinstance(thing, nn.Parameter):
                yield thing


def _reachable(roots: Iterable[Any], functions: bool = True) -> Iterator[Any]:
    """Everything that can change and can be reached; also by what functions name, if wanted."""
    waiting, seen = list(roots), dict[int, Any]()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | type | types.ModuleType | type(None)):
            continue
        seen[id(thing)] = thing  # and keeps it alive, so that no other one gets its id
        parts = _parts(thing)
        if isinstance(thing, Tensor | dict | list | set | deque) or (parts is not None and hasattr(thing, "__dict__")):
            yield thing
        if parts is not None and (functions or not isinstance(thing, types.FunctionType)) and len(parts) <= LONG:
            waiting += parts


def _parts(thing: Any) -> list[Any] | None:
    """What a thing leads to; None where nothing is looked for in it."""
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
        named = [thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__]
        return [*cells, *named, *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
    if isinstance(thing, nn.Module) or (hasattr(thing, "__dict__") and _is_the_users(type(thing))):
        shared = [value for value in vars(type(thing)).values() if isinstance(value, dict | list | set | deque)]
        return [*vars(thing).values(), *shared]
    return None


def _names(code: types.CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _is_the_users(cls: type) -> bool:
    """Whether a class is of no library that keeps its own house in order."""
    room = cls.__module__.partition(".")[0]
    return room not in sys.stdlib_module_names and room not in ("torch", "numpy")


def _content(thing: Any) -> Any:
    if isinstance(thing, nn.Parameter):
        return thing.requires_grad, thing.grad, thing.data
    if isinstance(thing, Tensor):
        return thing.detach().clone() if thing.numel() <= LARGE and type(thing) is Tensor else None
    if isinstance(thing, dict | list | set | deque):
        return thing.copy()
    return dict(vars(thing))


def _same(now: Any, before: Any) -> bool:
    """Whether two contents are the same things in the same order."""
    if isinstance(before, Tensor):
        return isinstance(now, Tensor) and now.shape == before.shape and torch.equal(now, before)
    if isinstance(before, dict):
        return list(now) == list(before) and all(now[key] is before[key] for key in before)
    if isinstance(before, tuple):
        places = [(data.data_ptr(), data.shape, data.stride()) for data in (now[2], before[2])]
        return now[0] == before[0] and now[1] is before[1] and places[0] == places[1]
    if isinstance(before, set):
        return bool(now == before)
    return before is None or (len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True)))


@torch.no_grad()
def _put_back(thing: Any, content: Any) -> None:
    if isinstance(thing, nn.Parameter):
        thing.data = content[2]
        thing.requires_grad_(content[0])
        thing.grad = content[1]
    elif isinstance(thing, Tensor):
        thing.detach().set_(content) if thing.shape != content.shape else thing.detach().copy_(content)
    elif isinstance(thing, list):
        thing[:] = content
    elif isinstance(thing, dict | set | deque):
        thing.clear()
        thing.extend(content) if isinstance(thing, deque) else thing.update(content)
    else:
        vars(thing).clear()
        vars(thing).update(content)
