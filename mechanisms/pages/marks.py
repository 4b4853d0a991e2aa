"""Find the marks in a Markdown page and fill in what they ask for.

A mark is an HTML comment, which no reader sees. A block, on lines of its own, holds a table:

    <!-- records: verdicts H1 H2a preset=short -->
    …
    <!-- end of records -->

A number stands within a sentence: `<!--=H23#1 as points-->27 points [26, 29]<!--/-->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mechanisms.validation import UserError

BLOCK = re.compile(r"^<!-- records: (?P<asked>.*?) -->\n(?P<held>.*?)^<!-- end of records -->$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"<!--=(?P<asked>.*?)-->(?P<held>.*?)<!--/-->", re.DOTALL)
OPENING = re.compile(r"^<!-- records: .*|<!--=.*?-->", re.MULTILINE)

Answer = Callable[[str], str]
"""From what a mark asks to the text that stands there."""


def filled(page: str, block: Answer, number: Answer) -> str:
    """Return a page with the text of every mark replaced by its answer.

    Raises:
        UserError: a mark is not closed.
    """
    _require_closed(page)
    page = BLOCK.sub(lambda mark: _block(mark["asked"], block), page)
    return NUMBER.sub(lambda mark: f"<!--={mark['asked']}-->{number(mark['asked'])}<!--/-->", page)


def asked(page: str) -> list[str]:
    """List what the marks of a page ask for."""
    return [mark["asked"] for kind in (BLOCK, NUMBER) for mark in kind.finditer(page)]


def stale(page: str, current: str) -> list[str]:
    """List the marks whose text in the page is not that of the current page."""
    pairs = [(old, new) for kind in (BLOCK, NUMBER) for old, new in zip(kind.finditer(page), kind.finditer(current), strict=True)]
    return [old["asked"] for old, new in pairs if old["held"] != new["held"]]


def _block(asked: str, answer: Answer) -> str:
    return f"<!-- records: {asked} -->\n{answer(asked).rstrip()}\n<!-- end of records -->"


def _require_closed(page: str) -> None:
    opened, closed = len(OPENING.findall(page)), len(asked(page))
    if opened != closed:
        ends = "end a table by <!-- end of records -->, a number by <!--/-->"
        raise UserError(f"{opened} marks are opened and {closed} closed: {ends}")
