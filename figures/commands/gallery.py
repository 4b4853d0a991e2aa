"""The verb `gallery`."""

from __future__ import annotations

from pathlib import Path

import click

from figures.options import record_options
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option


@verb("", "decay --out page.md")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--out", type=Path, default=Path("docs/gallery.md"), show_default=True, metavar="FILE", help="Pictures go beside it."
)
@record_options
@json_option
def command(names: tuple[str, ...], out: Path, runs: Path, jobs: int, run_missing: bool, as_json: bool) -> None:
    """Write the gallery: a page in Markdown with every figure, its caption, its command and its provenance.

    NAME is a figure (default: all). Prints a row for each.
    """
    from figures.gallery_page import Gallery

    print_rows(Gallery(out, runs).write(names, jobs=jobs, run_missing=run_missing), as_json)
