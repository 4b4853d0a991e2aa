"""Effects with their uncertainty: means and differences over seeds, and how well one measurement orders another.

A seed is one replicate. Three to five of them are the rule, so intervals are Student's t unless asked otherwise: at n = 3 to 5 a
bootstrap resamples too few values and covers far less than it says. What so few cannot show is said too: `equivalence_power`,
and an exact p in place of an interval of zero width.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import integrate, special, stats

from mechanisms.records.rng import stream
from mechanisms.validation import is_finite, require, require_above, require_at_least, require_choice, require_whole

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("t", "bootstrap")
BOOTSTRAP_SEED = 0
"""Bootstrap intervals draw from `stream(BOOTSTRAP_SEED, "bootstrap")`, afresh each time: equal values have equal intervals."""
POWER = 0.8
"""The share of the trials in which a study is expected to show what is true."""
MOST_REPLICATES = 1000
"""Beyond this number an equivalence counts as out of reach."""
MOST_LEVELS = 8
"""Levels of a trend up to which all their orders are counted: 8! = 40,320."""

Values = Any
"""A pandas Series, or anything that NumPy turns into a one-dimensional array of numbers."""


@dataclass(frozen=True)
class Estimate:
    """A value, its confidence interval, and how many replicates it rests on; unbounded where they are too few to say.

    Where all replicates agree, which leaves no spread to tell an interval from, `p` is the exact chance of that without any
    effect, in the direction found; None where it is not known, or where there is an interval. `sampling` is the part of the
    interval's half that more replicates do not lessen: the error of the test images that all share.
    """

    value: float
    low: float
    high: float
    n: int
    p: float | None = field(default=None, compare=False)
    sampling: float = field(default=0.0, compare=False)

    @property
    def interval(self) -> str:
        """The interval as a text: "[0.1, 0.3]", "-" where it is unbounded, "3 of 3 seeds, p = 0.0046" where all agree."""
        if not math.isfinite(self.low) or not math.isfinite(self.high):
            return "-"
        if self.p is None:
            return f"[{self.low:.4g}, {self.high:.4g}]"
        return f"{self.n} of {self.n} seeds" + (f", p = {self.p:.2g}" if self.value else "")

    @property
    def spread(self) -> float:
        """The standard deviation of a replicate, from a 95 % interval of Student's t; infinite where that is unbounded."""
        if self.n < 2:
            return math.inf
        half = math.sqrt(max((self.high - self.low) ** 2 / 4 - self.sampling**2, 0.0))
        return half * math.sqrt(self.n) / _quantile(self.n - 1, 0.95)


def mean_interval(values: Values, *, confidence: float = 0.95, method: str = "t") -> Estimate:
    """The mean of independent replicates, shape (n,), with its confidence interval.

    `t` assumes normal replicates: mean ± t·s/√n with n − 1 degrees of freedom. `bootstrap` assumes no shape, but needs a
    dozen values or more: bias-corrected and accelerated, 9,999 resamples of a fixed random stream. One value has an unbounded
    interval, equal values one of zero width, whose `p` is that of the sign test, 2^(−n).

    Raises:
        InvalidValue: no values, NaN or infinity among them, or an unknown method.
    Source: Efron, Better Bootstrap Confidence Intervals, JASA 1987 (as in `scipy.stats.bootstrap`).
    """
    _require_interval(confidence, method)
    sample = _sample("values", values)
    mean, n = float(sample.mean()), len(sample)
    if n == 1:
        return Estimate(mean, -math.inf, math.inf, n)
    if (sample == sample[0]).all():
        return Estimate(float(sample[0]), float(sample[0]), float(sample[0]), n, 0.5**n if sample[0] else 1.0)
    if method == "bootstrap":
        options: dict[str, Any] = {"random_state": stream(BOOTSTRAP_SEED, "bootstrap")}
        found = stats.bootstrap((sample,), np.mean, confidence_level=confidence, method="BCa", **options).confidence_interval
        return Estimate(mean, float(found.low), float(found.high), n)
    return _student(mean, float(sample.std(ddof=1)) / math.sqrt(n), n - 1, n, confidence)


