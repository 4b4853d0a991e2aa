"""Verdicts: what is true is supported, what is false is refuted, what is not shown is undecided."""

import math

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims.hypothesis import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    about,
    adjusted,
    compared,
    exactly,
    expect_condition,
    expect_sign,
    expect_value,
    overall,
)
from mechanisms.measures.statistics import Estimate, error_difference, mean_interval, trend


def estimate(low, high, n=5):
    return Estimate((low + high) / 2, low, high, n)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.95, 1.05, SUPPORTED), (0.8, 1.0, UNDECIDED), (0.5, 0.7, REFUTED), (1.2, 1.3, REFUTED), (-math.inf, math.inf, UNDECIDED)],
)
def test_values(low, high, verdict):
    assert expect_value("x", estimate(low, high), 1.0, 0.1).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "sign", "smallest", "verdict"),
    [
        (0.1, 0.3, +1, 0.0, SUPPORTED),
        (0.1, 0.3, -1, 0.0, REFUTED),
        (-0.3, -0.1, -1, 0.0, SUPPORTED),
        (-0.1, 0.3, +1, 0.0, UNDECIDED),
        (-0.01, 0.01, +1, 0.05, REFUTED),
        (0.0, 0.0, +1, 0.0, UNDECIDED),
        (0.01, 0.3, +1, 0.05, SUPPORTED),
    ],
)
def test_signs(low, high, sign, smallest, verdict):
    assert expect_sign("x", estimate(low, high), sign, smallest).verdict == verdict


def test_an_equivalence_says_how_many_replicates_it_needs():
    rng = np.random.default_rng(4)
    three = mean_interval(rng.normal(0.0, 0.03, 3))
    assert "not decidable at n = 3: with the spread found, ± 0.02 needs n = " in expect_value("x", three, 0.0, 0.02).why
    assert expect_value("x", estimate(0.02, 0.04, 200), 0.0, 0.03).why == "the interval lies across the tolerance: more seeds"
    assert "out of reach" in expect_value("x", three, 0.0, 1e-5).why
    assert expect_value("x", estimate(-math.inf, math.inf, 1), 0.0, 0.1).why == "not decidable at n = 1"


def test_full_agreement_that_chance_gives_too_often_is_undecided():
    """Two levels in three seeds: all rise in one of eight cases by chance. Three levels: in one of 216."""
    found = trend([1, 2] * 3, [1, 2] * 3, np.repeat([0, 1, 2], 2))
    assert expect_sign("ρ", found, +1, 0.5).verdict == UNDECIDED
    assert "3 of 3 seeds, p = 0.12" in expect_sign("ρ", found, +1, 0.5).why
    assert expect_sign("ρ", trend([1, 2, 3] * 3, [1, 2, 3] * 3, np.repeat([0, 1, 2], 3)), +1, 0.5).verdict == SUPPORTED
    assert expect_sign("AUC", mean_interval([0.5] * 3), +1, 0.1).verdict == SUPPORTED


def test_nothing_is_supported_on_fewer_than_three_replicates():
    for n in (1, 2):
        finding = expect_sign("x", estimate(0.1, 0.2, n), +1)
        assert finding.verdict == UNDECIDED
        assert "too few" in finding.why
        assert expect_value("x", estimate(0.99, 1.01, n), 1.0, 0.1).verdict == UNDECIDED
    assert expect_value("x", exactly(1.0), 1.0, 0.1, exact=True).verdict == SUPPORTED


def test_a_planted_false_claim_is_refuted_and_an_unpowered_one_undecided():
    rng = np.random.default_rng(0)
    effect = mean_interval(rng.normal(0.3, 0.05, 5))
    assert expect_sign("true", effect, +1, 0.1).verdict == SUPPORTED
    assert expect_sign("reversed", effect, -1, 0.1).verdict == REFUTED
    assert expect_sign("unpowered", mean_interval(rng.normal(0.01, 0.5, 3)), +1).verdict == UNDECIDED


def test_false_claims_are_rarely_supported():
    """With no effect at all a sign is supported in at most 2.5 % of 400 tries, up to 4 standard errors of that count."""
    rng = np.random.default_rng(1)
    found = [expect_sign("null", mean_interval(rng.normal(0, 1, 3)), +1).verdict for _ in range(400)]
    assert found.count(SUPPORTED) <= 400 * 0.025 + 4 * math.sqrt(400 * 0.025)


def test_one_refuted_finding_refutes_and_reasons_are_given():
    good, bad, open_ = (expect_value("x", estimate(a, b), 1.0, 0.1) for a, b in ((0.99, 1.01), (2, 3), (0, 2)))
    assert overall((good, good)) == (SUPPORTED, "")
    assert overall((good, open_, bad))[0] == REFUTED
    assert overall((good, open_)) == (UNDECIDED, "x: not decidable at n = 5: with the spread found, ± 0.1 needs n = 684")
    assert overall(())[0] == UNDECIDED


def test_conditions_speak_only_when_they_fail():
    assert expect_condition("gap", exactly(0.0), -0.1, 0.1, "match them") is None
    finding = expect_condition("gap", exactly(1.0), -0.1, 0.1, "match them")
    assert (finding.verdict, finding.why) == (UNDECIDED, "match them")


def test_a_tie_with_the_smallest_effect_is_not_refuted_by_rounding():
    just = 0.4999999999999999
    assert expect_sign("ρ", Estimate(just, just, just, 3), 1, 0.5).verdict == SUPPORTED
    assert expect_sign("ρ", Estimate(-just, -just, -just, 3), -1, 0.5).verdict == SUPPORTED
    assert expect_sign("ρ", Estimate(0.49, 0.49, 0.49, 3), 1, 0.5).verdict == REFUTED


def test_the_chance_goes_with_the_verdict():
    """Below a twentieth where the interval decides, whichever way."""
    for found in (estimate(0.2, 0.4), estimate(-0.1, 0.4), estimate(-0.4, -0.2), estimate(0.05, 0.08)):
        for finding in (expect_sign("x", found, +1, 0.1), expect_value("x", found, 0.3, 0.11)):
            assert (finding.p < 0.05) == (finding.verdict != UNDECIDED), finding


def test_findings_that_are_read_together_are_adjusted_for_their_number():
    assert adjusted([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert adjusted([None]) == [None]


def test_test_images_can_be_too_few_for_an_equivalence():
    three = pd.Series([0.1, 0.11, 0.09])
    found = error_difference(three, three, 450)
    assert expect_value("error", found, 0.0, 0.02).why == "not decidable on so few test images, which alone leave ± 0.041"
    wider = error_difference(three, three + pd.Series([0, 0.01, -0.01]), 450)
    assert "needs n = " in expect_value("error", wider, 0.0, 0.045).why


def test_what_hypotheses_read_from_the_same_tables_is_measured_once():
    calls = []

    def measure(*tables):
        calls.append(tables)
        return {"mean": exactly(sum(tables[0]))}

    judges = [compared((about("mean", 3, 0.5),), measure) for _ in range(2)]
    first, second = [1, 2], [1, 3]
    assert [judge(first)[0].found.value for judge in judges] == [3, 3]
    assert len(calls) == 1
    assert [judge(second)[0].found.value for judge in judges] == [4, 4]
    assert judges[0](first, second)[0].found.value == 3
    assert len(calls) == 3
