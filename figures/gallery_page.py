"""The gallery page: every figure with its caption, the commands behind it and where its records come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt

from figures.catalogue import caption, commands, drawn, make_ready, module_of, names, record_sources, title
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
        self.out, self.runs = out, runs

    def write(self, chosen: Sequence[str] = (), *, jobs: int, run_missing: bool) -> list[dict[str, str]]:
        """Draws what has its records, of the chosen figures or of all, and writes the page; a row for each figure."""
        parts, rows, lacking = [HEAD], [], []
        for name in chosen or names():
            module = module_of(name)
            try:
                make_ready(module, self.runs, jobs=jobs, run_missing=run_missing)
            except MissingRecords:
                lacking.append(f"* **{title(module)}** `{name}` needs {_listed(commands(module))}")
                rows.append({"figure": name, "file": "left out: records are missing"})
                continue
            picture = self.out.parent / PICTURES / f"{name}.svg"
            self._draw(module, picture)
            parts.append(self._entry(name, module))
            rows.append({"figure": name, "file": str(picture)})
        if lacking:
            parts.append("\n".join(["## Figures without records here\n", *lacking]) + "\n")
        write_whole(self.out, "\n".join(parts).encode(), "choose another file with --out FILE")
        return rows

    def _draw(self, module: ModuleType, picture: Path) -> None:
        with styled():
            figure = drawn(module, self.runs)
            save(figure, picture)
            plt.close(figure)

    def _entry(self, name: str, module: ModuleType) -> str:
        heading = title(module).rstrip(".")
        text = caption(module, self.runs).partition("\n")[2].strip()
        lines = [f"## {heading}\n", f"![{heading}]({PICTURES}/{name}.svg)\n", f"{text}\n"]
        lines.append(f"Draw it: `python -m figures draw {name}`. Its records: {_listed(commands(module))}.\n")
        return "\n".join([*lines, f"{self._provenance(module)}\n"])

    def _provenance(self, module: ModuleType) -> str:
        """How many records, by which code."""
        found = record_sources(module, self.runs)
        records = [source for source in found if "spec_id" in source]
        by_code = Counter("no checkout" if r["git"] is None else r["git"]["commit"][:7] for r in records)
        told = [f"{count} records made at {code}" for code, count in sorted(by_code.items())]
        told += [f"a table with SHA-256 {source['sha256'][:12]}…" for source in found if "spec_id" not in source]
        return f"Provenance: {', '.join(told)}."


def _listed(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
