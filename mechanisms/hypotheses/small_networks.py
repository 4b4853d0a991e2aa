"""H1 …: the papers' claims about networks, on small CNNs and real digits (`full_scale` experiments `digits…`).

A verdict here is one about an 8 × 8 data set and a network of width 1/4; the same entries read records of any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mechanisms.experiments.archive import Need
from mechanisms.judgement import Finding, Hypothesis, exactly, expect_condition, expect_sign, expect_value
from mechanisms.predictions import decay_budget
from mechanisms.regularizers import L2
from mechanisms.schedules import Stepwise
from mechanisms.sparsity import inactive
from mechanisms.statistics import auc_within, mean_interval, paired_difference, rank_correlation, trend
from mechanisms.update_rules import SGD, Adam

Judge = Callable[..., tuple[Finding, ...]]
PAPERS = "Mehta, Kim and Theobalt 2019"
ENOUGH_BUDGET = 3.0
EARLY = 0.1
"""Early measurements are those nearest to this fraction of the run."""


def ends(features: pd.DataFrame, by: str = "activation") -> pd.DataFrame:
    """One row a run: its spec columns, seed, and the sparsity at its end."""
    last = features[features["step"] == features["spec.steps"]]
    keys = [c for c in last.columns if c.startswith("spec.") or c == "seed"]
    return last.assign(sparsity=inactive(last, by).astype(float)).groupby(keys, dropna=False)["sparsity"].mean().reset_index()


def setting(table: pd.DataFrame, rule: str, coupling: str, decayed: bool = True) -> pd.DataFrame:
    """The rows of one rule and coupling, with or without a regularizer."""
    chosen = (table["spec.rule"] == rule) & ((table["spec.regularizer.strength"] > 0) == decayed)
    return table[chosen & ((table["spec.regularizer.coupling"] == coupling) | (not decayed))]


def _by_seed(table: pd.DataFrame, column: str) -> pd.Series:
    return table.set_index("seed")[column]


def _more_than(rule: str, coupling: str) -> Judge:
    """Coupled Adam minus another regularized setting, at matched test error and with enough decay budget for the other."""

    def judge(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
        runs, last = ends(features), curve[curve["step"] == curve["spec.steps"]]
        gap = paired_difference(
            _by_seed(setting(runs, "adam", "coupled"), "sparsity"), _by_seed(setting(runs, rule, coupling), "sparsity")
        )
        errors = [_by_seed(setting(last, *s), "test_error") for s in (("adam", "coupled"), (rule, coupling))]
        conditions = (
            expect_condition("difference of test errors", paired_difference(*errors), -0.02, 0.02, "test errors do not match"),
            _budget(setting(features, rule, coupling)),
        )
        found = expect_sign(f"sparsity, adam coupled minus {rule} {coupling}", gap, +1, 0.1)
        return found, *(c for c in conditions if c is not None)

    return judge


def _budget(features: pd.DataFrame) -> Finding | None:
    """The decay that the compared setting had time for; coupled Adam, whose denominator decides, is never the compared one."""
    one = features.iloc[0]
    rule = SGD(momentum=one["spec.rule.momentum"]) if one["spec.rule"] == "sgd" else Adam()
    law = L2(strength=one["spec.regularizer.strength"], coupling=one["spec.regularizer.coupling"])
    steps = Stepwise(factor=one["spec.schedule.factor"]).effective_steps(int(one["spec.steps"]))
    budget = exactly(decay_budget(rule, law, learning_rate=one["spec.learning_rate"], effective_steps=steps))
    quantity = f"decay budget of {rule.name} {law.coupling}"
    return expect_condition(quantity, budget, ENOUGH_BUDGET, np.inf, "the run is too short for this decay to show")


def _none_without(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    runs = setting(ends(features), "adam", "coupled", decayed=False)
    return (expect_value("sparsity without a regularizer", mean_interval(runs["sparsity"]), 0.0, 0.01),)


def _trend_of(field: str, sign: int, by: str = "activation") -> Judge:
    def judge(features: pd.DataFrame) -> tuple[Finding, ...]:
        runs = ends(features, by)
        found = trend(runs[f"spec.{field}"], runs["sparsity"], runs["seed"])
        return (expect_sign(f"rank correlation of {field} and sparsity", found, sign, 0.5),)

    return judge


def _difficulty(features: pd.DataFrame) -> tuple[Finding, ...]:
    runs = ends(features)
    findings = []
    for rate, one in runs.groupby("spec.learning_rate"):
        noisy, clean = (_by_seed(one[one["spec.data.label_noise"] == noise], "sparsity") for noise in (0.2, 0.0))
        found = paired_difference(noisy, clean)
        findings.append(expect_sign(f"sparsity, 20 % wrong labels minus clean, rate {rate:g}", found, -1, 0.02))
    return tuple(findings)


def _leaky(features: pd.DataFrame) -> tuple[Finding, ...]:
    runs = ends(features, "scale")
    return tuple(
        expect_sign(f"sparsity by scale at slope {slope:g}", mean_interval(one["sparsity"]), +1, 0.05)
        for slope, one in runs.groupby("spec.network.negative_slope")
    )


def _one_factor(features: pd.DataFrame) -> tuple[Finding, ...]:
    runs = ends(features)
    whole = _by_seed(runs[runs["spec.decayed"] == "all"], "sparsity")
    return tuple(
        expect_sign(
            f"half the sparsity of 'all' minus that of {part!r}",
            paired_difference(whole / 2, _by_seed(runs[runs["spec.decayed"] == part], "sparsity")),
            +1,
        )
        for part in ("no_norm", "norm", "conv")
    )


def early(features: pd.DataFrame) -> pd.DataFrame:
    """Features of the measured step nearest to `EARLY` of each run that are alive there, with `dies`: dead at the end."""
    steps = features["step"].unique()
    moment = steps[np.abs(steps - EARLY * features["spec.steps"].iloc[0]).argmin()]
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


def _thresholds_agree(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    by = [_by_seed(setting(ends(features, criterion), "adam", "coupled"), "sparsity") for criterion in ("activation", "scale")]
    return (expect_value("sparsity by activation minus by scale", paired_difference(*by), 0.0, 0.05),)


def _zeroing(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    last = setting(curve[curve["step"] == curve["spec.steps"]], "adam", "coupled")
    change = mean_interval(last["zeroed_test_error"] - last["test_error"])
    return (expect_value("change of the test error by zeroing what is silent on the training set", change, 0.0, 0.005),)


_DIGITS = (Need("full_scale", "digits"), Need("full_scale", "digits", table="curve"))


def _claim(
    name: str, statement: str, refuted_if: str, needs: tuple[Need, ...], judge: Callable[..., tuple[Finding, ...]]
) -> Hypothesis:
    return Hypothesis(name, statement, PAPERS, refuted_if, needs, judge)


def _digits(experiment: str) -> tuple[Need, ...]:
    return (Need("full_scale", f"digits_{experiment}"),)


HYPOTHESES = (
    _claim(
        "H1",
        "Adaptive optimizers leave more filters dead than SGD under L2.",
        "the difference is below 0.1",
        _DIGITS,
        _more_than("sgd", "coupled"),
    ),
    _claim(
        "H2a",
        "Under Adam, L2 leaves more filters dead than weight decay of the same λ a step (independent, as the papers mean it).",
        "the difference is below 0.1",
        (Need("full_scale", "digits_long"), Need("full_scale", "digits_long", table="curve")),
        _more_than("adam", "independent"),
    ),
    _claim(
        "H2b",
        "Under Adam, L2 leaves more filters dead than weight decay as torch's AdamW means it (decoupled).",
        "the difference is below 0.1",
        (Need("full_scale", "digits_couplings"), Need("full_scale", "digits_couplings", table="curve")),
        _more_than("adam", "decoupled"),
    ),
    _claim("H3", "Without a regularizer no filter dies.", "more than 1 % die", _DIGITS, _none_without),
    _claim(
        "H4",
        "A stronger regularizer leaves more filters dead.",
        "sparsity does not rise with strength",
        _digits("strength"),
        _trend_of("regularizer.strength", +1),
    ),
    _claim(
        "H5a",
        "At equal steps, larger batches leave fewer filters dead.",
        "sparsity does not fall with batch size",
        _digits("batch_steps"),
        _trend_of("batch_size", -1),
    ),
    _claim(
        "H5b",
        "At equal epochs, larger batches leave fewer filters dead.",
        "sparsity does not fall with batch size",
        _digits("batch_epochs"),
        _trend_of("batch_size", -1),
    ),
    _claim(
        "H6",
        "A narrower network has a smaller share of dead filters.",
        "sparsity does not rise with width",
        _digits("width"),
        _trend_of("network.width", +1),
    ),
    _claim(
        "H7",
        "A harder task leaves fewer filters dead.",
        "sparsity does not fall with label noise, at either rate",
        _digits("difficulty"),
        _difficulty,
    ),
    _claim(
        "H8",
        "Selective features get disproportionate regularization.",
        "effective decay does not rise with selectivity",
        _DIGITS,
        _disproportionate,
    ),
    _claim("H9", "Adam learns more selective features than SGD.", "the mean selectivity is not higher", _DIGITS, _more_selective),
    _claim("H10", "Leaky ReLU does not prevent it.", "sparsity by scale is below 5 %", _digits("leaky"), _leaky),
    _claim(
        "H11a",
        "Early |scale| predicts which filters die.",
        "the AUC is below 0.6",
        _DIGITS,
        _predicts(lambda t: -t["scale"].abs(), "small |scale|"),
    ),
    _claim(
        "H11b",
        "Early selectivity predicts which filters die.",
        "the AUC is below 0.6",
        _DIGITS,
        _predicts(lambda t: t["selectivity"], "selectivity"),
    ),
    _claim(
        "H12",
        "Early denominators predict which filters die: L2 hits small gradients hardest (P2 on a network).",
        "the AUC is below 0.6",
        _DIGITS,
        _predicts(lambda t: -t["denominator"], "small denominator"),
    ),
    _claim("H13", "Sparsity by activation and by scale agree.", "they differ by more than 5 points", _DIGITS, _thresholds_agree),
    _claim(
        "H14",
        "Decaying only a part of the factors removes most of the effect.",
        "half of it remains",
        _digits("decayed"),
        _one_factor,
    ),
    _claim(
        "H15",
        "β2 is a knob: shorter memory leaves more filters dead (P5 on a network).",
        "sparsity does not fall with β2",
        _digits("memory"),
        _trend_of("rule.beta2", -1),
    ),
    _claim(
        "H16",
        "Zeroing the inactive features changes nothing.",
        "the test error moves by more than half a point",
        _DIGITS,
        _zeroing,
    ),
)
