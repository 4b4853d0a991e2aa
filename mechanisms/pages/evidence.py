"""What the hypotheses come to on the records at hand: a row for each verdict and each finding, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import UNDECIDED, Finding, Hypothesis, overall
from mechanisms.commands.verdict import at_size
from mechanisms.records.loading import Need, load, missing

if TYPE_CHECKING:
    import pandas as pd

MISSING = "not run"
SIZES = {"demo": "Small networks on digits", "short": "Small networks on photographs"}
"""Preset of the networks' experiments that the report judges → its title."""


@dataclass(frozen=True)
class Judged:
    """A hypothesis with what was found; `commands` make the records that are missing."""

    hypothesis: Hypothesis
    verdict: str
    why: str = ""
    findings: tuple[Finding, ...] = ()
    commands: tuple[str, ...] = ()


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
        return Judged(hypothesis, verdict, why if verdict == UNDECIDED else "", findings)

    def chapters(self) -> Iterator[tuple[str, list[Judged]]]:
        """Title → verdicts: those of the toy layer, then those of networks at each size."""
        known = all_hypotheses().values()
        yield "The toy layer: predictions of the theory", [self.judge(h) for h in known if h.layer == "toy"]
        for preset, title in SIZES.items():
            yield title, [self.judge(at_size(h, preset)) for h in known if h.layer != "toy"]
