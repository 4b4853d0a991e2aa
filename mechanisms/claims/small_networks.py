"""H1 to H7, H10, H13 to H16, H30: claims about networks, judged at the size of a preset of the `full_scale` experiments.

A verdict at the preset `demo` is about an 8 × 8 data set and a network of width 1/4; the same entries judge larger presets.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mechanisms.claims.hypothesis import Finding, Hypothesis, exactly, expect_condition, expect_sign, expect_value
from mechanisms.claims.network_runs import FOUR, Judge, claim, ends, features_of, setting
from mechanisms.measures.matched_loss import law_of
from mechanisms.measures.sparsity import causes, inactive
from mechanisms.measures.statistics import mean_interval, paired_difference, trend
from mechanisms.records.loading import Need
from mechanisms.theory.feature import decay_budget

ENOUGH_BUDGET = 3.0


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
    rule, law = law_of(one)
    steps = one["effective_steps"]
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


def _at_equal(what: str) -> Judge:
    """The trend in the batch size among the runs that make as many steps as the run that both comparisons share, or epochs."""

    def judge(features: pd.DataFrame) -> tuple[Finding, ...]:
        steps, images = features["spec.steps"], features["spec.steps"] * features["spec.batch_size"]
        same = steps if what == "steps" else images
        same = (same / same.min()).round(2)  # epochs are whole batches, so the images of equal epochs differ by less than one
        per_value = features.assign(same=same)[["same", "spec.batch_size"]].drop_duplicates().groupby("same").size()
        return _trend_of("batch_size", -1)(features[same == per_value.idxmax()])

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


def _thresholds_agree(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    by = [_by_seed(setting(ends(features, criterion), "adam", "coupled"), "sparsity") for criterion in ("activation", "scale")]
    return (expect_value("sparsity by activation minus by scale", paired_difference(*by), 0.0, 0.05),)


def _collapsed_norms(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    """Of the dead filters, the share whose incoming weights are gone: under L2, and less that under independent decay."""
    last = features[features["step"] == features["spec.steps"]]
    dead = last.assign(gone=causes(last))[inactive(last)]
    gone = dead.assign(gone=dead["gone"].str.contains("incoming").astype(float))
    shares = [setting(gone, "adam", c).groupby("seed")["gone"].mean() for c in ("coupled", "independent")]
    difference = paired_difference(*shares)
    return (expect_sign("dead filters without incoming weights, adam coupled minus adam independent", difference, +1, 0.3),)


def _zeroing(features: pd.DataFrame, curve: pd.DataFrame) -> tuple[Finding, ...]:
    last = setting(curve[curve["step"] == curve["spec.steps"]], "adam", "coupled")
    change = mean_interval(last["zeroed_test_error"] - last["test_error"])
    return (expect_value("change of the test error by zeroing what is silent on the training set", change, 0.0, 0.005),)


HYPOTHESES = (
    claim(
        "H1",
        "Adaptive optimizers leave more filters dead than SGD under L2.",
        "the difference is below 0.1",
        FOUR,
        _more_than("sgd", "coupled"),
    ),
    claim(
        "H2a",
        "Under Adam, L2 leaves more filters dead than weight decay of the same λ a step (independent, as the papers mean it).",
        "the difference is below 0.1",
        (Need("full_scale", "horizon"), Need("full_scale", "horizon", table="curve")),
        _more_than("adam", "independent"),
    ),
    claim(
        "H2b",
        "Under Adam, L2 leaves more filters dead than weight decay as torch's AdamW means it (decoupled).",
        "the difference is below 0.1",
        (Need("full_scale", "couplings"), Need("full_scale", "couplings", table="curve")),
        _more_than("adam", "decoupled"),
    ),
    claim("H3", "Without a regularizer no filter dies.", "more than 1 % die", FOUR, _none_without),
    claim(
        "H4",
        "A stronger regularizer leaves more filters dead.",
        "sparsity does not rise with strength",
        features_of("strength"),
        _trend_of("regularizer.strength", +1),
    ),
    claim(
        "H5a",
        "At equal steps, larger batches leave fewer filters dead.",
        "sparsity does not fall with batch size",
        features_of("batch_size"),
        _at_equal("steps"),
    ),
    claim(
        "H5b",
        "At equal epochs, larger batches leave fewer filters dead.",
        "sparsity does not fall with batch size",
        features_of("batch_size"),
        _at_equal("epochs"),
    ),
    claim(
        "H6",
        "A narrower network has a smaller share of dead filters.",
        "sparsity does not rise with width",
        features_of("width"),
        _trend_of("network.width", +1),
    ),
    claim(
        "H7",
        "A harder task leaves fewer filters dead.",
        "sparsity does not fall with label noise, at either rate",
        features_of("difficulty"),
        _difficulty,
    ),
    claim("H10", "Leaky ReLU does not prevent it.", "sparsity by scale is below 5 %", features_of("leaky"), _leaky),
    claim("H13", "Sparsity by activation and by scale agree.", "they differ by more than 5 points", FOUR, _thresholds_agree),
    Hypothesis(
        "H30",
        "Under Adam dead filters have lost their incoming weights with L2, and with independent decay they have not.",
        "an independent review: what differs is that a filter's own norm may collapse",
        "their share is not 30 points larger",
        FOUR,
        _collapsed_norms,
    ),
    claim(
        "H14",
        "Decaying only a part of the factors removes most of the effect.",
        "half of it remains",
        features_of("decayed_parameters"),
        _one_factor,
    ),
    claim(
        "H15",
        "β2 is a knob: shorter memory leaves more filters dead (P5 on a network).",
        "sparsity does not fall with β2",
        features_of("beta2"),
        _trend_of("rule.beta2", -1),
    ),
    claim(
        "H16",
        "Zeroing the inactive features changes nothing.",
        "the test error moves by more than half a point",
        FOUR,
        _zeroing,
    ),
)
