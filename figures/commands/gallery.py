"""The verb `gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option, option, record_options


@verb("", "decay --out page.md")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@option("--out FILE", "Pictures go beside it.", Path("docs/gallery.md"))
@record_options()
@json_option
def command(names: tuple[str, ...], out: Path, runs: Path, as_json: bool, **making: Any) -> None:
    """Write the gallery: a page in Markdown with every figure, its caption, its command and its provenance.

    NAME is a figure (default: all). Prints a row for each.
    """
    from figures.gallery_page import Gallery

    print_rows(Gallery(out, runs).write(names, **making), as_json)
