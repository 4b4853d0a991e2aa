"""Tables on the terminal: aligned for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
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
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows[:MOST_ROWS])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if len(rows) > MOST_ROWS:
        print(f"… {len(rows) - MOST_ROWS} more rows: use --json for all")


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
