"""The figures by name: what each shows, what it needs, where it comes from, and how it is drawn into files."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import pkgutil
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import figures.gallery
from figures.benchmark_tables import BenchmarkTable
from mechanisms.records.loading import Need, is_reference, load, manifests, on_record
from mechanisms.records.provenance import provenance
from mechanisms.sweeps.making import prepare
from mechanisms.system.context import HERE, RunContext
from mechanisms.validation import unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE_NOTE = "Drawn from the reference records that come with this package."


def names() -> tuple[str, ...]:
    """Return the names of all figures."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(figures.gallery.__path__)))


@dataclass(frozen=True)
class Entry:
    """A figure of the gallery, from its own settings or from changed ones.

    Attributes:
        name: the module in `figures.gallery`.
        overrides: "field=value", for every experiment that the figure needs.
        seeds: the replicates to draw, in place of those that the figure asks for.

    Raises:
        InvalidValue: there is no such figure; the message lists those that there are.
    """

    name: str
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in names():
            raise unknown("figure", self.name, names())

    @functools.cached_property
    def module(self) -> ModuleType:
        """The module with the function `draw`."""
        return importlib.import_module(f"figures.gallery.{self.name}")

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.module) or "").partition("\n")[0]

    @property
    def needs(self) -> tuple[Need, ...]:
        """The tables of records that it shows."""
        needs: tuple[Need, ...] = self.module.NEEDS
        return tuple(replace(n, overrides=(*n.overrides, *self.overrides), chosen=self.seeds or n.chosen) for n in needs)

    @property
    def tables(self) -> tuple[BenchmarkTable, ...]:
        """The tables of benchmarks that it shows."""
        found: tuple[BenchmarkTable, ...] = getattr(self.module, "TABLES", ())
        return found

    @property
    def commands(self) -> list[str]:
        """The commands that make what it shows, each once."""
        return list(dict.fromkeys([*(need.command for need in self.needs), *(table.command for table in self.tables)]))

    def of_seeds_on_record(self, runs: Path) -> Entry:
        """The same figure of the replicates that all its settings have; itself where none has any, or all have all."""
        common: set[int] | None = None
        for need in self.needs:
            there = set(need.numbers) - {seed for (_, seed), there in on_record(need, runs).items() if not there}
            common = there if common is None else common & there
        return replace(self, seeds=tuple(sorted(common))) if common else self

    def prepare(self, runs: Path, *, jobs: int = 1, run_missing: bool = False, context: RunContext = HERE) -> None:
        """Make missing toy records, and the others too if told to; else raise `MissingRecords` with their commands."""
        prepare(self.needs, runs, jobs=jobs, run_missing=run_missing, context=context)

    def draw(self, runs: Path) -> Figure:
        """Draw it from its records, in the style that is set; a foot line says where committed ones are shown."""
        needed = [load(need, runs) for need in self.needs]
        figure: Figure = self.module.draw(*needed, *(table.load() for table in self.tables))
        if self.shows_committed(runs):
            figure.draw_without_rendering()  # legends are placed when they are drawn
            below = figure.get_tightbbox().y0 / figure.get_figheight() - 0.01
            figure.text(0.5, below, REFERENCE_NOTE, fontsize=5.5, color="0.4", ha="center", va="top")
        return figure

    def shows_committed(self, runs: Path) -> bool:
        """Tell whether it shows anything that came with the package."""
        return bool(self.tables) or any(any(is_reference(need, runs)) for need in self.needs)

    def caption(self, runs: Path) -> str:
        """The docstring, and whether it shows records that came with the package."""
        text = (inspect.getdoc(self.module) or "") + "\n"
        return text + (f"\n{REFERENCE_NOTE}\n" if self.shows_committed(runs) else "")

    def sources(self, runs: Path, paths: list[Path]) -> dict[str, Any]:
        """Where it comes from: caption, commands, records with their code versions, and the checksums of the pictures."""
        seeds = [word for seed in self.seeds for word in ("--seed", str(seed))]
        return {
            "figure": self.name,
            "caption": self.caption(runs),
            "draw": shlex.join(["python", "-m", "figures", "draw", self.name, *self.overrides, *seeds]),
            "records": self.record_sources(runs),
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
            **provenance(),
        }

    def record_sources(self, runs: Path) -> list[dict[str, Any]]:
        """Identity and code version of every record, and checksum of every benchmark's table."""
        records = [source for need in self.needs for source in _of_need(need, runs)]
        return records + [table.source() for table in self.tables]


def _of_need(need: Need, runs: Path) -> list[dict[str, Any]]:
    kept = ("layer", "spec_id", "seed", "git", "versions")
    return [{"made_by": need.command, **{k: m[k] for k in kept}} for m in manifests(need, runs)]
