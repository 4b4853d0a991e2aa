"""Find and load the records of an experiment of any suite: one way for verdicts, figures, reports and people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechanisms.records.specs import spec_id
from mechanisms.records.store import MANIFEST, Store, read_manifest
from mechanisms.records.suites import find_suite
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd


MAX_LOOKED_AT = 200


@dataclass(frozen=True)
class Need:
    """One table of one experiment of a suite, by name: what a hypothesis or a figure asks for.

    Attributes:
        overrides: settings to change, "field=value".
        seeds: number of replicates, seeds 0 to N-1.
        chosen: the seeds themselves, in place of a number of them.
    """

    layer: str
    experiment: str
    overrides: tuple[str, ...] = ()
    seeds: int = 3
    table: str = "features"
    chosen: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds of the replicates."""
        return self.chosen or tuple(range(self.seeds))

    @property
    def command(self) -> str:
        """The command that makes the records."""
        seeds = [word for seed in self.chosen for word in ("--seed", str(seed))] or ["--seeds", str(self.seeds)]
        return shlex.join(["python", "-m", self.layer, "run", self.experiment, *self.overrides, *seeds])


class MissingRecords(UserError):
    """Records are missing; the message is the command that makes them."""


def specs_of(need: Need) -> tuple[Any, ...]:
    """Return the specs of a need's experiment."""
    return find_suite(need.layer).specs(need.experiment, need.overrides)


def store_of(need: Need, runs: Path) -> Store:
    """Return the records of a need's suite; committed ones stand in for those that were not made here."""
    return Store(runs, need.layer, find_suite(need.layer).reference)


def on_record(need: Need, runs: Path) -> dict[tuple[str, int], bool]:
    """Tell of each record of a need, by the identity of its spec and its seed, whether it was made here or is committed."""
    store = store_of(need, runs)
    return {(spec_id(spec), seed): store.finds(spec, seed) for spec in specs_of(need) for seed in need.numbers}


def missing(need: Need, runs: Path) -> int:
    """Count the records of a need that are neither made here nor committed."""
    return sum(not there for there in on_record(need, runs).values())


def is_reference(need: Need, runs: Path) -> list[bool]:
    """Tell of each record of a need whether it is a committed one."""
    store = store_of(need, runs)
    return [store.is_committed(spec, seed) for spec in specs_of(need) for seed in need.numbers]


def manifests(need: Need, runs: Path) -> list[dict[str, Any]]:
    """Read the manifests of the records that a need's table comes from."""
    store = store_of(need, runs)
    return [store.manifest(spec, seed) for spec in specs_of(need) for seed in need.numbers]


def load(need: Need, runs: Path) -> pd.DataFrame:
    """Load the table of a need over all specs and seeds, with `seed` and the spec spread into columns.

    Raises:
        MissingRecords: with the command that makes them.
    """
    if missing(need, runs):
        raise MissingRecords(need.command)
    return store_of(need, runs).collect(specs_of(need), need.numbers, need.table)


def standing_in(needs: Iterable[Need], runs: Path) -> list[str]:
    """Say, one line a command, where committed records stand in for missing ones; none where they do not."""
    lines = []
    for need in {need.command: need for need in needs}.values():
        committed = is_reference(need, runs)
        if any(committed):
            line = f"{need.command}: {sum(committed)} of {len(committed)} records are those that come with the package"
            others = other_settings(need, runs)
            told = f"; {others} other settings of it are on record under {runs}: add field=value" if others else ""
            lines.append(line + told)
    return lines


def other_settings(need: Need, runs: Path) -> int:
    """Count the specs on record here that the same experiment made with other settings, among the first `MAX_LOOKED_AT`."""
    wanted, place = {spec_id(spec) for spec in specs_of(need)}, runs / need.layer
    candidates = [folder for folder in sorted(place.iterdir()) if folder.name not in wanted] if place.is_dir() else []
    return sum(need.experiment in _command_of(folder) for folder in candidates[:MAX_LOOKED_AT])


def _command_of(folder: Path) -> list[str]:
    for manifest in folder.glob(f"seed_*/{MANIFEST}"):
        try:
            words = read_manifest(manifest.parent).get("command", [])
        except UserError:
            continue
        return [str(word) for word in words] if isinstance(words, list) else []
    return []
