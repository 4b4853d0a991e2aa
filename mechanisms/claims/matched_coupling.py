"""H23 to H29: the papers' main claims judged at equal training loss, and whether one number stands for all strengths.

H27 to H29 came after the records on digits and before those on photographs: what they say was found on digits.
"""

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
OVER_MEAN = "error by the mean of the others minus error by Λ"
WITHIN = "error of the dead share of a left-out setting by Λ, within {}"
BY_LOWEST = "error of the dead share of a left-out setting by Λ of the lowest tenth of denominators, within adam"
LOWEST_GAIN = "error by Λ of the median minus error by Λ of the lowest tenth, within adam"


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
    return found | _one_number(runs)


def _one_number(runs: pd.DataFrame) -> dict[str, Estimate]:
    """How far off the dead share of a left-out setting is: over everything, and within families that should share a curve."""
    adam = runs["spec.rule"] == "adam"
    errors = {by: left_out_errors(runs, by) for by in ("pull", "spec.regularizer.strength", None)}
    within, lowest = (left_out_errors(runs[adam], by) for by in ("pull", "pull_lowest"))
    beside = left_out_errors(runs[adam & (runs["spec.regularizer.coupling"] != "coupled")], "pull")
    return {
        LAMBDA_ERROR: mean_interval(errors["pull"]),
        GAIN: mean_interval(errors["spec.regularizer.strength"] - errors["pull"]),
        OVER_MEAN: mean_interval(errors[None] - errors["pull"]),
        WITHIN.format("adam decoupled and independent"): mean_interval(beside),
        WITHIN.format("sgd"): mean_interval(left_out_errors(runs[~adam], "pull")),
        BY_LOWEST: mean_interval(lowest),
        LOWEST_GAIN: mean_interval(within - lowest),
    }


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
    _claim(
        "H27",
        "Decay that the rule does not divide has one strength within a rule: its couplings share one curve in Λ.",
        "the error is above five points",
        Prediction(WITHIN.format("adam decoupled and independent"), 0, 0.05),
        Prediction(WITHIN.format("sgd"), 0, 0.05),
    ),
    _claim(
        "H28",
        "L2 under Adam shares that curve too where Λ has the denominators of the lowest tenth of filters, not their median.",
        "the error is above five points, or not smaller than by the median",
        Prediction(BY_LOWEST, 0, 0.05),
        Prediction(LOWEST_GAIN, +1, 0.05),
    ),
    _claim(
        "H29",
        "Over rules and couplings Λ predicts the dead share better than the mean of the other settings.",
        "the errors by the mean are not larger",
        Prediction(OVER_MEAN, +1, 0.05),
    ),
)
