"""Options that several commands share: the specs and seeds that a command line names, and the folder of the records."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mechanisms.records.store import DEFAULT_RUNS, Store
from mechanisms.records.suites import Layer
from mechanisms.system.progress import say
from mechanisms.validation import UserError, require_whole

SEEDS = 3
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Make one decorator of several; the first option is the first of the help."""
    return lambda function: functools.reduce(lambda inner, option: option(inner), reversed(options), function)


runs_option = click.option(
    "--runs", type=Path, default=DEFAULT_RUNS, show_default=True, metavar="DIR", help="Folder of the records."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the table as a JSON list of objects.")
table_options = together(runs_option, json_option)
seed_options = together(
    click.option("--seeds", type=int, metavar="N", help="Number of replicates, seeds 0 to N-1."),
    click.option("--seed", type=int, multiple=True, metavar="K", help="This seed alone; may be given several times."),
)
torch_options = together(
    click.option("--lr", metavar="X", help="As learning_rate=X."),
    click.option("--weight-decay", metavar="X", help="As regularizer.strength=X."),
)


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=lambda: os.cpu_count() or 1,
    show_default="one a core",
    metavar="N",
    help="Processes that make records.",
)


def names_and_overrides(words: tuple[str, ...], what: str, example: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sort words into names and settings "field=value"; raises `UserError` for settings without a name."""
    overrides = tuple(word for word in words if "=" in word)
    names = tuple(word for word in words if "=" not in word)
    if overrides and not names:
        raise UserError(f"{' '.join(overrides)}: name the {what} with these settings, such as {example}")
    return names, overrides


def seeds_of(seeds: int | None, seed: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds that were named, else 0 to N - 1."""
    if seed and seeds is not None:
        raise UserError("--seeds and --seed exclude each other: give a number of seeds, or each seed that counts")
    for one in seed:
        require_whole("--seed", one, 0, 10**6)
    if seed:
        return tuple(sorted(set(seed)))
    number = SEEDS if seeds is None else seeds
    require_whole("--seeds", number, 1, 10**6)
    return tuple(range(number))


@dataclass(frozen=True)
class Chosen:
    """The specs and seeds of an experiment that a command line names."""

    layer: Layer
    experiment: str
    specs: tuple[Any, ...]
    seeds: tuple[int, ...]

    def store(self, runs: Path, reference: bool = True) -> Store:
        """The records in a folder; where asked for, the committed ones stand in for those that are missing."""
        return Store(runs, self.layer.name, self.layer.reference if reference else None)


def experiment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take an experiment, settings to change and seeds; the function gets them as one `Chosen`."""

    @click.pass_obj
    @functools.wraps(function)
    def chosen(
        layer: Layer, /, experiment: str, overrides: tuple[str, ...], seeds: int | None, seed: tuple[int, ...], **others: Any
    ) -> None:
        numbers = seeds_of(seeds, seed)
        function(Chosen(layer, experiment, layer.specs(experiment, overrides, say), numbers), **others)

    words = (click.argument("experiment"), click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]..."))
    return together(*words, seed_options)(chosen)
