"""The specs of an experiment, and how many of their records are done, running, failed or missing."""

from __future__ import annotations

import argparse
import inspect
from collections import Counter
from typing import Any

from mechanisms.command_line.suite_verbs.common import add_experiment_arguments, seeds_of, specs_of, store_of
from mechanisms.records.specs import flatten, spec_id
from mechanisms.records.status import Survey, seconds_a_run, survey
from mechanisms.records.suites import Layer
from mechanisms.system.console import in_one_text, print_rows
from mechanisms.system.progress import in_words

MOST_ERRORS = 5


def add_arguments(parser: argparse.ArgumentParser, layer: Layer) -> None:
    """The options of the verb."""
    add_experiment_arguments(parser)


def run(layer: Layer, options: argparse.Namespace) -> None:
    """Prints one row a spec; for people, what all specs share before it, and how far the sweep is after it."""
    specs, store, seeds = specs_of(layer, options), store_of(layer, options), seeds_of(options)
    flat = [flatten(spec) for spec in specs]
    shared = {k: v for k, v in flat[0].items() if all(f.get(k) == v for f in flat)} if len(flat) > 1 else {}
    if not options.json:
        print(inspect.getdoc(layer.names()[options.experiment]), end="\n\n")
        for name, value in shared.items():
            print(f"  {name} = {in_one_text(value)}")
        print()
    surveys = [survey(store, spec) for spec in specs]
    states = [found.states(seeds) for found in surveys]
    rows = []
    for spec, fields, found, counts in zip(specs, flat, surveys, states, strict=True):
        own = {k: in_one_text(v) for k, v in fields.items() if options.json or k not in shared}
        where: dict[str, Any] = {}
        if options.json:
            where["folders"] = [
                str(found.folder / f"seed_{seed}" if seed in found.records else store.find(spec, seed)) for seed in seeds
            ]
        rows.append({"spec_id": spec_id(spec), **counts, **where, **own})
    print_rows(rows, options.json)
    if not options.json:
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
