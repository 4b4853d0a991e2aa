"""H8, H9, H11, H12, H31: what early measurements on a network say about the filters that will die."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mechanisms.claims.hypothesis import Finding, Hypothesis, expect_sign
from mechanisms.claims.network_runs import FOUR, Judge, claim, setting
from mechanisms.measures.death_prediction import given
from mechanisms.measures.sparsity import inactive
from mechanisms.measures.statistics import auc_within, mean_interval, paired_difference, rank_correlation
from mechanisms.records.loading import Need

EARLY = 0.1
"""Early measurements are those nearest to this fraction of the run."""


LATER = (0.2, 0.3)
"""Fractions of the run at which selectivity is asked about beside the size of the scale, after H22 did at a tenth."""


def early(features: pd.DataFrame, at: float = EARLY) -> pd.DataFrame:
    """Features of the measured step nearest to this fraction of each run that are alive there, with `dies`: dead at the end."""
    steps = features["step"].unique()
    moment = steps[np.abs(steps - at * features["spec.steps"].iloc[0]).argmin()]
    keys = ["seed", "layer", "feature"]
    last = features[features["step"] == features["spec.steps"]]
    fate = last[keys].assign(dies=inactive(last).to_numpy())
    now = features[features["step"] == moment]
    alive: pd.DataFrame = now[~inactive(now)]
    return alive.merge(fate, on=keys)


def _predicts(score: Callable[[pd.DataFrame], pd.Series], name: str) -> Judge:
    def judge(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
        alive = early(setting(features, "adam", "coupled"))
        found = [auc_within(score(one), one["dies"], one["layer"]) - 0.5 for _, one in alive.groupby("seed")]
        return (expect_sign(f"AUC within layer of {name} at {EARLY:.0%} of training, minus ½", mean_interval(found), +1, 0.1),)

    return judge


def _disproportionate(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    alive = early(setting(features, "adam", "coupled"))
    share = -alive["reg_force"] / (alive["scale"] - alive["loss_force"] - alive["reg_force"])
    found = [
        rank_correlation(one["selectivity"], share[one.index])
        for _, one in alive.groupby("seed")
    ]  # fmt: skip
    quantity = f"rank correlation of selectivity and effective decay at {EARLY:.0%} of training"
    return (expect_sign(quantity, mean_interval(found), +1, 0.1),)


def _more_selective(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    means = [
        early(setting(features, rule, "coupled", decayed)).groupby("seed")["selectivity"].mean()
        for rule, decayed in (("adam", False), ("sgd", True))
    ]
    quantity = f"mean selectivity at {EARLY:.0%} of training, adam without regularizer minus sgd"
    return (expect_sign(quantity, paired_difference(*means), +1, 0.02),)


def _given_scale(features: pd.DataFrame) -> tuple[Finding, ...]:
    """The AUC of selectivity, given the size of the scale, at each moment: of each seed the mean over the settings."""
    settings = [one for _, one in features.groupby(["spec.batch_size", "spec.steps"])]
    return tuple(
        expect_sign(
            f"AUC within layer of selectivity given size of the scale at {at:.0%} of training, minus ½",
            mean_interval(pd.concat([_beside_scale(early(one, at)) for one in settings]).groupby(level=0).mean() - 0.5),
            +1,
            0.05,
        )
        for at in LATER
    )


def _beside_scale(alive: pd.DataFrame) -> pd.Series:
    """Seed → AUC within layers of what the ranks of |γ| leave of those of the selectivity."""

    def left(one: pd.DataFrame) -> float:
        layers = one["layer"].to_numpy()
        partial = given(one["selectivity"].to_numpy(float), -one["scale"].abs().to_numpy(float), layers)
        return auc_within(partial, one["dies"], layers)

    return pd.Series({seed: left(one.reset_index(drop=True)) for seed, one in alive.groupby("seed")}).dropna()


HYPOTHESES = (
    Hypothesis(
        "H31",
        "Later in training selectivity tells which filters die beyond what the size of the scale tells.",
        "an independent review: records on photographs show it at 30 %",
        "the AUC given the scale is below 0.55",
        (Need("full_scale", "batch_size"),),
        _given_scale,
    ),
    claim(
        "H8",
        "Selective features get disproportionate regularization.",
        "effective decay does not rise with selectivity",
        FOUR,
        _disproportionate,
    ),
    claim("H9", "Adam learns more selective features than SGD.", "the mean selectivity is not higher", FOUR, _more_selective),
    claim(
        "H11a",
        "Early |scale| predicts which filters die.",
        "the AUC is below 0.6",
        FOUR,
        _predicts(lambda t: -t["scale"].abs(), "small |scale|"),
    ),
    claim(
        "H11b",
        "Early selectivity predicts which filters die.",
        "the AUC is below 0.6",
        FOUR,
        _predicts(lambda t: t["selectivity"], "selectivity"),
    ),
    claim(
        "H12",
        "Early denominators predict which filters die: L2 hits small gradients hardest (P2 on a network).",
        "the AUC is below 0.6",
        FOUR,
        _predicts(lambda t: -t["denominator"], "small denominator"),
    ),
)
