"""Which process of which machine: names that other machines can read, and whether one of this machine lives."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
from pathlib import Path

from mechanisms.validation import require

RANK, WORLD_SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"
"""What `torchrun` tells each of the processes of one training."""


@functools.cache
def machine() -> str:
    """Eight letters for this machine since its last start, and for this container on it: process ids are compared within one."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]


def process_name(pid: int) -> str:
    """A process of this machine, as part of a file name."""
    return f"{machine()}-{pid}"


def ended(name: str) -> bool:
    """Whether the process of this name is known to have ended; of other machines nothing is known."""
    where, _, pid = name.partition("-")
    if where != machine() or not re.fullmatch("[0-9]{1,10}", pid):
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return False
    except (OSError, OverflowError):
        return True
    return False


def companions() -> tuple[int, int]:
    """(rank, number) of this process among those that `torchrun` started for one training; (0, 1) without it."""
    rank, number = (_whole(name, default) for name, default in ((RANK, "0"), (WORLD_SIZE, "1")))
    require(number > 0, WORLD_SIZE, number, "the number of processes that torchrun started, or unset it")
    return rank, number


def local_rank() -> int | None:
    """The number of this process among those that `torchrun` started on this machine; None without it."""
    return _whole(LOCAL_RANK, "0") if os.environ.get(LOCAL_RANK) else None


def _whole(variable: str, default: str) -> int:
    text = os.environ.get(variable, default)
    require(bool(re.fullmatch("[0-9]{1,10}", text)), variable, text, "the whole number that torchrun sets, or unset it")
    return int(text)
