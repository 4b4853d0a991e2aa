"""Draw figures, and write beside each where it comes from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from figures.catalogue import Entry, names
from figures.options import FORMATS, add_record_arguments, require_width
from mechanisms.command_line.framework import add_json_argument, print_rows
from mechanisms.command_line.options import seeds_of
from mechanisms.records.loading import MissingRecords, standing_in
from mechanisms.records.suites import find_suite
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | field=value",
        help="figures (default: all whose records exist), and settings to change, as in `run`",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="number of replicates, seeds 0 to N-1")
    parser.add_argument("--seed", type=int, action="append", metavar="K", help="this seed alone; may be given several times")
    parser.add_argument("--out", type=Path, default=Path("pictures"), metavar="DIR", help="folder of the pictures (%(default)s)")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=["svg", "pdf"], help="(svg pdf)")
    parser.add_argument("--width", type=float, metavar="INCHES", help="width of the figures; text keeps its size (7)")
    add_record_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Draws the figures and prints a row for each file."""
    options.width = require_width(options.width)
    overrides = tuple(word for word in options.words if "=" in word)
    chosen = [word for word in options.words if "=" not in word]
    if overrides and not chosen:
        raise UserError(f"{' '.join(overrides)}: name the figures to draw with these settings, such as digits_sparsity")
    seeds = () if options.seed is None and options.seeds is None else seeds_of(options.seeds, tuple(options.seed or ()))
    entries = [Entry(name, overrides, seeds) for name in chosen or names()]
    ready = [found for entry in entries if (found := _with_records(entry, options, named=bool(chosen)))]
    print_rows([row for entry in ready for row in draw_one(entry, options)], options.json)


def _with_records(entry: Entry, options: argparse.Namespace, *, named: bool) -> Entry | None:
    """The figure once its records are there, those of the toy suite made now; a figure that was named has to have them."""
    if entry.overrides:
        for need in {need.command: need for need in entry.needs}.values():
            find_suite(need.layer).specs(need.experiment, need.overrides, say)
        if not entry.seeds and not options.run_missing:
            entry = entry.of_seeds_on_record(options.runs)
    try:
        entry.prepare(options.runs, jobs=options.jobs, run_missing=options.run_missing)
    except MissingRecords as missing:
        if named:
            raise
        say(f"{entry.name} is left out: {missing}")
        return None
    for line in standing_in(entry.needs, options.runs):
        say(line)
    return entry


def draw_one(entry: Entry, options: argparse.Namespace) -> list[dict[str, str]]:
    """Draws one figure in every format asked for, with its provenance; rows for the printed table."""
    import matplotlib.pyplot as plt

    from figures.style import ADVICE, save, styled

    paths = [options.out / f"{entry.name}.{suffix}" for suffix in options.format]
    with styled(options.width):
        figure = entry.draw(options.runs)
        for path in paths:
            save(figure, path)
        plt.close(figure)
    source = options.out / f"{entry.name}.provenance.json"
    write_whole(source, json.dumps(entry.sources(options.runs, paths), indent=1).encode(), ADVICE)
    return [{"figure": entry.name, "file": str(path)} for path in (*paths, source)]
