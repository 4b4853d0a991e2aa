"""Scores of removal on four features of two layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mechanisms.measures.removal_scores import SCORES, require_scores
from mechanisms.validation import InvalidValue

FOUR = pd.DataFrame(
    {
        "layer": ["conv1", "conv1", "fc1", "fc1"],
        "feature": [0, 1, 0, 1],
        "incoming": [4.0, 1.0, 10.0, 0.0],
        "outgoing": [2.0, 1.0, np.nan, np.nan],
        "mean_activation": [1.0, 0.5, 0.0, 0.0],
        "scale": [0.5, -2.0, np.nan, np.nan],
        "entropic_weight": [0.9, 0.1, 0.5, 0.5],
    }
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relative_norm", [1 * 0.5, 0.25 * 2, 1, 0]),
        ("activation", [1, 0.5, 0, 0]),
        ("reach", [1, 0.25, 0, 0]),
        ("entropic", [1.8, 0.2, 1, 1]),
    ],
)
def test_on_four_features(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(SCORES[name](FOUR), expected)


@pytest.mark.parametrize("name", SCORES)
def test_what_all_layers_lack_counts_as_alike(name: str) -> None:
    bare = FOUR.assign(scale=np.nan, outgoing=np.nan)
    assert np.isfinite(SCORES[name](bare)).all()


def test_unknown_scores_are_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidValue, match="relative_norm"):
        require_scores("scores", ("taylor",))
