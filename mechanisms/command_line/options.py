"""Options that several commands share: the specs and seeds that a command line names, and the folder of the records."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mechanisms.records.design import EPOCHS, TORCH_NAMES
from mechanisms.records.store import DEFAULT_RUNS, Store
from mechanisms.records.suites import PRESETS, Layer
from mechanisms.system.context import HERE, RunContext
from mechanisms.system.progress import say
from mechanisms.validation import UserError, require_whole

SEEDS = 3
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Make one decorator of several; the first option is the first of the help."""
    return lambda function: functools.reduce(lambda inner, option: option(inner), reversed(options), function)


def option(declaration: str, help: str, default: Any = None, **how: Any) -> Decorator:
    """Make an option as its help shows it: "--out DIR" takes a value, "--yes" is a switch; names are set apart by commas.

    A default is shown, and gives the type. Further arguments are those of `click.option`.
    """
    names, _, metavar = declaration.partition(" ")
    if default is not None:
        how = {"default": default, "show_default": True, **how}
    if isinstance(default, Path):
        how["type"] = Path
    if metavar:
        how["metavar"] = metavar
    elif "type" not in how:
        how["is_flag"] = True
    return click.option(*names.split(","), help=help, **how)


runs_option = option("--runs DIR", "Folder of the records.", DEFAULT_RUNS)
json_option = option("--json,as_json", "Print the table as a JSON list of objects.")
table_options = together(runs_option, json_option)
seed_options = together(
    option("--seeds N", "Number of replicates, seeds 0 to N-1.", type=int),
    option("--seed K", "This seed alone; may be given several times.", type=int, multiple=True),
)
preset_option = option("--preset", "Size of the networks' experiments.", PRESETS[0], type=click.Choice(PRESETS))


def jobs_option(default: int | None = 1) -> Decorator:
    """--jobs N: processes that make records."""
    return option("--jobs N", "Processes that make records.", default, type=click.IntRange(1))


CONTEXT = {
    "data": option("--data DIR", "Folder of the data sets.", HERE.data),
    "download": option("--download", "Fetch missing data sets from their official addresses."),
    "device": option("--device NAME", "Torch device to train on.", HERE.device),
    "checkpoint_every": option("--checkpoint-every SECONDS", "Between checkpoints of a training.", HERE.checkpoint_every),
    "decoders": option("--decoders N", "Processes that decode images (default: one a core, at most 8).", type=int),
}
"""Field of a `RunContext` → its option."""


def context_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take where and how to compute; the function gets it as `context`."""

    @functools.wraps(function)
    def with_context(*words: Any, **others: Any) -> None:
        given = {name: others.pop(name) for name in CONTEXT if name in others}
        function(*words, context=RunContext(**given), **others)

    return together(*CONTEXT.values())(with_context)


def record_options(jobs: int = 1) -> Decorator:
    """--runs, --jobs, --run-missing and `context_options`: where records are, and how missing ones are made."""
    missing = option("--run-missing", "Make missing full-scale records too, not only toy ones.")
    return together(runs_option, jobs_option(jobs), missing, context_options)


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
    overrides: tuple[str, ...]
    specs: tuple[Any, ...]
    seeds: tuple[int, ...]

    def store(self, runs: Path, reference: bool = True) -> Store:
        """The records in a folder; where asked for, the committed ones stand in for those that are missing."""
        return Store(runs, self.layer.name, self.layer.reference if reference else None)


def experiment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take an experiment, settings to change and seeds; the function gets them as one `Chosen`.

    The settings may have torch's names, and these may be options: `--lr 0.1` is `lr=0.1`, which is `learning_rate=0.1`.
    """

    @click.pass_obj
    @functools.wraps(function)
    def chosen(
        layer: Layer, /, experiment: str, overrides: tuple[str, ...], seeds: int | None, seed: tuple[int, ...], **others: Any
    ) -> None:
        named = [f"{name}={text}" for name in (*TORCH_NAMES, EPOCHS) if (text := others.pop(name)) is not None]
        specs = layer.specs(experiment, (*overrides, *named), say)
        function(Chosen(layer, experiment, (*overrides, *named), specs, seeds_of(seeds, seed)), **others)

    torch_names = (option(f"--{name.replace('_', '-')} X", f"As {field}=X.") for name, field in TORCH_NAMES.items())
    epochs = option(f"--{EPOCHS} X", "Steps, in passes over the training images.")
    words = (click.argument("experiment"), click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]..."))
    return together(*words, seed_options, *torch_names, epochs)(chosen)
