"""Files that appear whole or not at all, and reading those that somebody else may have written."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
import uuid
from pathlib import Path
from typing import Any

from mechanisms.validation import UserError

LARGEST_JSON = 1 << 28
"""Bytes; the manifest of a grid with a million settings has a tenth of that."""


def user_cache() -> Path:
    """Return the folder, which need not exist, of what can be made again.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "implicit-filter-sparsity"


def open_regular(path: str | Path) -> io.BufferedReader:
    """A file, open for reading; an `OSError` where it is a pipe, a device or a folder, which may never end."""
    return open(path, "rb", opener=_opened_if_regular)


def _opened_if_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def read_json(path: Path, largest: int = LARGEST_JSON) -> Any:
    """What a JSON file holds; an `OSError` or a `ValueError` where it cannot be read, whatever it is."""
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return parse_json(content)


def parse_json(content: str | bytes) -> Any:
    """What a JSON text holds; a `ValueError` where it is none, also where it is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes, advice: str) -> None:
    """Writes or replaces a file in one step; a failure is one line that ends in `advice` and leaves what was there."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(partial, content)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} could not be written ({error.strerror}): {advice}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