def paired_difference(one: pd.Series, other: pd.Series, *, confidence: float = 0.95, method: str = "t") -> Estimate:
    """The mean of `one` − `other` over the index labels (seeds, as a rule) that both have; n counts those pairs.

    Pairs meet the same noise and start, which the difference removes. Interval as in `mean_interval`.

    Raises:
        InvalidValue: a label twice in one of them, no label in both, or NaN.
    """
    for name, values in (("one", one), ("other", other)):
        require(values.index.is_unique, f"{name}.index", values.index[values.index.duplicated()].tolist(), "each label once")
    shared = one.index.intersection(other.index)
    require(len(shared) > 0, "other.index", other.index.tolist(), f"at least one label of {one.index.tolist()}")
    return mean_interval(one.loc[shared] - other.loc[shared], confidence=confidence, method=method)


def error_difference(one: pd.Series, other: pd.Series, images: float | None, *, confidence: float = 0.95) -> Estimate:
    """`paired_difference` of test errors, with the sampling error of the N images that all were measured on.

    Images speak for a difference where only one of the two errs: at most a share `one` + `other` of them, whose binomial error is
    added in quadrature, as in `error_interval`. Without a number of images the interval is that of the seeds.
    """
    seeds = paired_difference(one, other, confidence=confidence)
    if images is None or not images > 0:
        return seeds
    shared = one.index.intersection(other.index)
    differing = float(one.loc[shared].mean() + other.loc[shared].mean())
    sampling = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(differing / images)
    reach = math.hypot(seeds.high - seeds.value, sampling)
    return Estimate(seeds.value, seeds.value - reach, seeds.value + reach, seeds.n, None if sampling else seeds.p, sampling)


def difference(one: Values, other: Values, *, confidence: float = 0.95) -> Estimate:
    """The mean of `one` − the mean of `other`, independent replicates of unequal variances; n is their number together.

    One replicate on either side gives an unbounded interval, two sides without any variation one of zero width.

    Source: Welch, The generalization of Student's problem, Biometrika 1947.
    """
    _require_interval(confidence, "t")
    first, second = _sample("one", one), _sample("other", other)
    value, n = float(first.mean() - second.mean()), len(first) + len(second)
    if min(len(first), len(second)) == 1:
        return Estimate(value, -math.inf, math.inf, n)
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    if sum(parts) == 0:
        return Estimate(value, value, value, n)
    share = parts[0] / sum(parts)
    freedom = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
    return _student(value, math.sqrt(sum(parts)), freedom, n, confidence)


