"""What the verbs print, and where they may write."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.validation import UserError

if TYPE_CHECKING:
    from full_scale.removal import Audit, Report


def require_free(files: Iterable[Path], force: bool) -> None:
    """Raises `UserError` if one of the files is there and may not be replaced, or is a folder."""
    for file in files:
        if file.is_dir():
            raise UserError(f"{file} is a folder: choose another with --out")
        if (file.exists() or file.is_symlink()) and not force:
            raise UserError(f"{file} exists: choose another with --out, or give --force to replace it")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, torch does not print the graphs that it cannot follow: what is wrong is said in one line."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def show(found: Audit | Report, as_json: bool) -> None:
    """Prints an audit or a report, for people or as JSON."""
    if as_json:
        print(found.to_json())
        return
    print(found)
    if not found.features["removable"].any():
        print("nothing to remove")
