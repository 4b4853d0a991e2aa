"""Write the tables and numbers of Markdown pages from records, or check that they are current."""

from __future__ import annotations

import argparse
from pathlib import Path

from mechanisms.command_line.framework import add_runs_argument
from mechanisms.pages.answers import Answers
from mechanisms.pages.marks import asked, filled, stale
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE.md", help="Markdown with marks (CONTRIBUTING.md says how)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 2 where a page and the records differ")
    add_runs_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Fills in the marks of every page; all are answered before the first is written."""
    answers = Answers(options.runs)
    pages = {page: page.read_text(encoding="utf-8") for page in options.pages}
    current = {page: filled(text, answers.block, answers.number) for page, text in pages.items()}
    old = {page: stale(pages[page], text) for page, text in current.items()}
    if options.check and any(old.values()):
        page, marks = next((page, marks) for page, marks in old.items() if marks)
        raise UserError(f"{page} is not what the records say at {marks[0]!r}: run `python -m mechanisms pages {page}`")
    for page, text in current.items():
        if old[page]:
            write_whole(page, text.encode(), "choose a folder that can be written")
        say(f"{page}: {len(asked(text))} marks, {len(old[page])} {'written' if old[page] else 'changed'}")
