"""The contents of a pickle that holds nothing but plain values and arrays of bytes; nothing in it is ever imported or called.

The published Python archives of CIFAR are pickles, which can run any code when they are loaded in the usual way. Here the
standard library only takes the stream apart into opcodes; the few that build plain values are carried out below, all others
refused.
"""

from __future__ import annotations

import enum
import math
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np


class _Name(enum.Enum):
    """What a pickle of an array refers to: marks on the stack, never the objects of these names."""

    RECONSTRUCT = enum.auto()
    ARRAY = enum.auto()
    DTYPE = enum.auto()
    ENCODE = enum.auto()
    BYTE = enum.auto()
    MARK = enum.auto()


_NAMES = {
    "numpy.core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy ndarray": _Name.ARRAY,
    "numpy dtype": _Name.DTYPE,
    "_codecs encode": _Name.ENCODE,
}


class _Array:
    """An array whose content is not there yet."""

    def __init__(self) -> None:
        self.content = np.empty(0, np.uint8)

    def build(self, state: Any) -> None:
        """Takes the state that NumPy writes: (version, shape, dtype, in columns, bytes)."""
        _, shape, dtype, in_columns, content = state
        if dtype is not _Name.BYTE or in_columns or not isinstance(content, bytes) or math.prod(shape) != len(content):
            raise ValueError("an array in it is not one of bytes, row by row")
        self.content = np.frombuffer(content, np.uint8).reshape(shape)


def parse_plain(content: bytes) -> dict[Any, Any]:
    """The dictionary that a pickle holds: lists, dictionaries, tuples, texts, bytes, whole numbers and uint8 arrays.

    Texts of Python 2 come as bytes.

    Raises:
        ValueError: it asks for anything else, or is cut short.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(content):
        machine.do(opcode.name, argument)
    if len(machine.stack) != 1 or not isinstance(machine.stack[0], dict):
        raise ValueError("it does not hold one dictionary")
    return {key: value.content if isinstance(value, _Array) else value for key, value in machine.stack[0].items()}


class _Machine:
    """The stack and the memory that the opcodes of a pickle work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def do(self, opcode: str, argument: Any) -> None:
        """Carries out one opcode; raises `ValueError` for one that could do more than build a plain value."""
        if opcode in _IGNORED:
            return
        if opcode in _LITERALS:
            self.stack.append(_LITERALS[opcode](argument))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        else:
            raise ValueError(f"it uses {opcode}, which plain values do not need")

    def put(self, argument: Any) -> None:
        """Remembers the top of the stack, under a number or the next one."""
        self.memory[len(self.memory) if argument is None else argument] = self.stack[-1]

    def get(self, argument: Any) -> None:
        """Pushes what was remembered."""
        self.stack.append(self.memory[argument])

    def since_mark(self) -> list[Any]:
        """Pops all down to the last mark."""
        start = max(place for place, value in enumerate(self.stack) if value is _Name.MARK)
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def last(self, count: int) -> tuple[Any, ...]:
        """Pops that many."""
        if len(self.stack) < count:
            raise ValueError("its stack is empty")
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values

    def extend(self, values: list[Any]) -> None:
        """Appends to the list below."""
        _of(list, self.stack[-1]).extend(values)

    def update(self, values: list[Any]) -> None:
        """Adds keys and values to the dictionary below."""
        _of(dict, self.stack[-1]).update(zip(values[::2], values[1::2], strict=True))

    def name(self, text: str) -> None:
        """Pushes the mark of a name; raises `ValueError` for all names but those of arrays of bytes."""
        if text not in _NAMES:
            raise ValueError(f"it asks for {text!r}, which plain values do not need")
        self.stack.append(_NAMES[text])

    def reduce(self) -> None:
        """Pushes what a call of one of the known names stands for."""
        function, arguments = self.last(2)
        if function is _Name.RECONSTRUCT:
            self.stack.append(_Array())
        elif function is _Name.DTYPE and arguments[0] in ("u1", b"u1"):
            self.stack.append(_Name.BYTE)
        elif function is _Name.ENCODE and arguments[1] in ("latin1", b"latin1"):
            self.stack.append(_of(str, arguments[0]).encode("latin1"))
        else:
            raise ValueError(f"it calls {function} with {str(arguments)[:60]}")

    def build(self) -> None:
        """Gives the array below its content; the state of a type of bytes says nothing new."""
        target, state = self.last(2)
        if isinstance(target, _Array):
            target.build(state)
        elif target is not _Name.BYTE:
            raise ValueError("it gives a state to a value that has none")
        self.stack.append(target)


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"it uses a {type(value).__name__} as a {kind.__name__}")
    return value


def _same(value: Any) -> Any:
    return value


def _old_text(value: str) -> bytes:
    return value.encode("latin1")


_IGNORED = {"PROTO", "FRAME", "STOP"}
_LITERALS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _same),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _same),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), _old_text),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _Name.MARK,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.last(3)),
    "APPEND": lambda machine, _: machine.extend(list(machine.last(1))),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.update(list(machine.last(2))),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    "GLOBAL": lambda machine, argument: machine.name(argument),
    "STACK_GLOBAL": lambda machine, _: machine.name(" ".join(map(str, machine.last(2)))),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}