def trend(x: Values, y: Values, seed: Values, *, confidence: float = 0.95, method: str = "t") -> Estimate:
    """Whether y rises (+1) or falls (−1) with x: the rank correlation within each seed, its mean and interval over seeds.

    Three columns of one length, a row for each run. Under a seed where y does not move there is no trend, 0; x must move
    under each. The interval is cut to [−1, 1]; where all seeds agree fully it has zero width, and `p` is the share of all
    orders of y within the seeds whose mean correlation is at least as large (None for more than 8 levels). Where chance alone
    gives that more often than one side of the interval may miss, there is none: [−1, 1].

    Raises:
        InvalidValue: a seed with less than two different x, columns of different length or index, or NaN.
    """
    correlations, runs = [], _split(seed, x=x, y=y)
    for first, second in runs:
        require(len(np.unique(first)) > 1, "x", first.tolist(), "at least two different values under each seed")
        found = rank_correlation(first, second)
        correlations.append(0.0 if math.isnan(found) else round(found, 12))
    mean = mean_interval(correlations, confidence=confidence, method=method)
    p = _exact_trend(runs, mean.value) if mean.low == mean.high else None
    reach = 2.0 if p is not None and mean.value and p > (1 - confidence) / 2 else 0.0
    return Estimate(mean.value, max(mean.low - reach, -1.0), min(mean.high + reach, 1.0), mean.n, p)


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation, in [−1, 1]; NaN where either does not vary. Equal values share their mean rank."""
    first, second = (stats.rankdata(column) for column in _columns(x=x, y=y))
    return _correlation(first, second)


def auc(score: Values, label: Values) -> float:
    """The probability that a score drawn from the labelled exceeds one drawn from the others, ties counting half.

    Shapes (n,); `label` is bool (or 0 and 1); scores may be infinite. NaN where all labels are equal.

    Source: Mann and Whitney, Annals of Mathematical Statistics 1947; Hanley and McNeil, Radiology 1982.
    """
    return _concordance(*_scored(score, label))[0]


def auc_within(score: Values, label: Values, group: Values) -> float:
    """`auc` where only members of one group are compared, pooled over groups weighted by their number of pairs.

    `group` is one column, or a DataFrame whose rows name the groups (such as seed and layer). NaN where no group has both labels.
    """
    _scored(score, label)
    found = [_concordance(scores, labels == 1) for scores, labels in _split(group, score=score, label=label)]
    pairs = sum(weight for _, weight in found)
    return sum(value * weight for value, weight in found if weight) / pairs if pairs else math.nan


def equivalence_power(n: int, spread: float, tolerance: float, *, confidence: float = 0.95) -> float:
    """The probability that n replicates of this standard deviation show a true 0 to lie within ± tolerance.

    That is, that the whole t interval of their mean does. Normal replicates; 0 for a single one.
    """
    require_whole("n", n, 1)
    require_at_least("spread", spread, 0)
    require_above("tolerance", tolerance, 0)
    if n == 1 or spread == 0:
        return float(n > 1)
    wide, freedom = tolerance * math.sqrt(n) / spread, n - 1
    t = _quantile(freedom, confidence)

    # Over the deviation found, in units of the true one: the mean must lie within what its interval leaves of the tolerance.
    def shown(s: float) -> float:
        return float(special.erf((wide - t * s) / math.sqrt(2)) * 2 * s * freedom * stats.chi2.pdf(freedom * s * s, freedom))

    around = 10 / math.sqrt(2 * freedom)  # beyond ten standard deviations of it there is nothing
    low, high = max(0.0, 1 - around), min(wide / t, 1 + around)
    return float(integrate.quad(shown, low, high)[0]) if low < high else 0.0


def equivalence_replicates(spread: float, tolerance: float, *, power: float = POWER, confidence: float = 0.95) -> int | None:
    """How many replicates show a true 0 to lie within ± tolerance in a share `power` of the trials; None for over 1,000."""
    low, high = 1, 2
    while equivalence_power(high, spread, tolerance, confidence=confidence) < power:
        low, high = high, 2 * high
        if high > 2 * MOST_REPLICATES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = equivalence_power(middle, spread, tolerance, confidence=confidence) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high if high <= MOST_REPLICATES else None


def sampling_interval(share: float, images: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of an error, in [0, 1], that was measured on N images drawn at random: Wilson's.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    require(is_finite(share) and 0 <= share <= 1, "share", share, "a number in [0, 1]")
    require_whole("images", images, 1)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    center = share + z * z / (2 * images)
    reach = z * math.sqrt(share * (1 - share) / images + (z / images / 2) ** 2)
    return max(0.0, (center - reach) / (1 + z * z / images)), min(1.0, (center + reach) / (1 + z * z / images))


def error_interval(errors: Values, images: int, *, confidence: float = 0.95) -> Estimate:
    """The mean test error over seeds that share one test set of N images, with both uncertainties: of seeds and of images.

    The seeds' spread does not know that other images would have given another error, and more seeds do not lessen it: the
    distances to the ends of the t interval and of Wilson's are added in quadrature.
    """
    seeds = mean_interval(errors, confidence=confidence)
    low, high = sampling_interval(seeds.value, images, confidence=confidence)
    reaches = math.hypot(seeds.value - seeds.low, seeds.value - low), math.hypot(seeds.high - seeds.value, high - seeds.value)
    return Estimate(seeds.value, max(0.0, seeds.value - reaches[0]), min(1.0, seeds.value + reaches[1]), seeds.n)


def holm(p: Values) -> np.ndarray:
    """The p-values of several tests, shape (n,), adjusted so that one false finding among all has the probability stated.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    sample = _sample("p", p)
    require(bool(((sample >= 0) & (sample <= 1)).all()), "p", sample.tolist(), "probabilities")
    order, adjusted = np.argsort(sample), np.empty_like(sample)
    adjusted[order] = np.maximum.accumulate(sample[order] * np.arange(len(sample), 0, -1)).clip(max=1.0)
    return adjusted


