"""The report: what this toolkit knows, and how sure it is, as one HTML page without anything to fetch."""

from __future__ import annotations

import base64
import functools
import io
import math
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from jinja2 import Environment, PackageLoader, StrictUndefined

from figures.catalogue import Entry, names
from figures.records_table import experiments
from figures.style import styled, write
from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import REFUTED, SUPPORTED, UNDECIDED
from mechanisms.pages.evidence import MISSING, Evidence, Judged
from mechanisms.records.loading import Need, missing
from mechanisms.records.provenance import provenance
from mechanisms.sweeps.making import make
from mechanisms.system.context import HERE, RunContext

VERDICTS = (SUPPORTED, REFUTED, UNDECIDED, MISSING)


class Report:
    """Everything that the page shows, from the records under one folder."""

    def __init__(self, runs: Path, jobs: int = 1, context: RunContext = HERE) -> None:
        self.runs = runs
        self.jobs = jobs
        self.context = context
        self.evidence = Evidence(runs)

    def make(self, *, run_missing: bool) -> None:
        """Makes missing records: those of the toy layer, and with `run_missing` those of networks too."""
        needs = [need for name in names() for need in Entry(name).needs]
        needs += [need for hypothesis in all_hypotheses().values() for need in hypothesis.needs]
        for need in dict.fromkeys(needs):
            if need.layer == "toy" or (run_missing and missing(need, self.runs)):
                make(need, self.runs, self.jobs, self.context)

    @functools.cached_property
    def chapters(self) -> list[tuple[str, list[Judged]]]:
        """Title → verdicts."""
        return list(self.evidence.chapters())

    @functools.cached_property
    def pictures(self) -> list[dict[str, Any]]:
        """One entry a figure, with its picture or the commands that make its records."""
        return [self._picture(Entry(name)) for name in names()]

    def _picture(self, figure: Entry) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": figure.name, "title": figure.title, "commands": figure.commands, "image": None}
        if any(missing(need, self.runs) for need in figure.needs):
            return {**entry, "caption": ""}
        picture = io.BytesIO()
        with styled():
            drawn = figure.draw(self.runs)
            write(drawn, picture, "svg")
            plt.close(drawn)
        image = "data:image/svg+xml;base64," + base64.b64encode(picture.getvalue()).decode()
        return {**entry, "image": image, "caption": figure.caption(self.runs).partition("\n")[2].strip()}

    def counts(self) -> dict[str, int]:
        """How many verdicts of each kind, and figures."""
        found = Counter(judged.verdict for _, chapter in self.chapters for judged in chapter)
        figures = sum(picture["image"] is not None for picture in self.pictures)
        return {**{verdict: found[verdict] for verdict in VERDICTS}, "figures": figures}

    def lacking(self) -> list[str]:
        """The commands that make what is missing, each once."""
        of_verdicts = [command for _, chapter in self.chapters for judged in chapter for command in judged.commands]
        of_figures = [need.command for name in names() for need in Entry(name).needs if missing(need, self.runs)]
        return sorted(set(of_verdicts + of_figures))

    def needs(self) -> list[Need]:
        """What the verdicts and figures that are shown rest on."""
        shown = [judged.hypothesis for _, chapter in self.chapters for judged in chapter if judged.findings]
        of_verdicts = [need for hypothesis in shown for need in hypothesis.needs]
        of_figures = [n for picture in self.pictures if picture["image"] for n in Entry(picture["name"]).needs]
        return [*of_verdicts, *of_figures]

    def html(self) -> str:
        """The page."""
        templates = Environment(
            loader=PackageLoader("figures"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        templates.filters["number"] = number
        return templates.get_template("report.html").render(
            chapters=self.chapters,
            pictures=self.pictures,
            counts=self.counts(),
            verdicts=VERDICTS,
            lacking=self.lacking(),
            experiments=experiments(self.needs(), self.runs),
            provenance=provenance(),
        )


def number(value: float) -> str:
    """A number for people; a dash where an interval has no bound.

    >>> number(0.123456), number(1e-9), number(math.inf)
    ('0.1235', '1e-09', '–')
    """
    return f"{value:.4g}" if math.isfinite(value) and abs(value) < 1e300 else "–"
