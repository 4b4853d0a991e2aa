"""Signals wait while numba compiles: LLVM crashes when an exception is raised in what it calls back."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from numba.core import event

from mechanisms.system.signals import held_back


class _UnderWay(threading.local):
    def __init__(self) -> None:
        self.stack: list[AbstractContextManager[None]] = []


class _HoldBack(event.Listener):
    """Compilations of one thread lie within each other, so the one that ends is always the last that started."""

    def __init__(self) -> None:
        self.under_way = _UnderWay()

    def on_start(self, _: event.Event) -> None:
        waiting = held_back()
        waiting.__enter__()
        self.under_way.stack.append(waiting)

    def on_end(self, _: event.Event) -> None:
        self.under_way.stack.pop().__exit__(None, None, None)


def compilation() -> None:
    """From here on, no compilation of this process is interrupted."""
    event.register("numba:compile", _HoldBack())  # type: ignore[no-untyped-call]
