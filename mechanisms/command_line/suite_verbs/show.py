"""The verb `show`."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from typing import Any

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import Chosen, experiment_options, table_options
from mechanisms.records.specs import flatten, spec_id
from mechanisms.records.status import Survey, seconds_a_run, survey
from mechanisms.system.console import in_one_text
from mechanisms.system.progress import in_words

MOST_ERRORS = 5


@verb("EXPERIMENT", "EXPERIMENT regularizer.strength=1e-3 --seeds 1", "EXPERIMENT --json")
@experiment_options
@table_options
def command(chosen: Chosen, runs: Path, as_json: bool) -> None:
    """Show the specs of an experiment, and how many of their records are done, running, failed or missing."""
    specs, seeds, store = chosen.specs, chosen.seeds, chosen.store(runs)
    flat = [flatten(spec) for spec in specs]
    shared = {k: v for k, v in flat[0].items() if all(f.get(k) == v for f in flat)}
    if not as_json:
        print(inspect.getdoc(chosen.layer.names()[chosen.experiment]), end="\n\n")
        for name, value in shared.items():
            print(f"  {name} = {in_one_text(value)}")
        print()
    surveys = [survey(store, spec) for spec in specs]
    states = [found.states(seeds) for found in surveys]
    rows = []
    for spec, fields, found, counts in zip(specs, flat, surveys, states, strict=True):
        own = {k: in_one_text(v) for k, v in fields.items() if as_json or k not in shared}
        where: dict[str, Any] = {}
        if as_json:
            where["folders"] = [
                str(found.folder / f"seed_{seed}" if seed in found.records else store.find(spec, seed)) for seed in seeds
            ]
        rows.append({"spec_id": spec_id(spec), **counts, **where, **own})
    print_rows(rows, as_json)
    if not as_json:
        total = sum((Counter(counts) for counts in states), Counter[str]())
        print("", *_errors(surveys, seeds), _standing(total, surveys), sep="\n")


def _standing(counts: Counter[str], surveys: list[Survey]) -> str:
    text = ", ".join(f"{counts[state]} {state}" for state in ("done", "running", "failed", "missing"))
    left, seconds = counts.total() - counts["done"], seconds_a_run(surveys)
    if not left or seconds is None:
        return text
    workers = max(1, counts["running"])
    told = f"the {workers} at work" if counts["running"] else "one at work"
    return f"{text}; about {in_words(left * seconds / workers)} left with {told} ({in_words(seconds)} a run so far)"


def _errors(surveys: list[Survey], seeds: tuple[int, ...]) -> list[str]:
    """A line for each of the first failures: what the error of each was."""
    failed = [(found, seed) for found in surveys for seed in sorted((found.failures - found.records) & set(seeds))]
    lines = [f"failed: {found.folder.name} seed {seed}: {found.error(seed)}" for found, seed in failed[:MOST_ERRORS]]
    more = len(failed) - len(lines)
    return [*lines, *([f"… and {more} more"] if more else [])]
