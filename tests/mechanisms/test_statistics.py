"""Intervals that cover what they say, and measures of order against counting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mechanisms.measures.statistics import (
    Estimate,
    auc,
    auc_within,
    chance_beyond,
    difference,
    equivalence_power,
    equivalence_replicates,
    error_difference,
    error_interval,
    holm,
    mean_interval,
    paired_difference,
    rank_correlation,
    sampling_interval,
    trend,
)
from mechanisms.validation import InvalidValue

NUMBERS = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
SCORED = st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=2, max_size=40)


def pairs_by_hand(scores: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    """The sum over all (labelled, other) pairs of 1, ½ or 0, and their number."""
    pairs = [(one > other) + (one == other) / 2 for one in scores[labels] for other in scores[~labels]]
    return float(sum(pairs)), len(pairs)


class TestMeans:
    def test_t_interval_against_a_table_of_student(self) -> None:
        """n = 4: t = 3.182446 at 3 degrees of freedom; mean 3, s = √(10/3)."""
        found = mean_interval([1.0, 2.0, 4.0, 5.0])
        assert (found.value, found.n) == (3.0, 4)
        assert found.high - 3 == pytest.approx(3.182446 * math.sqrt(10 / 3) / 2, rel=1e-6)
        assert found.low == pytest.approx(6 - found.high)

    @pytest.mark.parametrize(("n", "confidence"), [(3, 0.95), (5, 0.95), (5, 0.8)])
    def test_coverage_of_the_t_interval(self, n: int, confidence: float) -> None:
        trials = 3000
        samples = np.random.default_rng(1).normal(2.0, 3.0, (trials, n))
        intervals = [mean_interval(sample, confidence=confidence) for sample in samples]
        covered = sum(one.low <= 2 <= one.high for one in intervals)
        assert abs(covered - confidence * trials) <= 4 * math.sqrt(trials * confidence * (1 - confidence))

    def test_a_bootstrap_of_three_covers_far_less_than_it_says(self) -> None:
        """Why t is the default: with 3 values this is about 60 to 80 %, not 95 %."""
        samples = np.random.default_rng(2).normal(0, 1, (150, 3))
        intervals = [mean_interval(sample, method="bootstrap") for sample in samples]
        assert np.mean([one.low <= 0 <= one.high for one in intervals]) < 0.87

    def test_bootstrap_agrees_with_t_where_both_hold_and_repeats_itself(self) -> None:
        sample = np.random.default_rng(3).normal(1, 1, 200)
        found, student = mean_interval(sample, method="bootstrap"), mean_interval(sample)
        assert found == mean_interval(sample, method="bootstrap")
        assert found.value == student.value
        assert found.high - found.low == pytest.approx(student.high - student.low, rel=0.1)

    @pytest.mark.parametrize("method", ["t", "bootstrap"])
    def test_too_few_and_too_equal(self, method: str) -> None:
        assert mean_interval([0.4], method=method) == Estimate(0.4, -math.inf, math.inf, 1)
        assert mean_interval([0.1] * 3, method=method) == Estimate(0.1, 0.1, 0.1, 3)

    def test_refusals(self) -> None:
        for bad in ([], [1.0, math.nan], [1.0, math.inf]):
            with pytest.raises(InvalidValue, match=r"values = .*finite numbers, at least one|values = 'with NaN'"):
                mean_interval(bad)
        with pytest.raises(InvalidValue, match="single dimension"):
            mean_interval([[1.0, 2.0]])
        with pytest.raises(InvalidValue, match=r"method = 'z' .* t, bootstrap"):
            mean_interval([1.0], method="z")
        with pytest.raises(InvalidValue, match=r"confidence = 95"):
            mean_interval([1.0], confidence=95)


class TestDifferences:
    def test_pairs_are_matched_by_seed_and_only_common_ones_count(self) -> None:
        one = pd.Series({0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0})
        other = pd.Series({2: 8.0, 1: 3.0, 0: 0.5, 8: -100.0})
        assert paired_difference(one, other) == mean_interval([0.5, 2.0, 1.0])

    def test_pairing_removes_what_the_seeds_share(self) -> None:
        random = np.random.default_rng(4)
        shared, own = random.normal(0, 10, 5), random.normal(0, 0.1, 5)
        one, other = pd.Series(shared + 1 + own), pd.Series(shared)
        paired, free = paired_difference(one, other), difference(one, other)
        assert paired.value == pytest.approx(free.value)
        assert paired.low > 0 > free.low

    def test_refusals(self) -> None:
        with pytest.raises(InvalidValue, match=r"one.index = \[3\] .*each label once"):
            paired_difference(pd.Series([1.0, 2.0], index=[3, 3]), pd.Series([1.0], index=[3]))
        with pytest.raises(InvalidValue, match="at least one label"):
            paired_difference(pd.Series([1.0], index=[0]), pd.Series([1.0], index=[1]))
        with pytest.raises(InvalidValue, match="other"):
            difference([1.0], [])

    @given(st.lists(NUMBERS, min_size=2, max_size=8, unique=True), st.lists(NUMBERS, min_size=2, max_size=8, unique=True))
    def test_welch_against_scipy(self, one: list[float], other: list[float]) -> None:
        found, oracle = difference(one, other), stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), rel=1e-9, abs=1e-9)
        assert found.n == len(one) + len(other)

    def test_sides_that_do_not_vary(self) -> None:
        """All seeds without sparsity against some with: the width comes from the side that varies, with its own freedom."""
        found = difference([0.0] * 3, [1.0, 2.0, 3.0])
        assert (found.value, found.high) == (-2, pytest.approx(-2 + 4.302653 / math.sqrt(3), rel=1e-6))
        assert difference([0.5] * 3, [0.25] * 2) == Estimate(0.25, 0.25, 0.25, 5)
        assert difference([1.0], [0.0, 0.5]) == Estimate(0.75, -math.inf, math.inf, 3)


class TestOrder:
    def test_rank_correlation_with_ties_against_the_definition(self) -> None:
        """Ranks of x: 1, 2.5, 2.5, 4; of y: 2, 1, 3.5, 3.5; deviations give covariance 2.25 and variances 4.5 each."""
        assert rank_correlation([0, 1, 1, 9], [5, 4, 6, 6]) == pytest.approx(2.25 / 4.5)
        assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
        assert math.isnan(rank_correlation([1], [2]))

    @given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=20, unique_by=(lambda p: p[0], lambda p: p[1])))
    def test_only_the_order_matters(self, pairs: list[tuple[float, float]]) -> None:
        x, y = np.array(pairs).T
        found = rank_correlation(x, y)
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert rank_correlation(x**3, 7 - y) == pytest.approx(-found, abs=1e-12)

    def test_trend_is_the_mean_over_seeds(self) -> None:
        runs = pd.DataFrame({"seed": [0, 1, 0, 1, 0, 1], "rate": [1, 1, 2, 2, 3, 3], "sparsity": [0.1, 0.5, 0.2, 0.1, 0.3, 0.3]})
        found = trend(runs["rate"], runs["sparsity"], runs["seed"])
        assert (found.value, found.n) == (pytest.approx((1 - 0.5) / 2), 2)
        assert (found.low, found.high) == (-1, 1)  # t of 1 degree of freedom, cut
        still = trend(runs["rate"], 0 * runs["sparsity"], runs["seed"])
        assert still == Estimate(0, 0, 0, 2)
        with pytest.raises(InvalidValue, match="at least two different values under each seed"):
            trend(runs["seed"], runs["sparsity"], runs["seed"])


class TestAuc:
    @given(SCORED)
    def test_counting_pairs(self, rows: list[tuple[int, bool]]) -> None:
        scores, labels = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
        wins, pairs = pairs_by_hand(scores, labels)
        found = auc(scores, labels)
        if not pairs:
            assert math.isnan(found)
            return
        assert found == pytest.approx(wins / pairs)
        assert auc(np.exp(scores / 3), labels) == found
        assert auc(-scores, labels) == pytest.approx(1 - found)
        assert auc(scores, ~labels) == pytest.approx(1 - found)
        assert auc_within(scores, labels, np.zeros(len(scores))) == pytest.approx(found)

    @given(SCORED, st.randoms(use_true_random=False))
    def test_within_groups_only_pairs_of_one_group_count(self, rows: list[tuple[int, bool]], random: object) -> None:
        scores, labels = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
        groups = np.array([random.choice("abc") for _ in rows])  # type: ignore[attr-defined]
        parts = [pairs_by_hand(scores[groups == name], labels[groups == name]) for name in "abc"]
        wins, pairs = np.sum(parts, axis=0)
        found = auc_within(scores + 100 * (groups == "b"), labels, groups)
        assert found == pytest.approx(wins / pairs) if pairs else math.isnan(found)

    def test_groups_named_by_several_columns(self) -> None:
        table = pd.DataFrame({"seed": [0, 0, 1, 1], "layer": ["a", "a", "a", "b"], "score": [1.0, 2, 9, 0], "dead": [0, 1, 0, 1]})
        table = table.set_index(pd.Index([4, 3, 2, 1]))
        assert auc_within(table["score"], table["dead"], table[["seed", "layer"]]) == 1
        assert auc_within(table["score"], table["dead"], table["seed"]) == 0.5
        assert math.isnan(auc_within(table["score"], table["dead"], table["score"]))

    def test_a_field_that_only_some_runs_have_is_a_group_of_its_own(self) -> None:
        assert auc_within([3.0, 1, 2, 9], [True, False, True, False], [math.nan, math.nan, 0.9, 0.9]) == 0.5

    def test_an_infinite_score_is_the_largest(self) -> None:
        assert auc([math.inf, 1.0, -math.inf], [True, False, False]) == 1

    def test_refusals(self) -> None:
        with pytest.raises(InvalidValue, match="score = 'with NaN'"):
            auc([1.0, math.nan], [True, False])
        with pytest.raises(InvalidValue, match="label = 'with other values'"):
            auc([1.0, 2.0], [0.5, 1.0])
        with pytest.raises(InvalidValue, match=r"length of label = 1 .* 2, as score has"):
            auc([1.0, 2.0], [True])
        shuffled = pd.Series([True, False], index=[1, 0])
        with pytest.raises(InvalidValue, match=r"index of label = \[1, 0\]"):
            auc(pd.Series([1.0, 2.0]), shuffled)


class TestLimits:
    @pytest.mark.parametrize(("n", "shown"), [(3, 0.22), (5, 0.64), (10, 0.99)])
    def test_power_of_an_equivalence_against_simulated_trials(self, n: int, shown: float) -> None:
        """A true 0 within ± 0.05 at a standard deviation of 0.03: shares of trials that somebody else simulated, and our own."""
        assert equivalence_power(n, 0.03, 0.05) == pytest.approx(shown, abs=0.01)
        trials = np.random.default_rng(n).normal(0, 0.03, (4000, n))
        reach = stats.t.ppf(0.975, n - 1) * trials.std(axis=1, ddof=1) / math.sqrt(n)
        assert equivalence_power(n, 0.03, 0.05) == pytest.approx((abs(trials.mean(axis=1)) + reach <= 0.05).mean(), abs=0.03)

    def test_the_replicates_of_an_equivalence_are_the_fewest_that_do(self) -> None:
        for spread in (0.01, 0.03, 0.1, 0.4):
            needed = equivalence_replicates(spread, 0.05)
            assert needed is not None
            assert equivalence_power(needed, spread, 0.05) >= 0.8 > equivalence_power(needed - 1, spread, 0.05)
        assert equivalence_replicates(2.0, 0.05) is None
        assert equivalence_replicates(0.0, 0.05) == equivalence_replicates(1e-9, 0.05) == 2
        assert equivalence_power(1, 0.03, 0.05) == 0

    def test_an_estimate_knows_the_spread_of_its_replicates(self) -> None:
        values = [0.1, 0.4, 0.2, 0.25]
        assert mean_interval(values).spread == pytest.approx(np.std(values, ddof=1))
        assert mean_interval([0.4]).spread == math.inf

    def test_where_all_seeds_agree_there_is_an_exact_p_and_no_interval(self) -> None:
        x, y, seed = [1, 2, 3] * 3, [9, 5, 1] * 3, np.repeat([0, 1, 2], 3)
        found = trend(x, y, seed)
        assert (found.value, found.p) == (-1, pytest.approx(1 / 216))
        assert found.interval == "3 of 3 seeds, p = 0.0046"
        assert mean_interval([0.2] * 3).interval == "3 of 3 seeds, p = 0.12"
        assert (mean_interval([0.0] * 3).p, mean_interval([0.0] * 3).interval) == (1, "3 of 3 seeds")
        assert mean_interval([0.1, 0.2, 0.3]).interval == "[-0.04841, 0.4484]"
        assert mean_interval([0.4]).interval == "-"

    def test_the_exact_p_of_a_trend_counts_all_orders(self) -> None:
        """ρ = ½ in each of two seeds of three levels: of 36 pairs of orders, those whose correlations add up to 1 or more."""
        found = trend([1, 2, 3] * 2, [1, 3, 2] * 2, [0] * 3 + [1] * 3)
        values = [rank_correlation([1, 2, 3], order) for order in itertools.permutations([1, 2, 3])]
        sums = [a + b for a in values for b in values]
        assert found.p == pytest.approx(np.mean([total >= 1 - 1e-9 for total in sums]))
        ties = trend([1, 2, 3] * 2, [1, 1, 2] * 2, [0] * 3 + [1] * 3)
        assert ties.p == pytest.approx(1 / 9)
        assert trend([1, 2] * 2, [3, 3] * 2, [0, 0, 1, 1]).p == 1
        long = list(range(9))
        assert trend(long * 2, long * 2, [0] * 9 + [1] * 9).p is None

    @pytest.mark.parametrize(("wrong", "images"), [(0, 450), (3, 450), (225, 450), (450, 450), (1, 1)])
    def test_the_sampling_error_of_an_error_is_wilsons(self, wrong: int, images: int) -> None:
        expected = stats.binomtest(wrong, images).proportion_ci(method="wilson")
        assert sampling_interval(wrong / images, images) == pytest.approx((expected.low, expected.high), abs=1e-12)

    def test_an_error_has_the_uncertainty_of_its_images_however_alike_the_seeds(self) -> None:
        """0.7 % of 450 images: about ± 0.8 points, whether or not seeds differ."""
        alike = error_interval([0.007] * 3, 450)
        assert 0.008 < alike.high - alike.value < 0.0135
        assert 0.004 < alike.value - alike.low < 0.007
        spread = [0.3, 0.35, 0.4]
        seeds, both = mean_interval(spread), error_interval(spread, 450)
        assert both.high - both.value > seeds.high - seeds.value
        assert error_interval(spread, 10**9).high == pytest.approx(seeds.high, abs=1e-4)
        with pytest.raises(InvalidValue, match="images"):
            error_interval(spread, 0)

    def test_a_difference_of_errors_knows_that_all_share_the_images(self) -> None:
        """Of 450 images 4.5 in favour of one of two errors of 1 and 2 %: within what chance gives, however alike the seeds."""
        one, other = pd.Series([0.02] * 3), pd.Series([0.01] * 3)
        found = error_difference(one, other, 450)
        assert found.low < 0 < found.value == pytest.approx(0.01)
        assert found.sampling == pytest.approx(1.96 * math.sqrt(0.03 / 450), rel=1e-3)
        assert found.spread == pytest.approx(0.0, abs=1e-9)
        assert error_difference(one, other, None) == paired_difference(one, other)
        assert error_difference(one, other, 10**6).low > 0

    @pytest.mark.parametrize(("low", "high", "null", "sign"), [(0.0, 0.4, 0.0, 1), (-0.3, 0.1, 0.1, -1)])
    def test_the_chance_is_a_twentieth_where_the_interval_ends(self, low: float, high: float, null: float, sign: int) -> None:
        assert chance_beyond(Estimate((low + high) / 2, low, high, 4), null, sign) == pytest.approx(0.05)

    def test_the_chance_of_a_mean_is_that_of_the_t_test(self) -> None:
        values = [0.1, 0.3, 0.25, 0.05]
        expected = float(stats.ttest_1samp(values, 0.02).pvalue)
        assert chance_beyond(mean_interval(values), 0.02, 1) == pytest.approx(expected)
        assert chance_beyond(mean_interval(values), 0.02, -1) == 1.0

    def test_the_chance_without_an_interval(self) -> None:
        assert chance_beyond(mean_interval([0.5] * 3), 0.0, 1) == pytest.approx(0.25)
        assert chance_beyond(mean_interval([0.5] * 3), 0.6, 1) == 1.0
        assert chance_beyond(mean_interval([0.0] * 6), 0.1, -1) == pytest.approx(2 / 64)
        assert chance_beyond(mean_interval([0.5]), 0.0, 1) == 1.0
        assert chance_beyond(Estimate(1.0, 1.0, 1.0, 1), 0.0, 1) is None

    def test_holm_against_its_definition(self) -> None:
        """Of four tests the smallest counts four times, the next three times; none is smaller than one before it."""
        np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.5]), [0.09, 0.04, 0.09, 0.5])
        np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
        with pytest.raises(InvalidValue, match="probabilities"):
            holm([1.2])

    def test_holm_holds_the_rate_of_a_single_false_finding(self) -> None:
        found = [(holm(p) <= 0.05).any() for p in np.random.default_rng(3).uniform(size=(2000, 19))]
        assert np.mean(found) < 0.05 + 4 * math.sqrt(0.05 / 2000)
