"""Two claims for a small report: one about a record that can be made at once, one whose records are not there."""

from __future__ import annotations

from typing import Any

from mechanisms.claims.hypothesis import Finding, Hypothesis, expect_value
from mechanisms.measures.statistics import mean_interval
from mechanisms.records.loading import Need

HERE = Need("toy", "single", ("steps=30", "features=4"), seeds=3)
ABSENT = Need("full_scale", "width", ("preset=paper",), seeds=2)
STATEMENT = "A claim with <b>markup</b> in it."


def judge(table: Any) -> tuple[Finding, ...]:
    """The mean size of all scales, which is near 1, against an expectation of 5."""
    return (expect_value("mean size", mean_interval(table.groupby("seed")["scale"].mean()), 5.0, 0.1),)


def claim(name: str, need: Need) -> Hypothesis:
    """A hypothesis about the records of a need."""
    return Hypothesis(name, STATEMENT, "a test", "it is not so", (need,), judge)
