"""H23 to H26: the papers' main claims judged at equal training loss, and whether one number stands for all strengths."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mechanisms.claims.hypothesis import Hypothesis, Prediction, compared
from mechanisms.measures.matched_loss import distance_at_equal_loss, ends_with_loss, left_out_errors
from mechanisms.measures.statistics import Estimate, mean_interval
from mechanisms.records.loading import Need

NEEDS = (
    Need("full_scale", "matched_coupling", seeds=5),
    Need("full_scale", "matched_coupling", seeds=5, table="curve"),
)
SOURCE = "an independent review of the claims at equal λ"
EQUAL = "dead share at equal training loss"
LAMBDA_ERROR = "error of the dead share of a left-out setting by Λ"
GAIN = "error by nominal λ minus error by Λ"


def measured(features: pd.DataFrame, curve: pd.DataFrame) -> Mapping[str, Estimate]:
    """All quantities of these hypotheses."""
    ends = ends_with_loss(features, curve)
    runs = ends[ends["spec.regularizer.strength"] > 0]

    def family(rule: str, coupling: str) -> pd.DataFrame:
        return runs[(runs["spec.rule"] == rule) & (runs["spec.regularizer.coupling"] == coupling)]

    coupled = family("adam", "coupled")
    rivals = (("sgd", "coupled"), ("adam", "decoupled"), ("adam", "independent"))
    found = {
        f"{EQUAL}: adam coupled minus {rule} {coupling}": distance_at_equal_loss(coupled, family(rule, coupling))
        for rule, coupling in rivals
    }
    decoupled = distance_at_equal_loss(family("adam", "decoupled"), family("sgd", "decoupled"))
    found[f"{EQUAL}: adam decoupled minus sgd decoupled"] = decoupled
    by_pull, by_strength = left_out_errors(runs, "pull"), left_out_errors(runs, "spec.regularizer.strength")
    return found | {LAMBDA_ERROR: mean_interval(by_pull), GAIN: mean_interval(by_strength - by_pull)}


def _claim(name: str, statement: str, refuted_if: str, *predictions: Prediction) -> Hypothesis:
    return Hypothesis(name, statement, SOURCE, refuted_if, NEEDS, compared(predictions, measured), predictions)


HYPOTHESES = (
    _claim(
        "H23",
        "At equal training loss Adam leaves more filters dead than SGD, under L2 and under decoupled decay.",
        "the difference is below 0.1",
        Prediction(f"{EQUAL}: adam coupled minus sgd coupled", +1, 0.1),
        Prediction(f"{EQUAL}: adam decoupled minus sgd decoupled", +1, 0.1),
    ),
    _claim(
        "H24",
        "At equal training loss L2 leaves a few more filters dead under Adam than decoupled decay: 5 to 15 points, not 30.",
        "the difference is outside of 0 to 0.2",
        Prediction(f"{EQUAL}: adam coupled minus adam decoupled", 0, 0.1, 0.1),
        Prediction(f"{EQUAL}: adam coupled minus adam independent", 0, 0.1, 0.1),
    ),
    _claim(
        "H25",
        "One number stands for strength: by Λ = Σ η_t·λ_eff/D the dead share of a setting follows from those of all others.",
        "the error is above ten points",
        Prediction(LAMBDA_ERROR, 0, 0.05, 0.05),
    ),
    _claim(
        "H26",
        "Λ predicts the dead share better than nominal λ.",
        "the errors by nominal λ are not larger",
        Prediction(GAIN, +1, 0.05),
    ),
)
