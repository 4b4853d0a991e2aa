"""Many runs: what is on record is skipped, the rest is given out to an executor, and nothing that happens loses a record.

Any number of sweeps, on any number of machines, may share a folder: each run is marked while it is made, what another sweep
makes is waited for, and of two records of one run the first stays.
"""

from __future__ import annotations

import queue
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechanisms.records.specs import spec_id
from mechanisms.records.status import survey
from mechanisms.records.store import DamagedRecord, Store
from mechanisms.records.suites import Layer
from mechanisms.sweeps.executors import on_this_machine
from mechanisms.sweeps.locks import Watch, owner_of, read
from mechanisms.sweeps.worker import Outcome, Task, Unit, failed, perform
from mechanisms.system.context import HERE, RunContext
from mechanisms.system.processes import companions
from mechanisms.system.progress import Progress, in_words, say
from mechanisms.validation import UserError, require_whole

MOST_GIVEN_OUT = 10_000
MOST_DEATHS = 2
"""So many times a worker process may be killed while it makes one run and nothing else is made, before that counts as failed."""
MOST_BARREN = 3
"""So many executors in a row may break before any of their workers has begun a run."""
SECONDS_BETWEEN_LOOKS = 1.0
"""At what other sweeps are making."""


def run_all(
    layer: Layer,
    store: Store,
    specs: Iterable[Any],
    seeds: Iterable[int],
    jobs: int = 1,
    together: int = 1,
    executor: Callable[[], AbstractContextManager[Executor]] | None = None,
    context: RunContext = HERE,
) -> int:
    """Makes every missing record of specs × seeds; returns how many were made.

    Args:
        layer: whose experiments these are.
        store: where the records stand.
        specs: the settings.
        seeds: the replicates of each.
        jobs: processes of this machine, where no executor is given.
        together: runs that each worker makes in turn (a GPU that one small network cannot fill).
        context: where and how runs compute.
        executor: makes the `concurrent.futures.Executor` to work with; called again if it broke.

    Raises:
        UserError: a run failed (after all others have ended), or records cannot be written, or all workers are lost.
    """
    require_whole("--together", together, 1)
    opener = on_this_machine(jobs) if executor is None else executor
    rank, processes = companions()
    if processes > 1 and (jobs > 1 or executor is not None):
        raise UserError(f"torchrun gives {processes} processes to each training: use neither --jobs nor --cluster with it")
    units, missing = _planned(store, tuple(specs), tuple(seeds))
    if not missing:
        return 0
    store.require_writable()
    progress = Progress(layer.name, len(units), len(units) - len(missing), quiet=rank > 0)
    sweep = Sweep(layer, store, missing, together, progress, context, marked=processes == 1)
    with progress:
        sweep.work(opener)
    return sweep.made


def _planned(store: Store, specs: tuple[Any, ...], seeds: tuple[int, ...]) -> tuple[list[Unit], list[Unit]]:
    """All units, and those without a whole record."""
    units, missing = [], []
    for spec in specs:
        name, found = spec_id(spec), survey(store, spec)
        for seed in seeds:
            units.append(Unit(name, seed, spec))
            if seed not in found.records or not _is_whole(store, spec, seed):
                missing.append(units[-1])
    return units, missing


def _is_whole(store: Store, spec: Any, seed: int) -> bool:
    try:
        store.load(spec, seed)
    except DamagedRecord:
        return False  # whoever marks it sets it aside
    except UserError:
        return False  # of another schema: the worker says so
    return True


