"""What may be removed from a folder of records: half-written, damaged, given up, or standing beside a record for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechanisms.records.specs import spec_id
from mechanisms.records.status import FOLDER, NAME, entries
from mechanisms.records.store import (
    CHECKPOINT,
    DAMAGED,
    FAILED,
    MANIFEST,
    PARTIAL,
    RUNNING,
    DamagedRecord,
    is_given_up,
    read_manifest,
)
from mechanisms.records.suites import Layer, resolve
from mechanisms.sweeps.locks import PATIENCE, is_dead, read
from mechanisms.system.files import open_regular
from mechanisms.system.progress import in_words, say
from mechanisms.validation import NamesCode, UserError


def find(layer: Layer, runs: Path, *, orphans: bool = False) -> dict[Path, str]:
    """What may go, and why.

    Kept are records, errors and checkpoints of runs without a record, and what somebody may be writing: what belongs to another
    machine must not change for as long as it takes to give a run up.

    Args:
        layer: whose records.
        runs: the folder of all records.
        orphans: records whose settings this version does not know, or names otherwise, too; none of another schema.
    """
    found: dict[Path, str] = {}
    foreign: dict[Path, str] = {}
    for folder in sorted(runs / layer.name / name for name in entries(runs / layer.name) if FOLDER.fullmatch(name)):
        if folder.is_symlink():  # to something that is not ours to clean
            continue
        for path, why, certain in _in_folder(folder):
            (found if certain else foreign)[path] = why
        if orphans:
            found |= {path: why for path in _records(folder) if (why := _orphaned(layer, path))}
    return found | _unchanged(foreign)


def _in_folder(folder: Path) -> Iterator[tuple[Path, str, bool]]:
    """Path, reason, and whether it is certain that nobody is writing it."""
    names = sorted(name for name in entries(folder))
    for name in names:
        path, match = folder / name, NAME.fullmatch(name)
        record, kind = (f"seed_{match[1]}", (match[2] or "").partition("-")[0]) if match else ("", "")
        if kind == PARTIAL:
            yield path, "half-written", is_given_up(path)
        elif kind == DAMAGED:
            yield path, "damaged, or half-written, and set aside", True
        elif kind == RUNNING:
            yield path, "mark of a run that was cut off", is_dead(read(path) or b"")
        elif kind in (FAILED, CHECKPOINT) and (folder / record / MANIFEST).is_file() and f"{record}.{RUNNING}" not in names:
            yield path, f"{kind} of a run that has a record by now", True
        elif name.endswith((".partial", ".gone")):
            yield path, "half-written file", False


def _unchanged(paths: dict[Path, str]) -> dict[Path, str]:
    """Those that nobody changes for as long as it takes to give a run up, by the clock of this process."""
    if not paths:
        return {}
    say(f"{len(paths)} may be in use, here or on another machine: watching them for {in_words(PATIENCE)}")
    before = {path: _look(path) for path in paths}
    time.sleep(PATIENCE)
    return {path: why for path, why in paths.items() if before[path] is not None and _look(path) == before[path]}


def _look(path: Path) -> Any:
    """What changes when somebody writes; None where there is nothing."""
    try:
        if path.is_dir():
            return sorted((inner.name, inner.stat().st_size) for inner in path.iterdir())
        with open_regular(path) as file:
            return file.read()
    except OSError:
        return None


def _records(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in sorted(entries(folder)) if (match := NAME.fullmatch(name)) and match[2] is None)


def _orphaned(layer: Layer, record: Path) -> str:
    """Why no command finds a record; empty where one does."""
    try:
        data = read_manifest(record)["spec"]
    except DamagedRecord:
        return "its manifest is damaged"
    except UserError:  # of another schema: whether it is an orphan is for the version that wrote it to say
        return ""
    try:
        name = spec_id(resolve(layer.read_spec)(data)) if layer.read_spec else record.parent.name
    except NamesCode:  # whose settings only that code can tell
        return ""
    except (UserError, KeyError, TypeError) as error:
        return f"no settings of this version ({error})"
    return "" if name == record.parent.name else f"this version names its settings {name}"
