"""What the hypotheses come to on the records at hand: a row for each verdict and each finding, and what is missing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import UNDECIDED, Finding, Hypothesis, adjusted, at_size, overall
from mechanisms.claims.preregistration import status
from mechanisms.records.loading import Need, load, missing

if TYPE_CHECKING:
    import pandas as pd

MISSING = "not run"
SIZES = {"demo": "Small networks on digits", "short": "Small networks on photographs"}
"""Preset of the networks' experiments that the report judges → its title."""


@dataclass(frozen=True)
class Judged:
    """A hypothesis with what was found; `commands` make the records that are missing.

    `made` says whether it was predicted before them. `chances` are the findings' p, adjusted for all findings of the chapter.
    """

    hypothesis: Hypothesis
    verdict: str
    why: str = ""
    findings: tuple[Finding, ...] = ()
    commands: tuple[str, ...] = ()
    made: str = ""
    chances: tuple[float | None, ...] = ()


class Evidence:
    """The records under one folder, each table read once."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.tables: dict[Need, pd.DataFrame] = {}

    def table(self, need: Need) -> pd.DataFrame:
        """The table of a need, with the spec and what the manifest says of a run spread into columns."""
        if need not in self.tables:
            self.tables[need] = load(need, self.runs)
        return self.tables[need]

    def judge(self, hypothesis: Hypothesis) -> Judged:
        """A hypothesis by the records that are there, none is made."""
        lacking = tuple(dict.fromkeys(need.command for need in hypothesis.needs if missing(need, self.runs)))
        if lacking:
            return Judged(hypothesis, MISSING, "its records are missing", commands=lacking)
        findings = hypothesis.judge(*(self.table(need) for need in hypothesis.needs))
        verdict, why = overall(findings)
        made = status(hypothesis, self.runs)
        return Judged(hypothesis, verdict, why if verdict == UNDECIDED else "", findings, made=made)

    def chapters(self) -> Iterator[tuple[str, list[Judged]]]:
        """Title → verdicts: those of the toy layer, then those of networks at each size."""
        known = all_hypotheses().values()
        yield "The toy layer: predictions of the theory", _read_together([self.judge(h) for h in known if h.layer == "toy"])
        for preset, title in SIZES.items():
            yield title, _read_together([self.judge(at_size(h, preset)) for h in known if h.layer != "toy"])


def _read_together(chapter: list[Judged]) -> list[Judged]:
    chances = iter(adjusted([finding.p for judged in chapter for finding in judged.findings]))
    return [replace(judged, chances=tuple(itertools.islice(chances, len(judged.findings)))) for judged in chapter]
