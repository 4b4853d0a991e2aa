"""Tables on the terminal: aligned for people within the width of the terminal, JSON for programs."""

from __future__ import annotations

import itertools
import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
GAP = 2
LEAST = 16
"""A column of texts is not made narrower."""
LONGEST_LINE = 8000


def print_table(table: pd.DataFrame, as_json: bool) -> None:
    """Prints a table for people, or as JSON; at most `MOST_ROWS` rows for people."""
    print_rows(json.loads(table.to_json(orient="records", double_precision=15)), as_json)


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Prints rows of plain values as an aligned table, or as JSON."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not rows:
        return
    columns = [[name, *(_cell(row.get(name)) for row in rows[:MOST_ROWS])] for name in names]
    print(*_tables(columns, shutil.get_terminal_size().columns), sep="\n")
    if len(rows) > MOST_ROWS:
        print(f"… {len(rows) - MOST_ROWS} more rows: use --json for all")


def _tables(columns: list[list[str]], room: int) -> Iterator[str]:
    """The lines of a table, each at most `room` wide where words allow it.

    Texts are wrapped between words. What is too wide even so is a field a line for one row, else several tables of numbered rows.
    """
    least = [_least_width(column) for column in columns]
    if sum(least) + GAP * (len(least) - 1) <= room:
        yield from _lines(columns, room)
    elif len(columns[0]) == 2:
        width = max(len(name) for name, _ in columns)
        yield from (f"{name:{width}}  {value}" for name, value in columns)
    else:
        numbers, groups, left = ["#", *map(str, range(1, len(columns[0])))], [], -1
        for column, width in zip(columns, least, strict=True):
            left -= GAP + width
            if left < 0:
                groups.append([numbers])
                left = room - len(numbers[-1]) - GAP - width
            groups[-1].append(column)
        for number, group in enumerate(groups):
            yield from [""] * (number > 0)
            yield from _lines(group, room)


def _lines(columns: list[list[str]], room: int) -> Iterator[str]:
    widths = [max(map(len, column)) for column in columns]
    least = [_least_width(column) for column in columns]
    while sum(widths) + GAP * (len(widths) - 1) > room and widths != least:
        widths[max(range(len(widths)), key=lambda i: (widths[i] > least[i], widths[i]))] -= 1
    for row in zip(*columns, strict=True):
        parts = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in itertools.zip_longest(*parts, fillvalue=""):
            yield (" " * GAP).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _least_width(column: list[str]) -> int:
    """How narrow a column may become: as its longest word, and no narrower than `LEAST` where it is that wide."""
    word = max((len(word) for cell in column for word in cell.split()), default=0)
    return max(word, min(LEAST, max(map(len, column))))


def _wrapped(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def in_one_line(text: str) -> str:
    r"""A text as one line of at most `LONGEST_LINE` characters, whatever it holds: control characters are written out.

    >>> print(in_one_line("a\nb"))
    a\nb
    """
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} … {text[-LONGEST_LINE // 2 :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def in_one_text(value: Any) -> str:
    """A value of a spec as a text; several in one field are told apart by semicolons."""
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else in_one_line(str(value))
