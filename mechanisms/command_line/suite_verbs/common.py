"""What the verbs share: the specs and seeds that a command line names, and the folder of the records."""

from __future__ import annotations

import argparse
from typing import Any

from mechanisms.records.store import Store
from mechanisms.records.suites import Layer
from mechanisms.system.progress import say
from mechanisms.validation import require_whole


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """The name of an experiment, settings to change, and the number of seeds."""
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*", metavar="field=value", help="settings to change, in every spec")
    add_seed_arguments(parser)


def add_seed_arguments(parser: argparse.ArgumentParser, default: int | None = 3) -> None:
    """Either the number of replicates or their seeds."""
    told = "" if default is None else f" ({default})"
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--seeds", type=int, default=default, metavar="N", help=f"number of replicates, seeds 0 to N-1{told}")
    either.add_argument("--seed", type=int, action="append", metavar="K", help="this seed alone; may be given several times")


def seeds_of(options: argparse.Namespace) -> tuple[int, ...]:
    """The seeds that were named, else 0 to N - 1."""
    if options.seed:
        for seed in options.seed:
            require_whole("--seed", seed, 0, 10**6)
        return tuple(sorted(set(options.seed)))
    require_whole("--seeds", options.seeds, 1, 10**6)
    return tuple(range(options.seeds))


def specs_of(layer: Layer, options: argparse.Namespace) -> tuple[Any, ...]:
    """The specs of the named experiment, with the settings changed."""
    return layer.specs(options.experiment, options.overrides, say)


def store_of(layer: Layer, options: argparse.Namespace, reference: bool = True) -> Store:
    """The records under `--runs`; where asked for, the committed ones stand in for those that are missing."""
    return Store(options.runs, layer.name, layer.reference if reference else None)
