"""What a worker does: it marks runs as under way, makes their records one after another, and says how each ended."""

from __future__ import annotations

import json
import shutil
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mechanisms.records.store import DamagedRecord, Store, Unwritable
from mechanisms.records.suites import Layer, resolve
from mechanisms.sweeps.executors import own_number
from mechanisms.sweeps.locks import Mark, beating, take
from mechanisms.system.context import RunContext
from mechanisms.system.files import write_whole
from mechanisms.validation import UserError

_one_at_a_time = threading.Lock()
"""Trainings share random generators and thread settings of their process: the threads of a cluster's worker take turns."""


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work that leaves a record: one spec under one seed."""

    spec_id: str
    seed: int
    spec: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.spec_id} seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """How a unit ended: `made`, `found` (on record already), `busy` (another sweep makes it), `failed`, or `unwritable`.

    While it is not known, `missing`.

    Attributes:
        text: the error of what failed.
        mark: of a busy unit, the mark that stands there.
        notes: lines for the person who waits.
    """

    unit: Unit
    state: str
    seconds: float = 0.0
    text: str = ""
    mark: bytes = b""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """Units for one worker, made in turn, with all that it has to know.

    Attributes:
        sweep: the name of the sweep in its marks; none where processes make one record together.
        stale: of units that another sweep seems to have given up, the mark that may be replaced.
        context: where and how runs compute.
        command: the words of the command line, for the manifests.
    """

    layer: Layer
    store: Store
    units: tuple[Unit, ...]
    sweep: str | None
    stale: Mapping[Unit, bytes]
    context: RunContext
    command: tuple[str, ...]


def perform(task: Task) -> list[Outcome]:
    """Makes the records of a task and returns how each unit ended; errors of a run are outcomes and are not raised."""
    with _one_at_a_time:
        return list(outcomes(task))


def outcomes(task: Task) -> Iterator[Outcome]:
    """As `perform`, each outcome when it is known."""
    marks: dict[Unit, Mark] = {}
    for unit in task.units:
        path = task.store.mark(unit.spec, unit.seed)
        mark = take(path, task.sweep, task.stale.get(unit)) if task.sweep else Mark(path)
        if isinstance(mark, Mark):
            marks[unit] = mark
        else:
            yield Outcome(unit, "busy", mark=mark)
    with beating(tuple(marks.values())):
        found = {unit: _found(task.store, unit) for unit in marks}
        yield from (outcome for outcome in found.values() if outcome.state != "missing")
        missing = [unit for unit, outcome in found.items() if outcome.state == "missing"]
        for outcome in _attempted(task, missing) if missing else ():
            yield replace(outcome, notes=(*found[outcome.unit].notes, *outcome.notes))


def _found(store: Store, unit: Unit) -> Outcome:
    """Whether a record stands there, whole; what is damaged or half-written is set aside, and the notes say so."""
    notes = [
        f"half-written record of {unit} kept as {store.set_aside(leftover)}" for leftover in store.leftovers(unit.spec, unit.seed)
    ]
    folder = store.folder(unit.spec, unit.seed)
    if not folder.exists():
        return Outcome(unit, "missing", notes=tuple(notes))
    try:
        store.load(unit.spec, unit.seed)
    except DamagedRecord as damage:
        notes.append(f"{damage}; kept as {store.set_aside(folder)}, making it again")
        return Outcome(unit, "missing", notes=tuple(notes))
    except UserError as error:
        return Outcome(unit, "failed", text=str(error), notes=tuple(notes))
    return Outcome(unit, "found", notes=tuple(notes))


def _attempted(task: Task, units: list[Unit]) -> Iterator[Outcome]:
    left = dict.fromkeys(units)
    try:
        for outcome in _made(task, units):
            del left[outcome.unit]
            yield outcome
    except Unwritable as error:
        yield from (Outcome(unit, "unwritable", text=str(error)) for unit in left)
    except UserError as error:
        yield from (failed(task.store, unit, str(error)) for unit in left)
    except MemoryError:
        names = ", ".join(map(str, units))
        text = f"{task.layer.name} {names} does not fit into memory: use fewer settings, features or records"
        yield from (failed(task.store, unit, text) for unit in left)
    except Exception as error:  # a defect in one run, a network of one's own say, must not stop the others
        text, details = f"{type(error).__name__}: {error}", traceback.format_exc()
        yield from (failed(task.store, unit, text, details) for unit in left)


def failed(store: Store, unit: Unit, text: str, details: str = "") -> Outcome:
    """The outcome of a unit that failed, after its error was written down beside where its record would stand."""
    path = store.failure(unit.spec, unit.seed)
    if details:
        text = f"{text} (all of it in {path})"
    note = {"error": text, **({"traceback": details} if details else {})}
    try:
        write_whole(path, json.dumps(note, indent=1).encode(), "the error is kept nowhere else")
    except UserError as error:
        return Outcome(unit, "failed", text=text, notes=(str(error),))
    return Outcome(unit, "failed", text=text)


def _made(task: Task, units: Sequence[Unit]) -> Iterator[Outcome]:
    layer = task.layer
    store = task.store
    started = time.perf_counter()
    places = [(store.checkpoints(unit.spec, unit.seed),) if layer.resumable else () for unit in units]
    context = (replace(task.context, worker=own_number()),) if layer.settings else ()
    arguments = [(unit.spec, unit.seed, *place, *context) for unit, place in zip(units, places, strict=True)]
    for number, tables, extra in _results(layer, arguments):
        unit, seconds = units[number], time.perf_counter() - started
        told = {"seconds": round(seconds, 3), "command": list(task.command), **extra}
        store.save(unit.spec, unit.seed, tables, told)
        for folder in places[number]:
            shutil.rmtree(folder, ignore_errors=True)
        store.failure(unit.spec, unit.seed).unlink(missing_ok=True)
        yield Outcome(unit, "made", seconds=seconds)


def _results(layer: Layer, arguments: list[tuple[Any, ...]]) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    if len(arguments) > 1 and layer.run_together:
        yield from resolve(layer.run_together)(arguments)
        return
    run = resolve(layer.run)
    for number, one in enumerate(arguments):
        yield number, *run(*one)
