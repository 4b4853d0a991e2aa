"""What the verbs print, and where they may write."""

from __future__ import annotations

from collections.abc import Iterable
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


def show(found: Audit | Report, as_json: bool) -> None:
    """Prints an audit or a report, for people or as JSON."""
    if as_json:
        print(found.to_json())
        return
    print(found)
    if not found.features["removable"].any():
        print("nothing to remove")
