"""`python -m figures list | draw`."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import figures.gallery
from figures.needs import is_reference, load, manifests, prepare
from mechanisms.experiments.archive import MissingRecords, Need
from mechanisms.experiments.command_line import OneLineParser, add_json_argument, add_runs_argument, guarded, print_rows
from mechanisms.experiments.files import write_whole
from mechanisms.experiments.progress import say
from mechanisms.experiments.records import provenance
from mechanisms.validation import InvalidValue

FORMATS = ("svg", "pdf", "png")


def gallery() -> tuple[str, ...]:
    """The names of all figures."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(figures.gallery.__path__)))


def module_of(name: str) -> ModuleType:
    """The module of a figure; raises `InvalidValue` with the list of names."""
    if name not in gallery():
        raise InvalidValue(f"unknown figure {name!r}: there are " + ", ".join(gallery()))
    return importlib.import_module(f"figures.gallery.{name}")


def build_parser() -> OneLineParser:
    """The parser of `python -m figures`."""
    parser = OneLineParser(prog="python -m figures", description="Explanatory figures, drawn from records.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list | draw")
    add_json_argument(verbs.add_parser("list", help="the figures"))
    draw = verbs.add_parser("draw", help="draw figures and write what they come from beside them")
    draw.add_argument("names", nargs="*", metavar="NAME", help="(all whose records are there, if none is named)")
    add_runs_argument(draw)
    draw.add_argument("--out", type=Path, default=Path("pictures"), metavar="DIR", help="folder of the pictures (%(default)s)")
    draw.add_argument("--format", nargs="+", choices=FORMATS, default=["svg", "pdf"], help="(svg pdf)")
    draw.add_argument("--jobs", type=int, default=1, help="processes for records that must be made (%(default)s)")
    draw.add_argument("--run-missing", action="store_true", help="make missing full-scale records too")
    add_json_argument(draw)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    verb = {"list": _list, "draw": _draw}[options.verb]
    return guarded(parser.prog, lambda: verb(options))


def title(module: ModuleType) -> str:
    """The first line of a figure's docstring."""
    return (module.__doc__ or "").partition("\n")[0]


def _list(options: argparse.Namespace) -> None:
    rows = []
    for name in gallery():
        module = module_of(name)
        needs = ", ".join(f"{need.layer} {need.experiment}" for need in module.NEEDS)
        rows.append({"name": name, "needs": needs, "title": title(module)})
    print_rows(rows, options.json)


def _draw(options: argparse.Namespace) -> None:
    modules = {name: module_of(name) for name in options.names or gallery()}
    ready = {name: module for name, module in modules.items() if _has_records(name, module, options)}
    print_rows([row for name, module in ready.items() for row in draw_one(name, module, options)], options.json)


def _has_records(name: str, module: ModuleType, options: argparse.Namespace) -> bool:
    """Whether the records of a figure are there, those of the toy layer made now; a figure that was named has to have them."""
    try:
        prepare(module.NEEDS, options.runs, jobs=options.jobs, run_missing=options.run_missing)
    except MissingRecords as missing:
        if options.names:
            raise
        say(f"{name} is left out: {missing}")
        return False
    return True


def draw_one(name: str, module: ModuleType, options: argparse.Namespace) -> list[dict[str, str]]:
    """Draws one figure in every format asked for, with its provenance; rows for the printed table."""
    import matplotlib.pyplot as plt

    from figures.style import ADVICE, save, styled

    tables = [load(need, options.runs) for need in module.NEEDS]
    paths = [options.out / f"{name}.{suffix}" for suffix in options.format]
    with styled():
        figure = module.draw(*tables)
        for path in paths:
            save(figure, path)
        plt.close(figure)
    source = options.out / f"{name}.provenance.json"
    write_whole(source, json.dumps(sources(name, module, options.runs, paths), indent=1).encode(), ADVICE)
    return [{"figure": name, "file": str(path)} for path in (*paths, source)]


def sources(name: str, module: ModuleType, runs: Path, paths: list[Path]) -> dict[str, Any]:
    """Where a figure comes from: caption, commands, records with their code versions, and the checksums of the pictures."""
    return {
        "figure": name,
        "caption": caption(module, runs),
        "draw": f"python -m figures draw {name}",
        "records": [source for need in module.NEEDS for source in record_sources(need, runs)],
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        **provenance(),
    }


def caption(module: ModuleType, runs: Path) -> str:
    """The docstring of a figure, and whether it shows records that came with the package."""
    committed = any(any(is_reference(need, runs)) for need in module.NEEDS)
    return (module.__doc__ or "") + ("\nDrawn from the reference records that come with this package.\n" if committed else "")


def record_sources(need: Need, runs: Path) -> list[dict[str, Any]]:
    """Identity and code version of every record behind a need."""
    kept = ("layer", "spec_id", "seed", "git", "versions")
    return [{"made_by": need.command, **{k: m[k] for k in kept}} for m in manifests(need, runs)]


if __name__ == "__main__":
    sys.exit(main())
