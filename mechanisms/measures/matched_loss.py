"""Compare settings at matched training loss: curves of dead share against loss, and one number for the strength of a decay.

Equal strength is no fair comparison: the three meanings of weight decay pull differently at the same λ. A coupling is a curve
instead, a point a strength; two couplings are compared by the vertical distance of their curves where both have losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.measures.sparsity import inactive
from mechanisms.measures.statistics import Estimate
from mechanisms.records.rng import stream
from mechanisms.theory.feature import decay_budget
from mechanisms.validation import InvalidValue, require

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2_000
LOSSES = 32
"""As many losses, evenly in the logarithm, at which two curves are compared."""
SETTING = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength"]


def ends_with_loss(features: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """Sum every run up in one row: dead share, training loss, test error and Λ at its end.

    Args:
        features: the table `features` of trainings, all steps.
        curve: their table `curve`.

    Returns:
        A row a run, with `SETTING`, `seed`, `dead`, `train_loss`, `test_error` and `pull` (see `decay_pull`).
    """
    last = features[features["step"] == features["spec.steps"]]
    keys = [*SETTING, "seed"]
    dead = last.assign(dead=inactive(last).astype(float)).groupby(keys)["dead"].mean()
    pull = features.groupby(keys)[list(features.columns)].apply(decay_pull).rename("pull")
    ends = curve[curve["step"] == curve["spec.steps"]].set_index(keys)[["train_loss", "test_error"]]
    return ends.join(dead).join(pull).reset_index()


def decay_pull(features: pd.DataFrame) -> float:
    """Λ of one run: by how many e-folds its decay alone shrinks a scale, Σ_t η_t·λ_eff/D.

    Coupled decay under a normalizing rule is divided by the denominator D: the mean over the measured moments of D's median over
    features. Decoupled and independent decay are not, and SGD's denominator is its momentum's.
    """
    one = features.iloc[0]
    law = L2(strength=one["spec.regularizer.strength"], coupling=one["spec.regularizer.coupling"])
    rule = SGD(momentum=one["spec.rule.momentum"]) if one["spec.rule"] == "sgd" else Adam()
    divided = rule.normalizing and law.coupling == "coupled"
    denominators = features[features["step"] > 0].groupby("step")["denominator"].median()
    rate = float((1 / denominators).mean()) if divided else 1.0
    budget = decay_budget(
        rule, law, learning_rate=one["spec.learning_rate"], effective_steps=one["effective_steps"], denominator=1.0
    )
    return budget * rate


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


def left_out_errors(rows: pd.DataFrame, by: str) -> np.ndarray:
    """Predict the dead share of every setting from all others by one increasing curve in ln `by`; the absolute errors.

    The curve is isotonic, linear in ln `by` between settings, and constant outside of them.

    Args:
        rows: rows of `ends_with_loss` with positive `by`.
        by: the column that stands for the strength, such as "pull" or "spec.regularizer.strength".
    """
    from sklearn.isotonic import IsotonicRegression

    means = rows.groupby(SETTING)[[by, "dead"]].mean() if by not in SETTING else _means_by_field(rows, by)
    at, dead = np.log(means[by].to_numpy(float)), means["dead"].to_numpy(float)
    errors = []
    for left in range(len(at)):
        others = np.arange(len(at)) != left
        fitted = IsotonicRegression(out_of_bounds="clip").fit(at[others], dead[others])
        errors.append(abs(float(fitted.predict(at[left : left + 1])[0]) - dead[left]))
    return np.array(errors)


def _means_by_field(rows: pd.DataFrame, by: str) -> Any:
    return rows.groupby(SETTING)[["dead"]].mean().reset_index(by)
