"""What a figure needs, in this process: the records of experiments, found, made, or asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.suite import LAYER as FULL_SCALE
from mechanisms.command_line.framework import DEFAULT_RUNS
from mechanisms.records.loading import MissingRecords, Need
from mechanisms.records.store import MANIFEST, Store
from toy.suite import LAYER as TOY

if TYPE_CHECKING:
    import pandas as pd

LAYERS = {layer.name: layer for layer in (TOY, FULL_SCALE)}


def specs_of(need: Need) -> tuple[Any, ...]:
    """The specs of a need's experiment."""
    return LAYERS[need.layer].specs(need.experiment, need.overrides)


def store_of(need: Need, runs: Path) -> Store:
    """The records of a need's layer; committed ones stand in for those that were not made here."""
    return Store(runs, need.layer, LAYERS[need.layer].reference)


def missing(need: Need, runs: Path) -> int:
    """The number of records of a need that are neither there nor among the committed ones."""
    folders = [store_of(need, runs).find(spec, seed) for spec in specs_of(need) for seed in range(need.seeds)]
    return sum(not (folder / MANIFEST).is_file() for folder in folders)


def make(need: Need, runs: Path, jobs: int) -> None:
    """Makes the missing records; damaged ones are kept aside and made again."""
    if not missing(need, runs) and any(is_reference(need, runs)):
        return
    from mechanisms.sweeps.runner import run_all

    run_all(LAYERS[need.layer], Store(runs, need.layer), specs_of(need), range(need.seeds), jobs)


def load(need: Need, runs: Path) -> pd.DataFrame:
    """The table of a need over all specs and seeds, tidy."""
    return store_of(need, runs).collect(specs_of(need), tuple(range(need.seeds)), need.table)


def manifests(need: Need, runs: Path) -> list[dict[str, Any]]:
    """The manifests of the records that a need's table comes from."""
    store = store_of(need, runs)
    return [store.manifest(spec, seed) for spec in specs_of(need) for seed in range(need.seeds)]


def is_reference(need: Need, runs: Path) -> list[bool]:
    """Of each record of a need, whether it is a committed one."""
    store = store_of(need, runs)
    return [store.find(spec, seed) != store.folder(spec, seed) for spec in specs_of(need) for seed in range(need.seeds)]


def prepare(needs: tuple[Need, ...], runs: Path, *, jobs: int, run_missing: bool) -> None:
    """Makes missing toy records; names the commands for missing full-scale ones, unless told to make them too."""
    place = "" if runs == DEFAULT_RUNS else f" --runs {runs}"
    commands = [need.command + place for need in needs if need.layer != TOY.name and missing(need, runs)]
    if commands and not run_missing:
        asked = " && ".join(dict.fromkeys(commands))
        raise MissingRecords(f"records are missing; make them with: {asked}  (or add --run-missing)")
    for need in needs:
        make(need, runs, jobs)
