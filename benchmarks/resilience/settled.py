"""What must hold after every fault: each record and each result is whole, or not there."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

from mechanisms.records.store import read_manifest, read_tables
from mechanisms.validation import UserError

RECORD = re.compile(r"seed_\d+")
NOT_RESULTS = re.compile(r"\.partial|\.damaged-|\.checkpoint|\.write-test-")
"""What may be left over: it is never read as a result."""


def records(place: Path) -> list[Path]:
    """The folders that count as records below a workspace."""
    return [folder for folder in sorted((place / "runs").glob("*/*/*")) if RECORD.fullmatch(folder.name)]


def problems(place: Path) -> Iterator[str]:
    """One line for each record or result below a workspace that is there and not whole."""
    for folder in records(place):
        try:
            read_tables(folder, read_manifest(folder))
        except UserError as error:
            yield str(error)
    for path in sorted((place / "out").rglob("*")):
        if path.is_file() and not NOT_RESULTS.search(str(path.relative_to(place))) and not _is_whole(path):
            yield f"{path.name} is not whole"


def _is_whole(path: Path) -> bool:
    check = CHECKS.get(path.suffix)
    try:
        return check is None or bool(check(path))
    except Exception:  # whatever a reader raises, the file is not what was to be written
        return False


def _is_safetensors(path: Path) -> bool:
    import safetensors

    with safetensors.safe_open(str(path), "np") as opened:
        return all(opened.get_slice(name).get_shape() is not None for name in opened.keys())  # noqa: SIM118


CHECKS: dict[str, Callable[[Path], bool]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")) is not None,
    ".svg": lambda path: xml.etree.ElementTree.parse(path).getroot() is not None,
    ".pdf": lambda path: path.read_bytes().rstrip().endswith(b"%%EOF"),
    ".safetensors": _is_safetensors,
}


def complaints(status: int, errors: str, allowed: tuple[int, ...]) -> Iterator[str]:
    """One line for each thing that a command should not have done: its status, a traceback, an error of many lines."""
    if status not in allowed:
        yield f"status {status}: {errors.strip()[-200:]!r}"
    if "Traceback" in errors:
        yield f"a traceback: {errors.strip()[-200:]!r}"
    if status == 2 and not errors.strip():
        yield "status 2 without a word"
