"""From scores to the features that go: in which order, over the network or within layers, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechanisms.validation import require_between, require_choice, require_whole

if TYPE_CHECKING:
    import pandas as pd

RANKINGS = ("global", "layer", "cost")


def removal_order(features: pd.DataFrame, scores: pd.Series, ranking: str, layers: tuple[str, ...] = ()) -> np.ndarray:
    """Positions of the rows in the order in which features go, shape (at most rows,).

    `global`: the lowest score of the network first. `layer`: the same share of each layer, in each the lowest first, so that how
    many of each layer go does not depend on the scores. `cost`: the lowest rank of a score within the network, in (0, 1], over
    the feature's share of the network's multiply-accumulates (column `cost`); ranks, so that scores of any sign and scale will
    do. Equal ones go in the order of the rows. The last to go of each layer never goes.

    Args:
        features: one row a feature of one network at one moment.
        scores: one for each row.
        ranking: one of `RANKINGS`.
        layers: the layers that are pruned, all by default.

    Raises:
        InvalidValue: an unknown ranking, or a layer that the table does not have.
    """
    require_choice("ranking", ranking, RANKINGS)
    names = features["layer"].to_numpy()
    for layer in layers:
        require_choice("layers", layer, tuple(dict.fromkeys(names)))
    keys = _keys(features, np.asarray(scores, np.float64), ranking)
    order = np.argsort(keys, kind="stable")
    if layers:
        order = order[np.isin(names[order], layers)]
    last = {names[position]: position for position in order}
    return np.asarray([position for position in order if last[names[position]] != position], int)


def _keys(features: pd.DataFrame, scores: np.ndarray, ranking: str) -> np.ndarray:
    from scipy.stats import rankdata

    if ranking == "global":
        return scores
    if ranking == "cost":
        cost = features["cost"].to_numpy(np.float64)
        return np.asarray(rankdata(scores) / len(scores) / np.maximum(cost / cost.sum(), np.finfo(float).tiny))
    keys = np.empty(len(scores))
    for name in dict.fromkeys(features["layer"]):
        own = (features["layer"] == name).to_numpy()
        keys[own] = (rankdata(scores[own], method="ordinal") - 0.5) / own.sum()
    return keys


def removed(features: pd.DataFrame, order: np.ndarray, count: int) -> pd.Series:
    """Which rows go when the first `count` of an order go; bool, with the index of the table."""
    import pandas as pd

    require_whole("count", count, 0)
    gone = np.zeros(len(features), bool)
    gone[order[:count]] = True
    return pd.Series(gone, features.index, name="removed")


def count_of(features: pd.DataFrame, ratio: float, layers: tuple[str, ...] = ()) -> int:
    """How many features a ratio of those in the named layers (all by default) is; `ratio` in [0, 1)."""
    require_between("ratio", ratio, 0, 1)
    return round(ratio * int((features["layer"].isin(layers) if layers else features["layer"].notna()).sum()))