def chance_beyond(found: Estimate, null: float, sign: int) -> float | None:
    """Twice the chance of an estimate so far above (+1) or below (−1) `null` if that was true, at most 1.

    Below 0.05 where the 95 % interval excludes `null` on that side. From the interval, as of Student's t with n − 1 degrees of
    freedom; where all replicates agree, from their exact p. 1 where there is no interval, None for a result without randomness.
    """
    reach = found.value - found.low if sign > 0 else found.high - found.value
    away = sign * (found.value - null)
    if not math.isfinite(reach):
        return 1.0
    if reach == 0:
        exact = 0.5**found.n if null else found.p
        return None if found.p is None or exact is None else min(1.0, 2 * exact) if away > 0 else 1.0
    if found.n < 2:
        return None
    freedom = found.n - 1
    return min(1.0, 2 * float(stats.t.sf(away / reach * _quantile(freedom, 0.95), freedom)))


def _exact_trend(runs: list[list[np.ndarray]], value: float) -> float | None:
    """The share of all orders of y within each seed whose mean correlation is at least `value`, in its direction."""
    if max(len(x) for x, _ in runs) > MOST_LEVELS:
        return None
    sign, chances = math.copysign(1.0, value), {0.0: 1.0}
    for columns in runs:
        x, y = (ranks - ranks.mean() for ranks in map(stats.rankdata, columns))
        sums = sign * np.array(list(itertools.permutations(y))) @ x / (math.sqrt((x @ x) * (y @ y)) or 1.0)
        longer: defaultdict[float, float] = defaultdict(float)
        for (total, chance), (found, count) in itertools.product(chances.items(), Counter(sums.round(9).tolist()).items()):
            longer[round(total + found, 9)] += chance * count / len(sums)
        chances = dict(longer)
    return sum(chance for total, chance in chances.items() if total >= len(runs) * abs(value) - 1e-6) if value else 1.0


def _require_interval(confidence: float, method: str) -> None:
    require(isinstance(confidence, float) and 0 < confidence < 1, "confidence", confidence, "a number between 0 and 1")
    require_choice("method", method, METHODS)


def _quantile(freedom: float, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, freedom))


def _student(value: float, error: float, freedom: float, n: int, confidence: float) -> Estimate:
    reach = _quantile(freedom, confidence) * error
    return Estimate(value, value - reach, value + reach, n)


def _sample(name: str, values: Values) -> np.ndarray:
    (sample,) = _columns(**{name: values})
    require(len(sample) > 0 and bool(np.isfinite(sample).all()), name, sample.tolist(), "finite numbers, at least one")
    return sample


def _columns(**named: Values) -> list[np.ndarray]:
    """The named columns as float arrays of one length, refused if they hold NaN or rows that do not belong together."""
    columns, names = [np.asarray(values, dtype=np.float64) for values in named.values()], list(named)
    for name, column in zip(names, columns, strict=True):
        require(column.ndim == 1, f"shape of {name}", column.shape, "a single dimension")
        require(not np.isnan(column).any(), name, "with NaN", "numbers, after dropping or explaining those that are missing")
        require(len(column) == len(columns[0]), f"length of {name}", len(column), f"{len(columns[0])}, as {names[0]} has")
    indexes = [(name, values.index) for name, values in named.items() if hasattr(values, "iloc")]
    for name, index in indexes:
        # Rows are matched by position: two Series in another order would be mixed up in silence.
        require(index.equals(indexes[0][1]), f"index of {name}", index[:3].tolist(), f"the index of {indexes[0][0]}")
    return columns


def _split(group: Values, **named: Values) -> list[list[np.ndarray]]:
    """The named columns of each group; `group` is one column or a DataFrame of several, whose rows name the groups."""
    import pandas as pd

    frame = pd.DataFrame(group)
    numbers = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup()
    *columns, number = _columns(**named, group=numbers if hasattr(group, "iloc") else numbers.to_numpy())
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    return [[column[members] for column in columns] for members in parts if len(members)]


def _scored(score: Values, label: Values) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = _columns(score=score, label=label)
    require(bool(np.isin(labels, (0, 1)).all()), "label", "with other values", "True and False")
    return scores, labels == 1


def _concordance(scores: np.ndarray, labelled: np.ndarray) -> tuple[float, int]:
    """The AUC and the number of pairs that it is a mean over."""
    positive = int(labelled.sum())
    pairs = positive * (len(labelled) - positive)
    if pairs == 0:
        return math.nan, 0
    wins = stats.rankdata(scores)[labelled].sum() - positive * (positive + 1) / 2
    return float(wins / pairs), pairs


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(stats.pearsonr(first, second).statistic)
