"""What sweeps survive, with counts: two on one folder, and a parent that is killed at random moments.

    python -m benchmarks.sweep_faults together              # two sweeps of 200 runs on one folder, two processes each
    python -m benchmarks.sweep_faults kills --moments 20    # kill -9 of the parent, again and again, then the next call completes

The runs are small simulations by the NumPy engine, so that many fit into a minute.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.sweeps import ONE_THREAD, descendants
from benchmarks.timing import OneLineParser, add_json_argument
from mechanisms.command_line.framework import print_rows
from mechanisms.records.store import DamagedRecord, Store
from mechanisms.validation import UserError
from toy.suite import LAYER

WORDS = ["stability", "steps=600"]
SECONDS = 5.0
"""A parent is killed after a random part of them, counted from its first record, or, one time of four, from its start."""
SECONDS_FOR_WORKERS = 10


def start(folder: Path, runs: int) -> subprocess.Popen[str]:
    """A sweep under way, with two processes."""
    words = ["-m", "toy", "run", *WORDS, "--seeds", str(runs), "--jobs", "2", "--runs", str(folder)]
    surroundings = {**os.environ, **ONE_THREAD, "TOY_ENGINE": "interpreted"}
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *words], env=surroundings, **pipes)


def standing(folder: Path, runs: int) -> dict[str, int]:
    """How many of the records are whole, and how many damaged."""
    (spec,), store, counts = LAYER.specs(WORDS[0], WORDS[1:]), Store(folder, LAYER.name), {"whole": 0, "damaged": 0}
    for seed in range(runs):
        if store.folder(spec, seed).exists():
            try:
                store.load(spec, seed)
                counts["whole"] += 1
            except DamagedRecord:
                counts["damaged"] += 1
    return counts


def together(folder: Path, runs: int, _: int) -> list[dict[str, Any]]:
    """Two sweeps at once: records whole and damaged, and how many were made twice."""
    both = [start(folder, runs) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    shares = [re.findall(r"(\d+) runs were made here", text) for text in said]
    made = [int(share[0]) if share else runs for share in shares]
    told = {
        "exit statuses": str([process.returncode for process in both]), "made by each": str(made), "made twice": sum(made) - runs,
        "left beside the records": sum("." in path.name for path in folder.glob("*/*/seed_*")),
    }  # fmt: skip
    return [*_rows(told), *_rows(standing(folder, runs))]


def kills(folder: Path, runs: int, moments: int) -> list[dict[str, Any]]:
    """A parent killed at random moments: records damaged, workers that outlived it by ten seconds, and the last call's status."""
    outlived, damaged, interrupted, slowest = 0, 0, 0, 0.0
    for moment in range(moments):
        process = start(folder, runs)
        at_first = records_in(folder)
        while moment % 4 and process.poll() is None and records_in(folder) == at_first:
            time.sleep(0.01)
        time.sleep(random.uniform(0, SECONDS))
        workers = descendants(process.pid)
        interrupted += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seconds = gone_after(workers)
        slowest, outlived = max(slowest, seconds), outlived + (seconds > SECONDS_FOR_WORKERS)
        damaged += standing(folder, runs)["damaged"]
    before = standing(folder, runs)["whole"]
    last = start(folder, runs)
    errors = last.communicate()[1]
    if last.returncode:
        raise UserError(errors.strip().rpartition("\n")[2])
    told = {
        "killed while at work": interrupted, "whole before the last call": before, "damaged, over all moments": damaged,
        "workers left after 10 s, moments": outlived, "slowest worker to end, s": slowest,
    }  # fmt: skip
    return [*_rows(told), *_rows(standing(folder, runs))]


def records_in(folder: Path) -> int:
    """How many folders have the name of a record."""
    return sum("." not in path.name for path in folder.glob("*/*/seed_*"))


def gone_after(pids: list[int]) -> float:
    """Seconds until no process of these is left; at most twice as long as workers may take."""
    started = time.monotonic()
    while any(map(is_alive, pids)) and time.monotonic() - started < 2 * SECONDS_FOR_WORKERS:
        time.sleep(0.05)
    return time.monotonic() - started


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _rows(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


PARTS = {"together": together, "kills": kills}


def main() -> None:
    """Runs one part and prints its rows."""
    parser = OneLineParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--records", type=int, default=200, help="runs of the sweep (%(default)s)")
    parser.add_argument("--moments", type=int, default=20, help="how often the parent is killed (%(default)s)")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where to make the folder (where temporary files go)")
    add_json_argument(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.runs))
    try:
        print_rows(PARTS[options.part](folder, options.records, options.moments), options.json)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
