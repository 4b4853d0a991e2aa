"""Compare settings at matched training loss: curves of dead share against loss, and one number for the strength of a decay.

Equal strength is no fair comparison: the three meanings of weight decay pull differently at the same λ. A coupling is a curve
instead, a point a strength; two couplings are compared by the vertical distance of their curves where both have losses.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.measures.sparsity import inactive
from mechanisms.measures.statistics import Estimate
from mechanisms.records.rng import stream
from mechanisms.theory.feature import decay_budget, is_divided
from mechanisms.validation import InvalidValue, require

RESAMPLES = 2_000
LOSSES = 32
"""As many losses, evenly in the logarithm, at which two curves are compared."""
LOWEST = 0.1
"""The quantile of the denominators that stands for the filters which decay hits hardest."""
SETTING = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength"]


def ends_with_loss(features: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """Sum every run up in one row: dead share, training loss, test error and Λ at its end.

    Args:
        features: the table `features` of trainings, all steps.
        curve: their table `curve`.

    Returns:
        A row a run, with `SETTING`, `seed`, `dead`, `train_loss`, `test_error`, `pull` and `pull_lowest`: `decay_pull` by the
        median denominator and by that of the lowest tenth.
    """
    last = features[features["step"] == features["spec.steps"]]
    keys = [*SETTING, "seed"]
    dead = last.assign(dead=inactive(last).astype(float)).groupby(keys)["dead"].mean()
    curves = dict(iter(curve.groupby(keys)))
    pulls = {key: [decay_pull(one, curves[key], share) for share in (0.5, LOWEST)] for key, one in features.groupby(keys)}
    ends = curve[curve["step"] == curve["spec.steps"]].set_index(keys)[["train_loss", "test_error"]]
    return ends.join(dead).join(pd.DataFrame(pulls, ["pull", "pull_lowest"]).T.rename_axis(keys)).reset_index()


def decay_pull(features: pd.DataFrame, curve: pd.DataFrame, share: float = 0.5) -> float:
    """Λ of one run: by how many e-folds its decay alone shrinks a scale, Σ_t η_t·λ_eff/D_t.

    Where the rule divides the decay, D_t is a quantile of the denominators over features at the recorded moments, each of which
    counts as much as its learning rate. NaN where no moment but the last is on record: D falls by half within a run.

    Args:
        features, curve: the tables of one run.
        share: which quantile of the denominators, the median if nothing is said.
    """
    rule, law = law_of(features.iloc[0])
    budget = decay_budget(
        rule,
        law,
        learning_rate=features["spec.learning_rate"].iloc[0],
        effective_steps=features["effective_steps"].iloc[0],
        denominator=1.0,
    )
    if not is_divided(rule, law) or law.strength == 0:
        return budget
    denominators = features[features["step"] > 0].groupby("step")["denominator"].quantile(share)
    if len(denominators) < 2:
        return float("nan")
    rates = curve.set_index("step")["learning_rate"].loc[denominators.index]
    return float(budget * np.average(1 / denominators, weights=rates))


def law_of(row: pd.Series) -> tuple[AbstractUpdateRule, L2]:
    """Rule and decay of a row with the columns of a spec; every rule but SGD stands for Adam here."""
    law = L2(strength=row["spec.regularizer.strength"], coupling=row["spec.regularizer.coupling"])
    return SGD(momentum=row["spec.rule.momentum"]) if row["spec.rule"] == "sgd" else Adam(), law


def distance_at_equal_loss(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """Measure how many more filters are dead in one family of settings than in another at equal training loss.

    Each family is a curve: mean dead share against mean log loss, a point a strength, interpolated linearly between points. The
    distance is the mean vertical distance over the losses that both curves have. The interval is a percentile bootstrap over
    seeds, drawn afresh each time from a fixed stream.

    Args:
        one, other: rows of `ends_with_loss`, several strengths and the same seeds each.

    Raises:
        InvalidValue: the curves have no losses in common, or a family has fewer than two strengths.
    """
    seeds = sorted(set(one["seed"]) & set(other["seed"]))
    require(len(seeds) > 0, "seeds", seeds, "seeds that both families share")
    grids, every = (_grid(one, seeds), _grid(other, seeds)), np.arange(len(seeds))
    value = _distance(*(_points(grid, every) for grid in grids))
    if np.isnan(value):
        raise InvalidValue("the two families have no training loss in common: add strengths until they do")
    draws = stream(0, "matched loss").choice(every, (RESAMPLES, len(seeds)))
    found = np.array([_distance(*(_points(grid, drawn) for grid in grids)) for drawn in draws])
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(seeds))


def _grid(rows: pd.DataFrame, seeds: list[int]) -> np.ndarray:
    """Log loss and dead share, (2, strengths, seeds)."""
    table = rows.assign(log_loss=np.log(rows["train_loss"])).set_index(["spec.regularizer.strength", "seed"])
    grid = np.array([table[name].unstack()[seeds].to_numpy() for name in ("log_loss", "dead")])
    require(grid.shape[1] > 1, "strengths", grid.shape[1], "at least two of each family")
    return grid


def _points(grid: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log loss, dead share) of each strength, means over the drawn seeds, in the order of the loss."""
    losses, shares = grid[:, :, drawn].mean(axis=2)
    order = np.argsort(losses)
    return losses[order], shares[order]


def _distance(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    if not low < high:
        return float("nan")
    losses = np.linspace(low, high, LOSSES)
    return float(np.mean(np.interp(losses, *one) - np.interp(losses, *other)))


def left_out_errors(rows: pd.DataFrame, by: str | None = None) -> np.ndarray:
    """Predict the dead share of every setting from all others by one increasing curve in ln `by`; the absolute errors.

    The curve is isotonic, linear in ln `by` between settings, and constant outside of them.

    Args:
        rows: rows of `ends_with_loss` with positive `by`; NaN is left out of the mean of a setting.
        by: the column that stands for the strength, such as "pull" or "spec.regularizer.strength"; None predicts the mean.

    Raises:
        InvalidValue: a setting without any `by`.
    """
    from sklearn.isotonic import IsotonicRegression

    settings = [one for _, one in rows.groupby(SETTING)]
    dead = np.array([one["dead"].mean() for one in settings])
    at = np.log([one[by].mean() if by else 1.0 for one in settings])
    require(bool(np.isfinite(at).all()), str(by), at.tolist(), "positive and known for every setting")
    errors = []
    for left in range(len(at)):
        others = np.arange(len(at)) != left
        fitted = IsotonicRegression(out_of_bounds="clip").fit(at[others], dead[others])
        errors.append(abs(float(fitted.predict(at[left : left + 1])[0]) - dead[left]))
    return np.array(errors)
