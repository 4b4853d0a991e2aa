"""What figures of the toy layer ask the closed forms for: a row of a table, turned back into a rule and a regularizer."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import choices, field_types
from mechanisms.theory.feature import selective_equilibrium


def one(table: pd.DataFrame, name: str) -> float:
    """A field of the spec that all rows share."""
    return float(table[f"spec.{name}"].iloc[0])


def rule_of(setting: pd.Series) -> AbstractUpdateRule:
    """The update rule of a row."""
    kind: Any = choices(AbstractUpdateRule)[setting["spec.rule"]]
    rule: AbstractUpdateRule = kind(**{name: setting[f"spec.rule.{name}"] for name in field_types(kind)})
    return rule


def regularizer_of(setting: pd.Series) -> L2:
    """The L2 of a row."""
    return L2(strength=float(setting["spec.regularizer.strength"]), coupling=setting["spec.regularizer.coupling"])


def settles(setting: pd.Series, p: float, factors: int) -> float:
    """Where the feature of a row settles if a fraction p of the exemplars use it: one parameter, or a product of two."""
    model = {name: float(setting[f"spec.gradient.{name}"]) for name in ("batch_size", "curvature", "noise", "target")}
    rate = float(setting["spec.learning_rate"])
    return selective_equilibrium(rule_of(setting), regularizer_of(setting), learning_rate=rate, p=p, factors=factors, **model)


def replicates(table: pd.DataFrame) -> int:
    """Independent features × seeds behind each setting."""
    return int(table.groupby("seed")["feature"].nunique().sum())