class Sweep:
    """One sweep under way: what is left to give out, what workers have, and what other sweeps are making."""

    def __init__(
        self,
        layer: Layer,
        store: Store,
        units: list[Unit],
        together: int,
        progress: Progress,
        context: RunContext,
        *,
        marked: bool = True,
    ) -> None:
        # Workers of a cluster have folders of their own to work in.
        self.layer = layer
        self.store = replace(store, root=store.root.absolute())
        self.together = together
        self.progress = progress
        self.name = uuid.uuid4().hex if marked else None
        self.todo = deque(units)
        self.waiting = dict[Unit, Path]()
        self.suspects = deque[Unit]()
        self.alone = False
        self.given_out: dict[Future[list[Outcome]], tuple[Unit, ...]] = {}
        self.ended = queue.SimpleQueue[Future[list[Outcome]]]()
        self.stale: dict[Unit, bytes] = {}
        self.deaths = Counter[Unit]()
        self.watch = Watch()
        self.looked = time.monotonic()
        self.made = 0
        self.found = 0
        self.failures = list[str]()
        self.stopped = ""
        self.context = context.anywhere()
        self.command = (Path(sys.argv[0]).name, *sys.argv[1:])

    def work(self, opener: Callable[[], AbstractContextManager[Executor]]) -> None:
        """Goes on until every unit has a record or has failed."""
        barren = 0
        try:
            while self.todo or self.waiting or self.suspects:
                before = self._signs()
                with opener() as executor:
                    self._work_with(executor)
                barren = barren + 1 if self._signs() == before else 0
                if barren == MOST_BARREN:
                    raise UserError("worker processes end before they begin a run: start one run without --jobs to see why")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{self._standing()}; the same command continues") from None
        except CancelledError:
            raise UserError(f"the workers are lost; {self._standing()}, the same command continues") from None
        if self.found:
            say(f"{self.made} runs were made here, {self.found} by other sweeps meanwhile")
        if self.stopped:
            raise UserError(f"{self.stopped}; {self._standing()}, the same command continues")
        if self.failures:
            raise self._summary()

    def _signs(self) -> tuple[int, ...]:
        """What changes whenever a worker does anything."""
        return self.progress.done, self.progress.failed, self.deaths.total(), len(self.suspects)

    def _standing(self) -> str:
        return f"{self.progress.done} of {self.progress.total} runs are on record"

    def _work_with(self, executor: Executor) -> None:
        """As `work`, until the executor breaks."""
        whole = True
        while whole and (self.todo or self.given_out or self.waiting or self.suspects):
            whole = self._give_out(executor)
            for future in self._some_ended():
                whole = self._take(future) and whole
            self._look_at_others()
        for future in list(self.given_out):
            self._take(future)

    def _give_out(self, executor: Executor) -> bool:
        """Gives out what is left; False if the executor is broken.

        What was under way when a worker process was killed comes last and alone, so that the run that kills is found out.
        """
        while group := self._next_group():
            stale = {unit: self.stale.pop(unit) for unit in group if unit in self.stale}
            task = Task(self.layer, self.store, group, self.name, stale, self.context, self.command)
            try:
                future = executor.submit(perform, task)
            except BrokenExecutor:
                self.todo.extendleft(reversed(group))
                return False
            self.given_out[future] = group
            future.add_done_callback(self.ended.put)
            if future.done():  # an executor that computes at once
                break
        return True

    def _next_group(self) -> tuple[Unit, ...]:
        if self.todo and len(self.given_out) < MOST_GIVEN_OUT and not (self.alone and self.given_out):
            self.alone = False
            return tuple(self.todo.popleft() for _ in range(min(self.together, len(self.todo))))
        if self.suspects and not self.given_out:
            self.alone = True
            return (self.suspects.popleft(),)
        return ()

    def _some_ended(self) -> Iterable[Future[list[Outcome]]]:
        try:
            yield self.ended.get(timeout=SECONDS_BETWEEN_LOOKS)
            while True:
                yield self.ended.get_nowait()
        except queue.Empty:
            return

    def _take(self, future: Future[list[Outcome]]) -> bool:
        """Takes in what a worker says; False if the executor is broken."""
        group = self.given_out.pop(future, ())
        try:
            outcomes = future.result() if group else []
        except BrokenExecutor:
            self._give_back(group)
            return False
        except CancelledError:
            if not self.stopped:
                raise
            return True
        except Exception as error:  # the worker's own: a run that kills workers, or a defect
            text = str(error).partition(". ")[0] or type(error).__name__
            outcomes = [failed(self.store, unit, text) for unit in group]
        for outcome in outcomes:
            self._note(outcome)
        return True

    def _give_back(self, group: tuple[Unit, ...]) -> None:
        """Units that a broken executor had are given out again, but for those that alone have killed too many processes."""
        for unit in group:
            mark = read(self.store.mark(unit.spec, unit.seed))
            begun = mark is not None and owner_of(mark).get("sweep") == self.name
            self.deaths[unit] += self.alone and begun
            if self.deaths[unit] >= MOST_DEATHS:
                text = f"its process was killed {MOST_DEATHS} times (out of memory?): use a smaller one, or fewer --jobs"
                self._note(failed(self.store, unit, text))
            else:
                (self.suspects if begun else self.todo).append(unit)

    def _note(self, outcome: Outcome) -> None:
        for line in outcome.notes:
            say(line)
        name, state = str(outcome.unit), outcome.state
        if state == "made":
            self.made += 1
            self.progress.add_done(name, in_words(outcome.seconds))
        elif state == "found":
            self.found += 1
            self.progress.add_done(name, "made by another sweep")
        elif state == "busy":
            self._wait_for(outcome)
        elif state == "failed":
            self.failures.append(outcome.text)
            self.progress.add_failed(name, outcome.text)
        elif not self.stopped:
            self._stop(outcome.text)

    def _stop(self, reason: str) -> None:
        """Gives out nothing more; what workers have begun may end."""
        self.stopped = reason
        self.todo.clear()
        self.suspects.clear()
        self.waiting.clear()
        for future in self.given_out:
            future.cancel()

    def _wait_for(self, outcome: Outcome) -> None:
        if not self.waiting:
            told = owner_of(outcome.mark)
            owner = f"{told.get('process', '?')} on {told.get('machine', '?')}"
            say(f"{outcome.unit} is being made by another sweep (process {owner}): left to it, and looked at again")
        self.waiting[outcome.unit] = self.store.mark(outcome.unit.spec, outcome.unit.seed)

    def _look_at_others(self) -> None:
        """Gives out again what another sweep has ended with, or seems to have given up."""
        now = time.monotonic()
        if now - self.looked < SECONDS_BETWEEN_LOOKS or self.stopped:
            return
        self.looked = now
        for unit, path in list(self.waiting.items()):
            mark = read(path)
            if mark is None or self.watch.unchanged(path, mark):
                del self.waiting[unit]
                self.todo.append(unit)
                if mark is not None:
                    self.stale[unit] = mark

    def _summary(self) -> UserError:
        """One error for all: the first in full, after a line for each of the others that says something else."""
        first, *others = dict.fromkeys(self.failures)
        for other in others:
            say(f"failed: {other}")
        done, total = self.progress.done, self.progress.total
        return UserError(f"{total - done} of {total} runs are missing, the others are on record: {first}" if done else first)
