"""Marks: files beside records that say who is making them, so that nobody else starts the same.

They are best effort: records are safe without them. The owner changes its mark every few seconds; whoever waits for it measures,
on a clock of its own, for how long it has not changed. No two clocks are compared and no time stamp is read, so machines may
disagree about the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechanisms.system.files import open_regular, parse_json
from mechanisms.system.processes import ended, process_name

BEAT = 5.0
"""Seconds between two changes of a mark by its owner."""
PATIENCE = 60.0
"""Seconds without a change after which the owner of a mark counts as dead."""
ATTEMPTS = 5
LARGEST = 1 << 16
"""Bytes that are read of a mark; one of ours has a few hundred."""


@dataclass(frozen=True)
class Mark:
    """A mark of this process, or none where it could not be made."""

    path: Path
    owner: bytes = b""

    def beat(self, number: int) -> None:
        """Changes the mark, unless it has been taken over."""
        with contextlib.suppress(OSError), self.path.open("r+b") as file:
            if file.read(len(self.owner)) == self.owner:
                file.write(b"%012d\n" % number)
                file.flush()
                os.fsync(file.fileno())

    def release(self) -> None:
        """Takes the mark away, unless it has been taken over."""
        if self.owner and (read(self.path) or b"").startswith(self.owner):
            _discard(self.path)


def take(path: Path, sweep: str, stale: bytes | None = None) -> Mark | bytes:
    """A mark of this process at a path, or the content of another's that stands there.

    What a process of this machine left behind that lives no more is replaced, what the same sweep left behind too (whoever
    gives out its work knows that it was lost), and what is still as `stale`, which the caller has watched for long enough.
    """
    owner = _owner(sweep)
    found: bytes | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Mark(path)
    for _ in range(ATTEMPTS):
        try:
            with path.open("xb") as file:
                file.write(owner + b"%012d\n" % 0)
            return Mark(path, owner)
        except FileExistsError:
            found = read(path)
        except OSError:
            return Mark(path)
        if found is not None and not (is_dead(found) or found == stale or owner_of(found).get("sweep") == sweep):
            return found
        if found is not None:
            _discard(path)
    return Mark(path) if found is None else found


def _owner(sweep: str) -> bytes:
    told = {"sweep": sweep, "process": process_name(os.getpid()), "machine": platform.node(), "mark": uuid.uuid4().hex}
    return json.dumps(told).encode() + b"\n"


def owner_of(content: bytes) -> dict[str, Any]:
    """What a mark says of its owner (sweep, process, machine); empty where it says nothing."""
    try:
        told = parse_json(content.partition(b"\n")[0])
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def is_dead(content: bytes) -> bool:
    """Whether the owner of a mark is known to have ended."""
    return ended(str(owner_of(content).get("process", "")))


def read(path: Path) -> bytes | None:
    """The content of a mark; None where there is none."""
    try:
        with open_regular(path) as file:
            return file.read(LARGEST)
    except OSError:
        return None


def _discard(path: Path) -> None:
    """Renamed first: of several processes that discard one mark only one meets it, and none meets the next one half-way."""
    gone = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.gone")
    with contextlib.suppress(OSError):
        path.rename(gone)
        gone.unlink()


@contextlib.contextmanager
def beating(marks: Collection[Mark]) -> Iterator[None]:
    """Within it the marks change every few seconds; after it they are gone."""
    stop = threading.Event()

    def beat() -> None:
        number = 0
        while not stop.wait(BEAT):
            number += 1
            for mark in marks:
                mark.beat(number)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for mark in marks:
            mark.release()


@dataclass
class Watch:
    """How long the marks of others have not changed, on the clock of this process."""

    patience: float = PATIENCE
    _seen: dict[Path, tuple[bytes | None, float]] = field(default_factory=dict)

    def unchanged(self, path: Path, content: bytes | None) -> bool:
        """Whether a file has had this content, or a folder this listing, for longer than patience lasts."""
        now = time.monotonic()
        before, since = self._seen.get(path, (None, now))
        if before != content:
            since = now
        self._seen[path] = (content, since)
        return now - since >= self.patience
