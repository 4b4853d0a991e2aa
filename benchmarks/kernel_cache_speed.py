"""The processor time of a run of the toy in a new process: with an empty cache of compiled kernels, and with a filled one.

Both sides are timed in turn. Run: python -m benchmarks.kernel_cache_speed
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import arguments, processor, report, seconds_in_turn

COMMANDS = {
    "one feature, Adam": ("decay", "rule=adam", "steps=200", "features=10"),
    "layer of features": ("layer", "steps=50", "replicates=1"),
}


def seconds_of_children() -> float:
    """The processor time of all processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


def run(words: tuple[str, ...], folder: Path, *, empty: bool) -> None:
    """A run into a new folder, with the kernels of earlier runs or without."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    if empty:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    command = [sys.executable, "-m", "toy", "run", *words, "--seeds", "1", "--runs", str(folder / "runs")]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=True)


def main() -> None:
    """Prints the median processor seconds of each side, and their ratio."""
    asked = arguments("toy runs in a new process, with and without compiled kernels on disk")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for name, words in COMMANDS.items():
            empty, filled = Path(place, name, "empty"), Path(place, name, "filled")
            times = seconds_in_turn(
                {"empty": lambda: run(words, empty, empty=True), "filled": lambda: run(words, filled, empty=False)},  # noqa: B023
                asked.rounds,
                seconds_of_children,
            )
            rows.append({"run": name, **times, "unit": "CPU s", "ratio": times["empty"] / times["filled"]})
    report(rows, asked.json)
    print(processor(), file=sys.stderr)


if __name__ == "__main__":
    main()
