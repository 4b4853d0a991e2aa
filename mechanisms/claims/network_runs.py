"""What the hypotheses about networks share: which runs, how sparse at their ends, and how an entry is written."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from mechanisms.claims.hypothesis import Finding, Hypothesis
from mechanisms.measures.sparsity import inactive
from mechanisms.records.columns import distinguishing
from mechanisms.records.loading import Need

Judge = Callable[..., tuple[Finding, ...]]
PAPERS = "Mehta, Kim and Theobalt 2019"
NOT_TRAINED = 0.75
FOUR = (Need("full_scale", "optimizers"), Need("full_scale", "optimizers", table="curve"))


def ends(features: pd.DataFrame, by: str = "activation") -> pd.DataFrame:
    """One row a run: its spec columns, seed, and the sparsity at its end."""
    last = features[features["step"] == features["spec.steps"]]
    keys = [c for c in last.columns if c.startswith("spec.") or c == "seed"]
    return last.assign(sparsity=inactive(last, by).astype(float)).groupby(keys, dropna=False)["sparsity"].mean().reset_index()


def not_trained(curve: pd.DataFrame) -> list[str]:
    """Name the settings and seeds of trainings that learned next to nothing: their dead filters say nothing of a law.

    That is, whose training error at the end is more than `NOT_TRAINED` of that at the start. `curve` is the table of that name.
    """
    fields = [str(c) for c in curve if str(c).startswith("spec.")]
    errors = curve.sort_values("step").groupby([*fields, "seed"], dropna=False, sort=False)["train_error"].agg(["first", "last"])
    ends = errors.reset_index()
    failed = ends["last"] > NOT_TRAINED * ends["first"]
    return [f"{name}, seed {seed}" for name, seed in zip(named(ends)[failed], ends["seed"][failed], strict=True)]


def named(runs: pd.DataFrame) -> pd.Series:
    """Name the setting of each row by the fields of its spec that differ among the rows, such as "rule=adam, decayed=norm"."""
    fields = distinguishing([str(c) for c in runs if str(c).startswith("spec.")], runs)

    def name(row: pd.Series) -> str:
        return ", ".join(f"{field.removeprefix('spec.')}={row[field]}" for field in fields if not pd.isna(row[field]))

    return runs.apply(name, axis=1)


def setting(table: pd.DataFrame, rule: str, coupling: str, decayed: bool = True) -> pd.DataFrame:
    """The rows of one rule and coupling, with or without a regularizer."""
    chosen = (table["spec.rule"] == rule) & ((table["spec.regularizer.strength"] > 0) == decayed)
    return table[chosen & ((table["spec.regularizer.coupling"] == coupling) | (not decayed))]


def claim(
    name: str, statement: str, refuted_if: str, needs: tuple[Need, ...], judge: Callable[..., tuple[Finding, ...]]
) -> Hypothesis:
    """An entry about a claim of the papers."""
    return Hypothesis(name, statement, PAPERS, refuted_if, needs, judge)


def features_of(experiment: str) -> tuple[Need, ...]:
    """The features tables of an experiment."""
    return (Need("full_scale", experiment),)
