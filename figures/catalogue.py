"""The figures by name: what each shows, what it needs, where it comes from, and how it is drawn into files."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import figures.gallery
from figures.benchmark_tables import BenchmarkTable
from mechanisms.records.loading import Need, is_reference, load, manifests
from mechanisms.records.provenance import provenance
from mechanisms.sweeps.making import prepare
from mechanisms.validation import InvalidValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE_NOTE = "Drawn from the reference records that come with this package."


def names() -> tuple[str, ...]:
    """The names of all figures."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(figures.gallery.__path__)))


def module_of(name: str) -> ModuleType:
    """The module of a figure; raises `InvalidValue` with the list of names."""
    if name not in names():
        raise InvalidValue(f"unknown figure {name!r}: there are " + ", ".join(names()))
    return importlib.import_module(f"figures.gallery.{name}")


def title(module: ModuleType) -> str:
    """The first line of a figure's docstring."""
    return (inspect.getdoc(module) or "").partition("\n")[0]


def tables_of(module: ModuleType) -> tuple[BenchmarkTable, ...]:
    """The tables of benchmarks that a figure shows."""
    found: tuple[BenchmarkTable, ...] = getattr(module, "TABLES", ())
    return found


def commands(module: ModuleType) -> list[str]:
    """The commands that make what a figure shows, each once."""
    return list(dict.fromkeys([*(need.command for need in module.NEEDS), *(table.command for table in tables_of(module))]))


def make_ready(module: ModuleType, runs: Path, *, jobs: int = 1, run_missing: bool = False) -> None:
    """Makes missing toy records of a figure, and the others too if told to; else raises `MissingRecords` with their commands."""
    prepare(module.NEEDS, runs, jobs=jobs, run_missing=run_missing)


def drawn(module: ModuleType, runs: Path) -> Figure:
    """A figure from its records, in the style that is set."""
    needed = [load(need, runs) for need in module.NEEDS]
    figure: Figure = module.draw(*needed, *(table.load() for table in tables_of(module)))
    return figure


def from_references(module: ModuleType, runs: Path) -> bool:
    """Whether a figure shows anything that came with the package."""
    return bool(tables_of(module)) or any(any(is_reference(need, runs)) for need in module.NEEDS)


def caption(module: ModuleType, runs: Path) -> str:
    """The docstring of a figure, and whether it shows records that came with the package."""
    text = (inspect.getdoc(module) or "") + "\n"
    return text + (f"\n{REFERENCE_NOTE}\n" if from_references(module, runs) else "")


def sources(name: str, module: ModuleType, runs: Path, paths: list[Path]) -> dict[str, Any]:
    """Where a figure comes from: caption, commands, records with their code versions, and the checksums of the pictures."""
    return {
        "figure": name,
        "caption": caption(module, runs),
        "draw": f"python -m figures draw {name}",
        "records": record_sources(module, runs),
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        **provenance(),
    }


def record_sources(module: ModuleType, runs: Path) -> list[dict[str, Any]]:
    """Identity and code version of every record, and checksum of every benchmark's table, behind a figure."""
    records = [source for need in module.NEEDS for source in _of_need(need, runs)]
    return records + [table.source() for table in tables_of(module)]


def _of_need(need: Need, runs: Path) -> list[dict[str, Any]]:
    kept = ("layer", "spec_id", "seed", "git", "versions")
    return [{"made_by": need.command, **{k: m[k] for k in kept}} for m in manifests(need, runs)]
