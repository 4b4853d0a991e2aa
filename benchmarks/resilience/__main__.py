"""Every verb against every fault, as a table; exit status 1 if anything went wrong.

Run: python -m benchmarks.resilience [--moments 20] [--variants 100] [--verb "toy run"]
A full disk and one that can only be read are small tmpfs mounts, which need root; without, they are not tried and it says so.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.resilience.commands import COMMANDS, Command, prepare
from benchmarks.resilience.input_faults import INPUTS, input_trials
from benchmarks.resilience.process_faults import Trial, process_trials, repeated
from benchmarks.timing import OneLineParser, add_json_argument
from mechanisms.command_line.framework import print_rows
from mechanisms.system.progress import say

NOT_TRIED = "not tried"


def main() -> int:
    """Prints one row a verb and one column a fault: how often it was tried, and what went wrong."""
    options = _options()
    rows, bad = [], []
    with tempfile.TemporaryDirectory() as folder:
        for command in (command for command in COMMANDS if options.verb in (None, command.verb)):
            row: dict[str, str] = {"verb": command.verb}
            for fault, tried, wrong in tried_on(command, Path(folder), options):
                row[fault] = NOT_TRIED if not tried else f"{len(wrong)} of {tried} WRONG" if wrong else f"{tried} ok"
                bad += [f"{command.verb}, {fault}: {line}" for line in wrong]
            rows.append(row)
            say(", ".join(f"{name} {found}" for name, found in row.items()))
    if options.markdown:
        print_markdown(rows)
    else:
        print_rows(rows, options.json)
    for line in bad:
        say(line)
    return 1 if bad else 0


def print_markdown(rows: list[dict[str, str]]) -> None:
    """Prints the table for a page of the documentation, and how many trials there were."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for cells in (names, ["---"] * len(names), *([row.get(name, "–") for name in names] for row in rows)):
        print(f"| {' | '.join(cells)} |")
    trials, inputs = (sum(_tried(row[name]) for row in rows for name in row if name in wanted) for wanted in (names[1:], INPUTS))
    print(f"\n{trials} trials, {inputs} of them with a bad input.")


def _tried(cell: str) -> int:
    return int(cell.split()[-2]) if cell != NOT_TRIED else 0


def _options() -> argparse.Namespace:
    parser = OneLineParser(prog="python -m benchmarks.resilience", description=__doc__)
    parser.add_argument("--moments", type=int, default=3, help="random moments of each signal (%(default)s)")
    parser.add_argument("--variants", type=int, default=20, help="damaged variants of what a verb reads (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and places (%(default)s)")
    parser.add_argument("--verb", choices=[command.verb for command in COMMANDS], help="only this one")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_json_argument(parser)
    return parser.parse_args()


def tried_on(command: Command, folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, int, list[str]]]:
    """(fault, number of trials, what went wrong) for each fault that a command can meet."""
    draw = random.Random(f"{options.seed} {command.verb}")
    fresh, done = folder / "fresh", folder / "done"
    for place in (fresh, done):
        shutil.rmtree(place, ignore_errors=True)
        prepare(place)
        for earlier in command.after:
            if wrong := repeated(earlier, place):
                raise SystemExit(f"{earlier.verb} fails where nothing is wrong: {wrong[0]}")
    moments, variants = (max(1, round(command.share * number)) for number in (options.moments, options.variants))
    started = time.perf_counter()
    yield "undisturbed", 1, repeated(command, done)
    seconds = time.perf_counter() - started
    for fault, trials in process_trials(command, seconds, draw, moments).items():
        yield fault, *_outcome(f"{command.verb}, {fault}", trials, fresh)
    for fault, trials in input_trials(command, done, draw, variants, max(1, round(3 * command.share))).items():
        yield fault, *_outcome(f"{command.verb}, {fault}", trials, done)


def _outcome(what: str, trials: list[Trial], origin: Path) -> tuple[int, list[str]]:
    """(how many could be tried, what went wrong), each in a copy of a workspace of its own."""
    found = []
    for trial in trials:
        with tempfile.TemporaryDirectory(dir=origin.parent) as place:
            found.append(trial(Path(shutil.copytree(origin, Path(place) / "copy"))))
    tried = [wrong for wrong in found if wrong is not None]
    say(f"{what}: {len(tried)} tried")
    return len(tried), [line for wrong in tried for line in wrong]


if __name__ == "__main__":
    sys.exit(main())
