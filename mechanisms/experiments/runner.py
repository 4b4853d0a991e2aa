"""Many runs: what is finished is skipped, what is damaged is kept aside and made again, the rest goes to local processes."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from mechanisms.experiments.layers import Layer, resolve
from mechanisms.experiments.records import DamagedRecord, Store
from mechanisms.experiments.specs import spec_id
from mechanisms.validation import UserError, require_whole


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work that leaves a record: one spec under one seed."""

    spec: Any
    seed: int

    def __str__(self) -> str:
        return f"{spec_id(self.spec)} seed {self.seed}"


def run_all(layer: Layer, store: Store, specs: Iterable[Any], seeds: Iterable[int], jobs: int = 1, together: int = 1) -> int:
    """Makes every missing record of specs × seeds; returns how many were made.

    `jobs` > 1 uses that many processes; each makes `together` runs in turn (a GPU that one small network cannot fill).
    """
    require_whole("--jobs", jobs, 1)
    require_whole("--together", together, 1)
    seeds = tuple(seeds)
    units = [Unit(spec, seed) for spec in specs for seed in seeds]
    store.require_writable()
    missing = [unit for unit in units if not _is_whole(store, unit)]
    if missing:
        groups = [missing[start : start + together] for start in range(0, len(missing), together)]
        _report(layer, store, groups, min(jobs, len(groups)), len(units))
    return len(missing)


def _is_whole(store: Store, unit: Unit) -> bool:
    for leftover in store.leftovers(unit.spec, unit.seed):
        say(f"half-written record of {unit} kept as {store.set_aside(leftover)}")
    if not store.folder(unit.spec, unit.seed).exists():
        return False
    try:
        store.load(unit.spec, unit.seed)
    except DamagedRecord as damage:
        say(f"{damage}; kept as {store.set_aside(store.folder(unit.spec, unit.seed))}, making it again")
        return False
    return True


def _report(layer: Layer, store: Store, groups: list[list[Unit]], jobs: int, total: int) -> None:
    done = total - sum(map(len, groups))
    if done:
        say(f"{done} of {total} runs are on record")
    bar = tqdm(total=total, initial=done, unit="run", disable=not sys.stderr.isatty(), file=sys.stderr)
    failures: list[UserError] = []
    with bar:
        try:
            for outcome in _execute_all(layer, store, groups, jobs):
                if isinstance(outcome, UserError):
                    failures.append(outcome)
                    continue
                unit, seconds = outcome
                bar.update()
                done += 1
                if bar.disable:
                    say(f"[{done}/{total}] {layer.name} {unit}: {seconds:.1f} s")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{done} of {total} runs are on record; the same command continues") from None
    if failures:
        raise _summary(failures, done, total)


def _summary(failures: list[UserError], done: int, total: int) -> UserError:
    """One error for all: the first in full, after a line for each of the others that says something else."""
    first, *others = dict.fromkeys(map(str, failures))
    for other in others:
        say(f"failed: {other}")
    return UserError(f"{total - done} of {total} runs are missing, the others are on record: {first}" if done else first)


def _execute_all(layer: Layer, store: Store, groups: list[list[Unit]], jobs: int) -> Iterator[tuple[Unit, float] | UserError]:
    """Each unit with its seconds as it ends; in the place of what failed, its error: one failure does not stop the rest."""
    if jobs == 1:
        for group in groups:
            yield from execute(layer, store, group)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_start_worker) as executor:
        futures = [executor.submit(_executed, layer, store, group) for group in groups]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield from future.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise UserError(
                "a worker process was killed (out of memory?): use fewer --jobs; the same command continues"
            ) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _executed(layer: Layer, store: Store, group: list[Unit]) -> list[tuple[Unit, float] | UserError]:
    return list(execute(layer, store, group))


def execute(layer: Layer, store: Store, group: list[Unit]) -> Iterator[tuple[Unit, float] | UserError]:
    """Makes the units of a group in turn, or one alone, and saves each record; yields each unit with its wall seconds."""
    try:
        yield from _made(layer, store, group)
    except UserError as error:
        yield error
    except MemoryError:
        names = ", ".join(map(str, group))
        yield UserError(f"{layer.name} {names} does not fit into memory: use fewer settings, features or records")


def _made(layer: Layer, store: Store, group: list[Unit]) -> Iterator[tuple[Unit, float]]:
    started = time.perf_counter()
    places = [(store.checkpoints(unit.spec, unit.seed),) if layer.resumable else () for unit in group]
    arguments = [(unit.spec, unit.seed, *place) for unit, place in zip(group, places, strict=True)]
    for number, tables, extra in _results(layer, arguments):
        unit, seconds = group[number], time.perf_counter() - started
        store.save(unit.spec, unit.seed, tables, {"seconds": round(seconds, 3), **extra})
        for folder in places[number]:
            shutil.rmtree(folder, ignore_errors=True)
        yield unit, seconds


def _results(layer: Layer, arguments: list[tuple[Any, ...]]) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    if len(arguments) > 1 and layer.run_together:
        yield from resolve(layer.run_together)(arguments)
        return
    run = resolve(layer.run)
    for number, one in enumerate(arguments):
        yield number, *run(*one)


def _start_worker() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    """Ends this worker when its parent dies, so that no orphan goes on computing."""
    parent.join()
    os._exit(1)


def say(line: str) -> None:
    """One line to the person who waits, on standard error, above a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)
