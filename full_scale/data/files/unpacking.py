"""A zip archive → a folder: only members whose names are expected, and the whole folder or none."""

from __future__ import annotations

import re
import shutil
import uuid
import zipfile
from pathlib import Path

from full_scale.data.files.location import reading
from mechanisms.validation import UserError

LARGEST_MEMBER = 1 << 24
"""Bytes of one image or list."""


def unpack(path: Path, target: Path, wanted: re.Pattern[str]) -> None:
    """Writes the members whose whole name matches; what group 1 of the match says is their path below the target.

    The pattern decides what is written where, no name in the archive does. The target appears when all is written.

    Raises:
        UserError: the archive is damaged, a member is too large, nothing matches, or the disk is full.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            matches = [(member, wanted.fullmatch(member.filename)) for member in archive.infolist()]
            places = {match[1]: member for member, match in matches if match}
            if not places or max(member.file_size for member in places.values()) > LARGEST_MEMBER:
                raise ValueError("its members are not those expected")
            for place, member in places.items():
                _write(partial / place, archive.read(member), target)
        partial.replace(target)
    except OSError as error:
        if target.is_dir():
            return  # another process was faster
        raise UserError(f"{path} could not be unpacked to {target} ({error.strerror}): unpack it yourself") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, content: bytes, target: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"{target} could not be written ({error.strerror}): make room, or unpack it elsewhere") from None
