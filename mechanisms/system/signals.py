"""Ctrl-C, and SIGTERM like it: heard sooner or later, and never raised where it would do harm."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
SECONDS_BETWEEN_REMINDERS = 3.0


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came.

    Python ends itself by SIGINT, whatever status was asked for, when a plain KeyboardInterrupt has passed through code that was
    made from text, as imports make some; it does not when the exception is of a class of its own.
    """


@contextlib.contextmanager
def insistent() -> Iterator[list[int]]:
    """Within it, a signal raises `Stopped`, again every three seconds until it is heard; the signals that came.

    Libraries call back into Python from code that swallows exceptions; an interrupt that lands there would be lost.
    """
    reminders: list[threading.Timer] = []
    heard: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        heard.append(number)
        reminders.append(threading.Timer(SECONDS_BETWEEN_REMINDERS, _thread.interrupt_main))
        reminders[-1].daemon = True
        reminders[-1].start()
        raise Stopped

    def unheard(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            report(lost)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    report, sys.unraisablehook = sys.unraisablehook, unheard
    try:
        yield heard
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        sys.unraisablehook = report
        for reminder in reminders:
            reminder.cancel()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within it, signals to the main thread wait; they are delivered at its end.

    For code that crashes, rather than fails, when an exception is raised in what it calls back (LLVM does).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        for number in waiting:
            signal.raise_signal(number)
