"""Orders of removal and clusters of responses, on a few features by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mechanisms.measures.ranking import RANKINGS, count_of, removal_order, removed
from mechanisms.measures.redundancy import merge_heights
from mechanisms.validation import InvalidValue

TABLE = pd.DataFrame(
    {"layer": list("aaabbb"), "feature": [0, 1, 2, 0, 1, 2], "cost": [4.0, 4.0, 4.0, 1.0, 1.0, 1.0]}, index=range(10, 16)
)
SCORES = pd.Series([0.3, 0.1, 0.2, 5.0, 4.0, 6.0], TABLE.index)


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        # All of layer a scores lower; its best never goes, so b's lower two are next.
        ("global", [1, 2, 4, 3]),
        # Lowest of a, lowest of b, second of a, second of b; the best of each stays.
        ("layer", [1, 4, 2, 3]),
        # Ranks 3, 1, 2, 5, 4, 6 of 6 over shares of the cost 4, 4, 4, 1, 1, 1 of 15.
        ("cost", [1, 2, 4, 3]),
    ],
)
def test_orders_by_hand(ranking: str, expected: list[int]) -> None:
    assert removal_order(TABLE, SCORES, ranking).tolist() == expected


def test_cost_prefers_what_saves_more() -> None:
    scores = pd.Series([3.0, 5.0, 6.0, 1.0, 2.0, 4.0], TABLE.index)
    assert removal_order(TABLE, scores, "global").tolist() == [3, 4, 0, 1]
    # Rank over cost: 3/4, 5/4, 6/4 in a, 1, 2, 4 in b.
    assert removal_order(TABLE, scores, "cost").tolist() == [0, 3, 1, 4]


def test_the_shape_within_layers_does_not_depend_on_the_scores() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"layer": np.repeat(list("abc"), [3, 10, 50]), "feature": [*range(3), *range(10), *range(50)]})
    counts = set()
    for _ in range(20):
        order = removal_order(table, pd.Series(rng.normal(size=63)), "layer")
        counts.add(tuple(table["layer"][removed(table, order, 30)].value_counts().reindex(list("abc")).tolist()))
    assert len(counts) == 1
    assert sum(counts.pop()) == 30


@pytest.mark.parametrize("ranking", RANKINGS)
def test_every_layer_keeps_its_best(ranking: str) -> None:
    order = removal_order(TABLE, SCORES, ranking)
    gone = removed(TABLE, order, 99)
    assert gone.index.equals(TABLE.index)
    assert TABLE["layer"][~gone].tolist() == ["a", "b"]
    assert SCORES[~gone].tolist() == [0.3, 6.0]


def test_only_the_named_layers_are_pruned() -> None:
    order = removal_order(TABLE, SCORES, "layer", layers=("b",))
    assert order.tolist() == [4, 3]
    assert count_of(TABLE, 0.5, ("b",)) == 2
    assert count_of(TABLE, 0.5) == 3


def test_what_is_refused() -> None:
    with pytest.raises(InvalidValue, match="ranking = 'local' is not valid: use one of global, layer, cost"):
        removal_order(TABLE, SCORES, "local")
    with pytest.raises(InvalidValue, match="layers = 'c' is not valid: use one of a, b"):
        removal_order(TABLE, SCORES, "layer", layers=("c",))
    with pytest.raises(InvalidValue, match=r"ratio = 1.0"):
        count_of(TABLE, 1.0)


def test_clusters_of_four_responses() -> None:
    """1 is twice 0, so they join at distance 0 and the stronger 1 stays; 2 is opposed to 0; 3 never varies."""
    base = np.array([0.0, 1.0, 2.0, 3.0])
    responses = np.column_stack([base, 2 * base, 3 - base, np.ones(4)])
    np.testing.assert_allclose(merge_heights(responses), [0.0, 2.0, 2.0, 0.0], atol=1e-12)


def test_a_weaker_cluster_is_swallowed_at_the_mean_distance() -> None:
    """Distances: 0–1 small; average linkage of {0, 1} with 2 is the mean of both distances to 2; strengths 0 > 1 > 2."""
    rng = np.random.default_rng(0)
    first, third = rng.random(500), rng.random(500)
    responses = np.column_stack([first + 3, first + 0.01 * rng.random(500) + 2, third])
    distance = 1 - np.corrcoef(responses.T)
    found = merge_heights(responses)
    np.testing.assert_allclose(found, [2.0, distance[0, 1], (distance[0, 2] + distance[1, 2]) / 2], rtol=1e-9)


def test_one_feature_and_none_that_varies() -> None:
    assert merge_heights(np.array([[1.0], [2.0]])).tolist() == [2.0]
    assert merge_heights(np.ones((3, 2))).tolist() == [0.0, 0.0]
    with pytest.raises(InvalidValue, match="shape of responses"):
        merge_heights(np.ones((1, 2)))
