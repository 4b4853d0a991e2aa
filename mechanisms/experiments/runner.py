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


def run_all(layer: Layer, store: Store, specs: Iterable[Any], seeds: Iterable[int], jobs: int = 1) -> int:
    """Makes every missing record of specs × seeds; returns how many were made. `jobs` > 1 uses that many processes."""
    require_whole("--jobs", jobs, 1)
    seeds = tuple(seeds)
    units = [Unit(spec, seed) for spec in specs for seed in seeds]
    store.require_writable()
    missing = [unit for unit in units if not _is_whole(store, unit)]
    if missing:
        _report(layer, store, missing, min(jobs, len(missing)), len(units))
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


def _report(layer: Layer, store: Store, missing: list[Unit], jobs: int, total: int) -> None:
    done = total - len(missing)
    if done:
        say(f"{done} of {total} runs are on record")
    bar = tqdm(total=total, initial=done, unit="run", disable=not sys.stderr.isatty(), file=sys.stderr)
    with bar:
        try:
            for unit, seconds in _execute_all(layer, store, missing, jobs):
                bar.update()
                done += 1
                if bar.disable:
                    say(f"[{done}/{total}] {layer.name} {unit}: {seconds:.1f} s")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{done} of {total} runs are on record; the same command continues") from None


def _execute_all(layer: Layer, store: Store, units: list[Unit], jobs: int) -> Iterator[tuple[Unit, float]]:
    if jobs == 1:
        yield from ((unit, execute(layer, store, unit)) for unit in units)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_start_worker) as executor:
        futures = {executor.submit(execute, layer, store, unit): unit for unit in units}
        try:
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise UserError(
                "a worker process was killed (out of memory?): use fewer --jobs; the same command continues"
            ) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def execute(layer: Layer, store: Store, unit: Unit) -> float:
    """Runs one unit and saves its record; returns the wall seconds."""
    started = time.perf_counter()
    checkpoints = (store.checkpoints(unit.spec, unit.seed),) if layer.resumable else ()
    try:
        tables, extra = resolve(layer.run)(unit.spec, unit.seed, *checkpoints)
    except MemoryError:
        raise UserError(f"{layer.name} {unit} does not fit into memory: use fewer settings, features or records") from None
    seconds = time.perf_counter() - started
    store.save(unit.spec, unit.seed, tables, {"seconds": round(seconds, 3), **extra})
    for folder in checkpoints:
        shutil.rmtree(folder, ignore_errors=True)
    return seconds


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
