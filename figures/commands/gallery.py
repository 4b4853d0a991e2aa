"""Write the gallery: a page in Markdown with every figure, its caption, its command and its provenance."""

from __future__ import annotations

import argparse
from pathlib import Path

from figures.options import add_record_arguments
from mechanisms.command_line.framework import add_json_argument, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="(all, if none is named)")
    out = Path("docs/gallery.md")
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help="pictures go beside it (%(default)s)")
    add_record_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the page and its pictures, and prints a row for each figure."""
    from figures.gallery_page import Gallery

    gallery = Gallery(options.out, options.runs)
    rows = gallery.write(options.names, jobs=options.jobs, run_missing=options.run_missing)
    print_rows(rows, options.json)
