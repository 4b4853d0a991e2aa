"""The gallery page: every figure with its caption, the commands behind it and where its records come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.catalogue import Entry, names
from figures.style import save, styled
from mechanisms.records.loading import MissingRecords
from mechanisms.system.files import write_whole

PICTURES = "pictures"
HEAD = """# Gallery

Every figure with what it shows, the command that draws it, and where its records come from. `python -m figures gallery`
writes this page; `python -m figures draw NAME --format svg|pdf|png --width INCHES` draws one, with all of its
provenance beside it; equal records give equal bytes. Records of networks that are not made here are those that come
with the package (`full_scale/reference`).
"""


class Gallery:
    """The page at `out` and the pictures in the folder beside it."""

    def __init__(self, out: Path, runs: Path) -> None:
        self.out = out
        self.runs = runs

    def write(self, chosen: Sequence[str] = (), **making: Any) -> list[dict[str, str]]:
        """Draws what has its records, of the chosen figures or of all, and writes the page; a row for each figure.

        `making` is as `Entry.prepare` takes it.
        """
        parts = [HEAD]
        rows = []
        lacking = []
        for name in chosen or names():
            entry = Entry(name)
            try:
                entry.prepare(self.runs, **making)
            except MissingRecords:
                lacking.append(f"* **{entry.title}** `{name}` needs {_listed(entry.commands)}")
                rows.append({"figure": name, "file": "left out: records are missing"})
                continue
            picture = self.out.parent / PICTURES / f"{name}.svg"
            self._draw(entry, picture)
            parts.append(self._entry(entry))
            rows.append({"figure": name, "file": str(picture)})
        if lacking:
            parts.append("\n".join(["## Figures without records here\n", *lacking]) + "\n")
        write_whole(self.out, "\n".join(parts).encode(), "choose another file with --out FILE")
        return rows

    def _draw(self, entry: Entry, picture: Path) -> None:
        with styled():
            figure = entry.draw(self.runs)
            save(figure, picture)
            plt.close(figure)

    def _entry(self, entry: Entry) -> str:
        heading = entry.title.rstrip(".")
        text = entry.caption(self.runs).partition("\n")[2].strip()
        lines = [f"## {heading}\n", f"![{heading}]({PICTURES}/{entry.name}.svg)\n", f"{text}\n"]
        lines.append(f"Draw it: `python -m figures draw {entry.name}`. Its records: {_listed(entry.commands)}.\n")
        return "\n".join([*lines, f"{self._provenance(entry)}\n"])

    def _provenance(self, entry: Entry) -> str:
        """How many records, by which code."""
        found = entry.record_sources(self.runs)
        records = [source for source in found if "spec_id" in source]
        by_code = Counter("no checkout" if r["git"] is None else r["git"]["commit"][:7] for r in records)
        told = [f"{count} records made at {code}" for code, count in sorted(by_code.items())]
        told += [f"a table with SHA-256 {source['sha256'][:12]}…" for source in found if "spec_id" not in source]
        return f"Provenance: {', '.join(told)}."


def _listed(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
