"""Make the records that a verdict, a figure or a person needs, and only those that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.records.loading import MissingRecords, Need, is_reference, load, missing, specs_of
from mechanisms.records.store import DEFAULT_RUNS, Store
from mechanisms.records.suites import find_suite
from mechanisms.system.context import HERE, RunContext

if TYPE_CHECKING:
    import pandas as pd


def make(need: Need, runs: Path, jobs: int, context: RunContext = HERE) -> None:
    """Make the missing records of a need; keep damaged ones aside and make them again."""
    if not missing(need, runs) and any(is_reference(need, runs)):
        return
    from mechanisms.sweeps.runner import run_all

    run_all(find_suite(need.layer), Store(runs, need.layer), specs_of(need), need.numbers, jobs, context=context)


def run(need: Need, runs: Path, jobs: int = 1, context: RunContext = HERE) -> pd.DataFrame:
    """Make the missing records of a need, then load its table."""
    make(need, runs, jobs, context)
    return load(need, runs)


def prepare(needs: Iterable[Need], runs: Path, *, jobs: int, run_missing: bool, context: RunContext = HERE) -> None:
    """Make missing records of quick suites, and with `run_missing` those of all.

    Raises:
        MissingRecords: with the commands that make the others.
    """
    needs = tuple(needs)
    place = "" if runs == DEFAULT_RUNS else f" --runs {runs}"
    lacking = [need.command + place for need in needs if not find_suite(need.layer).quick and missing(need, runs)]
    if lacking and not run_missing:
        asked = " && ".join(dict.fromkeys(lacking))
        raise MissingRecords(f"records are missing; make them with: {asked}  (or add --run-missing)")
    for need in needs:
        make(need, runs, jobs, context)
