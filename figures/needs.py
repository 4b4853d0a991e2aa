"""What a figure needs: experiments by name; how their records are found, made, or asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.layer import LAYER as FULL_SCALE
from mechanisms.experiments.records import Store
from mechanisms.validation import UserError
from toy.layer import LAYER as TOY

if TYPE_CHECKING:
    import pandas as pd

LAYERS = {layer.name: layer for layer in (TOY, FULL_SCALE)}


@dataclass(frozen=True)
class Need:
    """One table of one experiment, over seeds 0 to `seeds` − 1."""

    layer: str
    experiment: str
    table: str = "features"
    seeds: int = 3

    @property
    def command(self) -> str:
        """The command that makes the records."""
        return f"python -m {self.layer} run {self.experiment} --seeds {self.seeds}"

    def specs(self) -> tuple[Any, ...]:
        """The specs of the experiment."""
        return LAYERS[self.layer].specs(self.experiment)

    def missing(self, runs: Path) -> int:
        """The number of records that are not there."""
        store = Store(runs, self.layer)
        return sum(not store.has(spec, seed) for spec in self.specs() for seed in range(self.seeds))

    def make(self, runs: Path, jobs: int) -> None:
        """Makes the missing records; damaged ones are kept aside and made again."""
        from mechanisms.experiments.runner import run_all

        run_all(LAYERS[self.layer], Store(runs, self.layer), self.specs(), range(self.seeds), jobs)

    def load(self, runs: Path) -> pd.DataFrame:
        """The table over all specs and seeds, tidy."""
        return Store(runs, self.layer).collect(self.specs(), tuple(range(self.seeds)), self.table)

    def manifests(self, runs: Path) -> list[dict[str, Any]]:
        """The manifests of the records that the table comes from."""
        store = Store(runs, self.layer)
        return [store.manifest(spec, seed) for spec in self.specs() for seed in range(self.seeds)]


def prepare(needs: tuple[Need, ...], runs: Path, *, jobs: int, run_missing: bool) -> None:
    """Makes missing toy records; names the commands for missing full-scale ones, unless told to make them too."""
    commands = [need.command for need in needs if need.layer != TOY.name and need.missing(runs)]
    if commands and not run_missing:
        raise UserError(
            "records are missing; make them with: " + " && ".join(dict.fromkeys(commands)) + "  (or add --run-missing)"
        )
    for need in needs:
        need.make(runs, jobs)
