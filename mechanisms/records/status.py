"""What stands in the folder of a spec, read from one listing of it: quick where there are very many records."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechanisms.records.specs import spec_id
from mechanisms.records.store import FAILED, MANIFEST, RUNNING, Store
from mechanisms.sweeps.locks import is_dead, read
from mechanisms.system.files import read_json
from mechanisms.validation import UserError, is_finite

NAME = re.compile(r"seed_(\d+)(?:\.(.+))?")
FOLDER = re.compile("[0-9a-f]{12}")
"""The name of the folder of a spec's records: its identity."""
SAMPLE = 64
"""Manifests that are read to estimate how long a run takes."""


@dataclass(frozen=True)
class Survey:
    """The seeds of one spec that have a record, a mark of somebody who may be making it, or a note of a failure."""

    folder: Path
    records: set[int] = field(default_factory=set)
    marks: set[int] = field(default_factory=set)
    failures: set[int] = field(default_factory=set)

    def states(self, seeds: Iterable[int]) -> dict[str, int]:
        """How many of the seeds are done, running (as far as is known), failed, or missing."""
        counts = dict.fromkeys(("done", "running", "failed", "missing"), 0)
        for seed in seeds:
            counts[self._state(seed)] += 1
        return counts

    def _state(self, seed: int) -> str:
        if seed in self.records:
            return "done"
        if seed in self.marks and not is_dead(read(self.folder / f"seed_{seed}.{RUNNING}") or b""):
            return "running"
        return "failed" if seed in self.failures else "missing"

    def error(self, seed: int) -> str:
        """The error that a failed run left."""
        path = self.folder / f"seed_{seed}.{FAILED}"
        try:
            return str(read_json(path)["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{path} cannot be read"


def survey(store: Store, spec: Any) -> Survey:
    """What stands in the folder of a spec; nothing where there is no such folder."""
    found = Survey(store.root / store.layer / spec_id(spec))
    for name in entries(found.folder):
        match = NAME.fullmatch(name)
        if match is None:
            continue
        seed, kind = int(match[1]), match[2]
        if kind is None:
            found.records.add(seed)
        elif kind == RUNNING:
            found.marks.add(seed)
        elif kind == FAILED:
            found.failures.add(seed)
    return found


def entries(folder: Path) -> Iterator[str]:
    """The name of every entry of a folder; none where there is no such folder.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as listing:
            yield from (entry.name for entry in listing)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UserError(f"records folder {folder} cannot be read ({error.strerror}): choose another with --runs DIR") from None


def seconds_a_run(found: Iterable[Survey]) -> float | None:
    """The mean wall seconds of up to `SAMPLE` records, evenly spread; None where none says so."""
    folders = [one.folder / f"seed_{seed}" for one in found for seed in one.records]
    times = list(_seconds(folders[:: max(1, len(folders) // SAMPLE)]))
    return sum(times) / len(times) if times else None


def _seconds(folders: Iterable[Path]) -> Iterator[float]:
    for folder in folders:
        try:
            seconds = read_json(folder / MANIFEST)["seconds"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if is_finite(seconds) and seconds >= 0:
            yield float(seconds)
