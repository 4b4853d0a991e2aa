"""The verb `pages`."""

from __future__ import annotations

from pathlib import Path

import click

from mechanisms.command_line.framework import verb
from mechanisms.command_line.options import runs_option
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError

PAGE = click.Path(exists=True, dir_okay=False, path_type=Path)


@verb("README.md", "README.md docs/verdicts.md --check")
@click.argument("pages", nargs=-1, required=True, metavar="PAGE.md...", type=PAGE)
@click.option("--check", is_flag=True, help="Write nothing; exit with 2 where a page and the records differ.")
@runs_option
def command(pages: tuple[Path, ...], check: bool, runs: Path) -> None:
    """Write the tables and numbers of Markdown pages from records; the marks that say which are in CONTRIBUTING.md."""
    from mechanisms.pages.answers import Answers
    from mechanisms.pages.marks import asked, filled, stale

    answers = Answers(runs)
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    current = {page: filled(text, answers.block, answers.number) for page, text in texts.items()}
    old = {page: stale(texts[page], text) for page, text in current.items()}
    if check and any(old.values()):
        page, marks = next((page, marks) for page, marks in old.items() if marks)
        raise UserError(f"{page} is not what the records say at {marks[0]!r}: run `python -m mechanisms pages {page}`")
    for page, text in current.items():
        if old[page]:
            write_whole(page, text.encode(), "choose a folder that can be written")
        say(f"{page}: {len(asked(text))} marks, {len(old[page])} written")
