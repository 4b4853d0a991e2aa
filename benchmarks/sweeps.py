"""Sweeps: throughput of trainings, a large toy grid, and what very many records cost.

    python -m benchmarks.sweeps throughput     # trainings with --jobs 2 against two bare loops side by side
    python -m benchmarks.sweeps grid           # a million settings, ten thousand steps
    python -m benchmarks.sweeps records        # making, showing and collecting 100,000 records

Everything goes to `--runs DIR`, into folders that are made and removed.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.timing import OneLineParser, add_json_argument
from mechanisms.command_line.framework import print_rows
from mechanisms.records.specs import to_json
from mechanisms.records.store import Store
from toy.suite import LAYER as TOY

BARE = """
import sys
from full_scale.suite import LAYER
from full_scale.training.loop import run
specs, seeds = LAYER.specs("digits"), range(int(sys.argv[1]), int(sys.argv[2]))
for spec in specs:
    for seed in seeds:
        run(spec, seed)
"""
"""The trainings of the experiment `digits`, one after another, without records."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def seconds_of(*commands: list[str]) -> float:
    """Wall seconds of commands side by side, each a Python process."""
    started = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([sys.executable, *words], env={**os.environ, **ONE_THREAD}, **quiet) for words in commands]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise SystemExit(f"failed: {commands}")
    return time.perf_counter() - started


def throughput(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """A sweep with two processes against two bare loops, the same trainings (four specs, four seeds), in turn."""
    sweeps, loops = [], []
    for number in range(rounds):
        loops.append(seconds_of(["-c", BARE, "0", "2"], ["-c", BARE, "2", "4"]))
        words = ["-m", "full_scale", "run", "digits", "--seeds", "4", "--jobs", "2", "--runs", str(folder / str(number))]
        sweeps.append(seconds_of(words))
    rows = [{"name": name, "value": float(np.median(times)), "unit": "s"} for name, times in (("sweep", sweeps), ("bare", loops))]
    ratio = float(np.median(np.array(loops) / np.array(sweeps)))
    return [*rows, {"name": "throughput of the sweep over that of the bare loops", "value": ratio, "unit": ""}]


GRID = [
    "strength_and_noise", "steps=10000", "features=1", "dtype=float32", "regularizer.coupling=coupled",
    "regularizer.strength=" + ",".join(map(str, np.geomspace(1e-5, 1e-2, 1000).round(12).tolist())),
    "gradient.sigma=" + ",".join(map(str, np.geomspace(1e-6, 1e-1, 1000).round(12).tolist())),
]  # fmt: skip
"""A phase diagram of a million settings, final values."""


def grid(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Seconds from start to summary, and the largest memory of all processes together, sampled ten times a second."""
    rows = []
    for number in range(rounds):
        words = ["-m", "toy", "run", *GRID, "--seeds", "1", "--jobs", "2", "--runs", str(folder / str(number))]
        with Memory() as memory:
            seconds = seconds_of(words)
        rows += [{"name": f"grid, round {number}", "value": seconds, "unit": "s"}]
        rows += [{"name": f"grid, round {number}, memory", "value": memory.most / 2**30, "unit": "GiB"}]
    return rows


class Memory:
    """The largest resident memory of all children of this process together, grandchildren included."""

    def __enter__(self) -> Memory:
        self.most, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.most = max(self.most, sum(map(resident, descendants(os.getpid()))))


def descendants(pid: int) -> list[int]:
    """Process ids of the children of a process, theirs, and so on."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [*children, *(inner for child in children for inner in descendants(child))]


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return 0


SPECS, SEEDS = 100, 1000
TIMED = 200
"""Records that are written as they always are; the others are copies, so that the benchmark does not wait for the disk."""


def records(folder: Path, _: int) -> list[dict[str, Any]]:
    """The cost of the file layout: 100 specs × 1,000 seeds of one row each."""
    words = ["decay", "rule=adam", "steps=10", "features=1", "records=1", "regularizer.coupling=coupled"]
    strengths = [f"regularizer.strength={0.001 * (1 + number)}" for number in range(SPECS)]
    store = Store(folder, TOY.name)
    specs = [TOY.specs(words[0], [*words[1:], strength])[0] for strength in strengths]
    row = pd.DataFrame({"step": [10], "layer": ["toy"], "feature": [0], "scale": [1.0], "product": [1.0], "activity": [1.0]})

    def write(seeds: range) -> None:
        for seed in seeds:
            store.save(specs[0], seed, {"features": row}, {"seconds": 0.001})

    rows = [{"name": "writing, a record", "value": 1e3 * timed(lambda: write(range(TIMED))) / TIMED, "unit": "ms"}]
    for spec in specs:
        fill(store.save(spec, 0, {"features": row}, {"seconds": 0.001}))
    return [*rows, *reading(store, specs, folder)]


def fill(record: Path) -> None:
    """Copies a record of seed 0 to all other seeds that have none."""
    files = {path.name: path.read_bytes() for path in record.iterdir()}
    for seed in range(1, SEEDS):
        copy = record.with_name(f"seed_{seed}")
        if copy.exists():
            continue
        copy.mkdir()
        for name, content in files.items():
            (copy / name).write_bytes(content.replace(b'"seed": 0,', b'"seed": %d,' % seed))


def reading(store: Store, specs: list[Any], folder: Path) -> list[dict[str, Any]]:
    """Rows: what the records take on the disk, and how long it takes to survey, check and collect them."""
    from mechanisms.records.index import Index, index_file
    from mechanisms.records.status import seconds_a_run, survey

    def check() -> None:
        for spec in specs:
            for seed in range(SEEDS // 10):
                store.load(spec, seed)

    def collect() -> None:
        with Index(store) as index:
            table, missing = index.collect(specs, range(SEEDS), "features")
        assert (len(table), missing) == (SPECS * SEEDS, [])
        table.to_parquet(folder / "all.parquet", index=False)

    def show() -> None:
        surveys = [survey(store, spec) for spec in specs]
        assert sum(found.states(range(SEEDS))["done"] for found in surveys) == SPECS * SEEDS
        seconds_a_run(surveys)

    names: dict[str, Callable[[], None]] = {
        "show": show, "check every record by its checksum, a tenth of them": check, "collect, first time": collect,
        "collect, again": collect,
    }  # fmt: skip
    rows = [{"name": name, "value": timed(action), "unit": "s"} for name, action in names.items()]
    blocks = sum(path.lstat().st_blocks for path in store.root.rglob("*")) * 512
    rows.append({"name": "on the disk, a record", "value": blocks / SPECS / SEEDS / 1024, "unit": "KiB"})
    rows.append({"name": "files and folders, a record", "value": 3, "unit": ""})
    rows.append({"name": "index", "value": Path(index_file(store)).stat().st_size / 2**20, "unit": "MiB"})
    Path(index_file(store)).unlink()
    return [*rows, {"name": "spec as JSON", "value": len(str(to_json(specs[0]))) / 1024, "unit": "KiB"}]


def timed(action: Callable[[], None]) -> float:
    """Seconds of an action."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


PARTS = {"throughput": throughput, "grid": grid, "records": records}


def main() -> None:
    """Runs one part and prints its rows."""
    parser = OneLineParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=1, help="times each side is run, in turn (%(default)s)")
    parser.add_argument(
        "--runs", type=Path, default=None, metavar="DIR", help="where to make the folder (that of temporary files)"
    )
    add_json_argument(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sweeps-", dir=options.runs))
    try:
        print_rows(PARTS[options.part](folder, options.rounds), options.json)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
