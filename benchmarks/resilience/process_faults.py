"""Faults from outside: the process is killed or interrupted, the disk is full or cannot be written, another one does the same."""

from __future__ import annotations

import contextlib
import functools
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.resilience.commands import Command, finished, start
from benchmarks.resilience.settled import complaints, problems

SIGNALS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
ENDINGS = {signal.SIGKILL: (-9,), signal.SIGTERM: (-15, 143), signal.SIGINT: (130, -2)}
"""Signal → the statuses of a command that it ended."""
DISKS = {"full disk": "size=8k", "read-only disk": "ro"}
"""Fault → options of a tmpfs mount."""
Trial = Callable[[Path], "list[str] | None"]
"""Workspace → what went wrong, a line each; None if it could not be tried."""


def process_trials(command: Command, seconds: float, draw: random.Random, moments: int) -> dict[str, list[Trial]]:
    """Fault → its trials in a workspace where the command, which takes these seconds, was never given."""
    found: dict[str, list[Trial]] = {
        name: [functools.partial(interrupted, command, kind, seconds * draw.uniform(0.05, 1)) for _ in range(moments)]
        for name, kind in SIGNALS.items()
    }
    if command.writes:
        found |= {name: [functools.partial(unwritable, command, options)] for name, options in DISKS.items()}
        found["twice at once"] = [functools.partial(twice_at_once, command)]
    return found


def interrupted(command: Command, kind: signal.Signals, seconds: float, place: Path) -> list[str]:
    """What went wrong when a signal came after these seconds, and when the command was given again."""
    process = start(command, place)
    time.sleep(seconds)
    process.send_signal(kind)
    status, _, errors = finished(process)
    found = [*complaints(status, errors, (0, *ENDINGS[kind])), *problems(place)]
    return found + repeated(command, place)


def repeated(command: Command, place: Path) -> list[str]:
    """What went wrong when a command was given (again) where nothing stands in its way."""
    status, _, errors = finished(start(Command(command.verb, (*command.words, *command.again)), place))
    allowed = (0, 2) if command.once else (0,)
    return [f"again: {line}" for line in (*complaints(status, errors, allowed), *problems(place))]


def unwritable(command: Command, options: str, place: Path) -> list[str] | None:
    """What went wrong on a disk of 8 KiB, or one that can only be read; None where this user may not mount one."""
    target = place / command.writes
    with _mounted(target, options) as mounted:
        if not mounted:
            return None
        status, _, errors = finished(start(command, place))
        found = [*complaints(status, errors, (2,)), *problems(place)]
    return found + repeated(command, place)


@contextlib.contextmanager
def _mounted(target: Path, options: str) -> Iterator[bool]:
    if not shutil.which("mount"):
        yield False
        return
    target.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(target)], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", str(target)], check=True)


def twice_at_once(command: Command, place: Path) -> list[str]:
    """What went wrong when the same command ran twice at the same time; where a result is not replaced, one may be refused."""
    both = [finished(process) for process in [start(command, place), start(command, place)]]
    allowed = (0, 2) if "--out" in command.words else (0,)
    found = [line for status, _, errors in both for line in complaints(status, errors, allowed)]
    if all(status for status, _, _ in both):
        found.append("neither of two succeeded")
    return found + list(problems(place))
