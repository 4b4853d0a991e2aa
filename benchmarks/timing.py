"""What the benchmarks share: sides timed in turn, medians, and the printed or JSON table."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mechanisms.command_line.framework import print_rows


class OneLineParser(argparse.ArgumentParser):
    """argparse whose errors are one line, without the usage block, and that takes no abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """--json: the printed table as JSON."""
    parser.add_argument("--json", action="store_true", help="print the table as a JSON list of objects")


def arguments(description: str) -> argparse.Namespace:
    """The options of a benchmark: --json and --rounds."""
    parser = OneLineParser(description=description)
    add_json_argument(parser)
    parser.add_argument("--rounds", type=int, default=3, help="times each side is run, in turn (%(default)s)")
    return parser.parse_args()


def one_core() -> None:
    """Pins this process to one core, so that no side can use more."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def processor() -> str:
    """The name of this machine's processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def seconds_in_turn(
    sides: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Name → median seconds of each side by a clock: once to warm up, then `rounds` times in turn."""
    for side in sides.values():
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = clock()
            side()
            times[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def report(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Prints rows of name, value, unit, ratio (peer / ours)."""
    print_rows(rows, as_json)
