"""Draw figures, and write beside each where it comes from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType

from figures.catalogue import drawn, make_ready, module_of, names, sources
from figures.options import FORMATS, add_record_arguments, require_width
from mechanisms.command_line.framework import add_json_argument, print_rows
from mechanisms.records.loading import MissingRecords
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="(all whose records are there, if none is named)")
    parser.add_argument("--out", type=Path, default=Path("pictures"), metavar="DIR", help="folder of the pictures (%(default)s)")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=["svg", "pdf"], help="(svg pdf)")
    parser.add_argument("--width", type=float, metavar="INCHES", help="width of the figures; text keeps its size (7)")
    add_record_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Draws the figures and prints a row for each file."""
    options.width = require_width(options.width)
    modules = {name: module_of(name) for name in options.names or names()}
    ready = {name: module for name, module in modules.items() if _has_records(name, module, options)}
    print_rows([row for name, module in ready.items() for row in draw_one(name, module, options)], options.json)


def _has_records(name: str, module: ModuleType, options: argparse.Namespace) -> bool:
    """Whether the records of a figure are there, those of the toy layer made now; a figure that was named has to have them."""
    try:
        make_ready(module, options.runs, jobs=options.jobs, run_missing=options.run_missing)
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

    paths = [options.out / f"{name}.{suffix}" for suffix in options.format]
    with styled(options.width):
        figure = drawn(module, options.runs)
        for path in paths:
            save(figure, path)
        plt.close(figure)
    source = options.out / f"{name}.provenance.json"
    write_whole(source, json.dumps(sources(name, module, options.runs, paths), indent=1).encode(), ADVICE)
    return [{"figure": name, "file": str(path)} for path in (*paths, source)]
