"""Selectivity of peaks made by hand, as NumPy arrays and as torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mechanisms.measures.selectivity import SELECTIVITY_LEVEL, activity, selectivity, universality
from mechanisms.validation import InvalidValue

# exemplars × features: used by all; by one of four (the rest at or under 1e-3 of its maximum); silent
PEAKS = np.array([[1.0, 1000.0, 0.0], [2.0, 1.0, 0.0], [3.0, 1e-6, 0.0], [4.0, 0.0, 0.0]])


@pytest.fixture(params=[np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def library(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Any]:
    make: Callable[[np.ndarray], Any] = request.param
    return make


def test_by_hand(library: Callable[[np.ndarray], Any]) -> None:
    peaks = library(PEAKS)
    assert SELECTIVITY_LEVEL == 1e-3
    for found, expected in [
        (activity(peaks), [1, 0.75, 0]),
        (selectivity(peaks), [0, 0.75, 1]),
        (universality(peaks), [1, 0.25, 0]),
        (selectivity(peaks, threshold=0.0), [0, 0.25, 1]),
        (selectivity(peaks, threshold=0.5), [0.5, 0.75, 1]),
        (selectivity(peaks, threshold=2.0, relative=False), [0.5, 0.75, 1]),
        (universality(peaks, threshold=2.0, relative=False), [0.5, 0.25, 0]),
    ]:
        assert isinstance(found, type(peaks))
        assert found.tolist() == expected


def test_only_relative_selectivity_ignores_the_scale_of_a_feature() -> None:
    peaks = np.random.default_rng(0).exponential(size=(50, 6)) ** 4
    scales = np.array([1e-6, 1e-3, 1.0, 4.0, 1e3, 1e6])
    assert np.array_equal(selectivity(peaks * scales, threshold=0.01), selectivity(peaks, threshold=0.01))
    absolute = selectivity(peaks * scales, threshold=0.5, relative=False)
    assert absolute[0] == 1
    assert absolute[-1] < 0.1


def test_float32_shares_are_exact() -> None:
    """Counts are summed as whole numbers: 3 of 7 is 3/7 rounded once, however many exemplars there are."""
    peaks = torch.zeros(70_000, 1)
    peaks[:30_000] = 1
    assert activity(peaks).item() == np.float32(3 / 7)


def test_refusals(library: Callable[[np.ndarray], Any]) -> None:
    with pytest.raises(InvalidValue, match=r"shape of peaks = \(4,\)"):
        activity(library(PEAKS[:, 0]))
    with pytest.raises(InvalidValue, match="at least one exemplar"):
        selectivity(library(PEAKS[:0]))
    with pytest.raises(InvalidValue, match=r"threshold = 1.0 .* \[0, 1\)"):
        selectivity(library(PEAKS), threshold=1.0)
    with pytest.raises(InvalidValue, match="threshold"):
        selectivity(library(PEAKS), threshold=-1.0, relative=False)
