"""Effects with their uncertainty: means and differences over seeds, and how well one measurement orders another.

A seed is one replicate. Three to five of them are the rule, so intervals are Student's t unless asked otherwise: at n = 3 to 5 a
bootstrap resamples too few values and covers far less than it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from mechanisms.records.rng import stream
from mechanisms.validation import require, require_choice

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("t", "bootstrap")
BOOTSTRAP_SEED = 0
"""Bootstrap intervals draw from `stream(BOOTSTRAP_SEED, "bootstrap")`, afresh each time: equal values have equal intervals."""
UNEXPLAINED = 1e-12
"""A residual under this share of the variance is rounding, not variation."""

Values = Any
"""A pandas Series, or anything that NumPy turns into a one-dimensional array of numbers."""


@dataclass(frozen=True)
class Estimate:
    """A value, its confidence interval, and how many replicates it rests on; unbounded where they are too few to say."""

    value: float
    low: float
    high: float
    n: int


def mean_interval(values: Values, *, confidence: float = 0.95, method: str = "t") -> Estimate:
    """The mean of independent replicates, shape (n,), with its confidence interval.

    `t` assumes normal replicates: mean ± t·s/√n with n − 1 degrees of freedom. `bootstrap` assumes no shape, but needs a
    dozen values or more: bias-corrected and accelerated, 9,999 resamples of a fixed random stream. One value has an unbounded
    interval, equal values one of zero width.

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
        return Estimate(float(sample[0]), float(sample[0]), float(sample[0]), n)
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
    under each. The interval is cut to [−1, 1]; where all seeds agree fully it has zero width, however few they are: mind n.

    Raises:
        InvalidValue: a seed with less than two different x, columns of different length or index, or NaN.
    """
    correlations = []
    for first, second in _split(seed, x=x, y=y):
        require(len(np.unique(first)) > 1, "x", first.tolist(), "at least two different values under each seed")
        found = rank_correlation(first, second)
        correlations.append(0.0 if math.isnan(found) else found)
    mean = mean_interval(correlations, confidence=confidence, method=method)
    return Estimate(mean.value, max(mean.low, -1.0), min(mean.high, 1.0), mean.n)


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation, in [−1, 1]; NaN where either does not vary. Equal values share their mean rank."""
    first, second = (stats.rankdata(column) for column in _columns(x=x, y=y))
    return _correlation(first, second)


def partial_rank_correlation(x: Values, y: Values, given: Values) -> float:
    """The rank correlation of x and y that is left when the ranks of `given` are held fixed; NaN where nothing is left.

    `given` is one column, or a DataFrame of several. The correlation of what a linear regression on the ranks of `given`
    leaves of the ranks of x and of y.

    Source: Kendall, Partial rank correlation, Biometrika 1942, with Spearman's coefficient.
    """
    several = {f"given.{name}": given[name] for name in given.columns} if hasattr(given, "columns") else {"given": given}
    first, second, *controls = (stats.rankdata(column) for column in _columns(x=x, y=y, **several))
    design = np.column_stack([np.ones_like(first), *controls])
    if len(first) <= design.shape[1] + 1:
        return math.nan
    return _correlation(*(_residual(design, column) for column in (first, second)))


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


def _require_interval(confidence: float, method: str) -> None:
    require(isinstance(confidence, float) and 0 < confidence < 1, "confidence", confidence, "a number between 0 and 1")
    require_choice("method", method, METHODS)


def _student(value: float, error: float, freedom: float, n: int, confidence: float) -> Estimate:
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
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


def _residual(design: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """What a regression on the design leaves of the ranks; exact zeros where that is rounding only."""
    left = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    total = ((ranks - ranks.mean()) ** 2).sum()
    return np.asarray(left if (left**2).sum() > UNEXPLAINED * total else np.zeros_like(left))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(stats.pearsonr(first, second).statistic)
