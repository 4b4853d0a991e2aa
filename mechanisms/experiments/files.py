"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from mechanisms.validation import UserError


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
