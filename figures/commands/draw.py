"""The verb `draw`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from figures.catalogue import Entry, names
from figures.options import FORMATS, require_width
from mechanisms.command_line.framework import Words, print_rows, verb
from mechanisms.command_line.options import json_option, names_and_overrides, option, record_options, seed_options, seeds_of
from mechanisms.records.loading import MissingRecords, standing_in
from mechanisms.records.suites import find_suite
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say


@verb("", "digits_sparsity regularizer.strength=1e-3 steps=60 --seed 0", "decay who_dies --format png --width 3.5")
@click.argument("words", nargs=-1, metavar="[NAME | FIELD=VALUE]...")
@seed_options
@option("--out DIR", "Folder of the pictures.", Path("pictures"))
@option("--format", "Kinds of file.", ["svg", "pdf"], cls=Words, type=click.Choice(FORMATS))
@option("--width INCHES", "Width of the figures; text keeps its size (default: 7).", type=float)
@record_options()
@json_option
def command(
    words: tuple[str, ...],
    seeds: int | None,
    seed: tuple[int, ...],
    out: Path,
    format: tuple[str, ...],
    width: float | None,
    runs: Path,
    as_json: bool,
    **making: Any,
) -> None:
    """Draw figures, and write beside each where it comes from.

    NAME is a figure (default: all whose records exist); FIELD=VALUE changes a setting, as in `run`. Prints a row for each file.
    """
    inches = require_width(width)
    chosen, overrides = names_and_overrides(words, "figures to draw", "digits_sparsity")
    numbers = seeds_of(seeds, seed) if seed or seeds is not None else ()
    entries = [Entry(name, overrides, numbers) for name in chosen or names()]
    ready = [found for entry in entries if (found := _with_records(entry, runs, bool(chosen), **making))]
    print_rows([row for entry in ready for row in draw_one(entry, runs, out, format, inches)], as_json)


def _with_records(entry: Entry, runs: Path, named: bool, **making: Any) -> Entry | None:
    """The figure once its records are there, those of the toy suite made now; a figure that was named has to have them."""
    if entry.overrides:
        for need in {need.command: need for need in entry.needs}.values():
            find_suite(need.layer).specs(need.experiment, need.overrides, say)
        if not entry.seeds and not making["run_missing"]:
            entry = entry.of_seeds_on_record(runs)
    try:
        entry.prepare(runs, **making)
    except MissingRecords as missing:
        if named:
            raise
        say(f"{entry.name} is left out: {missing}")
        return None
    for line in standing_in(entry.needs, runs):
        say(line)
    return entry


def draw_one(entry: Entry, runs: Path, out: Path, format: tuple[str, ...], width: float) -> list[dict[str, str]]:
    """Draw one figure in every format asked for, with its provenance; rows for the printed table."""
    import matplotlib.pyplot as plt

    from figures.style import ADVICE, save, styled

    paths = [out / f"{entry.name}.{suffix}" for suffix in format]
    with styled(width):
        figure = entry.draw(runs)
        for path in paths:
            save(figure, path)
        plt.close(figure)
    source = out / f"{entry.name}.provenance.json"
    write_whole(source, json.dumps(entry.sources(runs, paths), indent=1).encode(), ADVICE)
    return [{"figure": entry.name, "file": str(path)} for path in (*paths, source)]
