"""Penalties on four numbers, against automatic differentiation, and what must hold of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mechanisms.law.penalties import (
    LEVELS,
    AbstractPenalty,
    FilterBank,
    GroupLasso,
    L1OfPart,
    L1OverL2,
    SelectiveL1,
    projection,
)
from mechanisms.law.regularizers import COUPLINGS, L1
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue

KINDS = choices(AbstractPenalty)
FORMS = [kind() for kind in KINDS.values()] + [L1OverL2(level=level) for level in LEVELS[:2]]
every_form = pytest.mark.parametrize("penalty", FORMS, ids=lambda one: f"{one.name}-{getattr(one, 'level', '')}")
TWO_BY_TWO = np.array([[[3.0], [4.0]], [[0.0], [-2.0]]])
"""Two features of two channels: norms 5 and 2."""
weights = arrays(np.float64, (3, 2, 4), elements=st.floats(-10, 10).map(lambda x: round(x, 3)))


@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        (L1OfPart(), 9, [1, 1, 0, -1]),
        (SelectiveL1(), 9, [1, 1, 0, -1]),
        (GroupLasso(), 7, [3 / 5, 4 / 5, 0, -1]),
        (
            L1OverL2(level="element"),
            9 / 29**0.5,
            [s / 29**0.5 - x * 9 / 29**1.5 for s, x in ((1, 3), (1, 4), (0, 0), (-1, -2))],
        ),
        (L1OverL2(level="filter"), 7 / 5 + 1, [1 / 5 - 3 * 7 / 125, 1 / 5 - 4 * 7 / 125, 0, 0]),
        (
            L1OverL2(level="group"),
            7 / 29**0.5,
            [(1 / 29**0.5 - norm * 7 / 29**1.5) * x / norm for norm, x in ((5, 3), (5, 4), (2, 0), (2, -2))],
        ),
    ],
    ids=lambda one: f"{one.name}-{getattr(one, 'level', '')}" if isinstance(one, AbstractPenalty) else "",
)
def test_on_four_numbers(penalty: Any, value: float, slope: list[float]) -> None:
    assert penalty.value(TWO_BY_TWO) == pytest.approx(value)
    np.testing.assert_allclose(penalty.slope(TWO_BY_TWO).ravel(), slope, atol=1e-12)


def test_a_filter_bank_of_one_leaves_the_mean_of_a_kernel() -> None:
    kernel = np.array([[[1.0, 2.0, 3.0, 6.0]]])
    found = FilterBank(bank=1)
    np.testing.assert_allclose(found.slope(kernel).ravel(), [-2, -1, 0, 3], atol=1e-12)
    assert found.value(kernel) == pytest.approx((4 + 1 + 9) / 2)


@every_form
def test_the_slope_is_the_gradient_of_the_value(penalty: Any) -> None:
    drawn = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 3, 9))).requires_grad_()
    (expected,) = torch.autograd.grad(penalty.value(drawn), drawn)
    torch.testing.assert_close(penalty.slope(drawn.detach()), expected, rtol=1e-12, atol=1e-14)


@every_form
def test_numpy_and_torch_agree_and_keep_the_precision(penalty: Any) -> None:
    drawn = np.random.default_rng(4).normal(size=(4, 3, 9)).astype(np.float32)
    drawn[1] = 0
    found = penalty.slope(torch.from_numpy(drawn))
    assert found.dtype == torch.float32
    assert penalty.slope(drawn).dtype == np.float32
    np.testing.assert_allclose(found.numpy(), penalty.slope(drawn), rtol=1e-5, atol=1e-6)


@every_form
def test_what_is_dead_is_left_alone(penalty: Any) -> None:
    drawn = np.random.default_rng(4).normal(size=(4, 3, 9))
    drawn[1] = 0
    assert not penalty.slope(drawn)[1].any()
    assert not penalty.slope(np.zeros((4, 3, 9))).any()
    assert penalty.value(np.zeros((4, 3, 9))) == 0


@pytest.mark.parametrize("level", LEVELS)
@given(weights, st.floats(1e-3, 1e3))
def test_the_ratio_does_not_depend_on_scale_and_its_gradient_is_orthogonal(level: str, w: np.ndarray, factor: float) -> None:
    penalty = L1OverL2(level=level)
    value, slope = penalty.value(w), penalty.slope(w)
    assert penalty.value(factor * w) == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(penalty.slope(factor * w) * factor, slope, rtol=1e-6, atol=1e-9 * (1 + abs(slope).max()))
    assert abs((w * slope).sum()) <= 1e-9 * (1 + abs(w * slope).sum())


@given(weights)
def test_the_ratio_lies_between_one_and_the_root_of_the_number(w: np.ndarray) -> None:
    if w.any():
        assert 1 - 1e-9 <= L1OverL2(level="element").value(w) <= w.size**0.5 + 1e-9


@pytest.mark.parametrize(("taps", "bank"), [(9, 3), (25, 6), (9, 1)])
def test_the_bank_is_projected_onto(taps: int, bank: int) -> None:
    found = projection(taps, bank)
    np.testing.assert_allclose(found @ found, found, atol=1e-12)
    np.testing.assert_allclose(found, found.T)
    assert np.trace(found) == pytest.approx(bank)
    np.testing.assert_allclose(found @ np.ones(taps), np.ones(taps))
    smooth = np.random.default_rng(0).normal(size=(2, 3, taps)) @ found
    assert FilterBank(bank=bank).value(smooth) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(("taps", "bank"), [(1, 3), (6, 3), (9, 9)])
def test_kernels_that_no_bank_fits_are_free(taps: int, bank: int) -> None:
    assert not FilterBank(bank=bank).slope(np.ones((2, 3, taps))).any()


def test_the_strength_of_a_feature_grows_with_its_selectivity() -> None:
    share = np.linspace(0, 1, 11)
    assert (np.diff(SelectiveL1().factors(share)) > 0).all()
    assert SelectiveL1(power=2).factors(share) == pytest.approx(share**2)
    assert L1OfPart().factors(share) == pytest.approx(np.ones(11))


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_penalty_enters_as_a_regularizer_does(coupling: str) -> None:
    assert L1OfPart(coupling=coupling).entrance(0.1, 0.5) == L1(coupling=coupling).rates(0.1, 0.5)


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        (GroupLasso, {"strength": -1}, "strength"),
        (GroupLasso, {"coupling": "adamw"}, "coupled, decoupled"),
        (GroupLasso, {"part": "shift"}, "scale"),
        (FilterBank, {"part": "scale"}, "incoming"),
        (FilterBank, {"bank": 0}, "bank"),
        (L1OverL2, {"level": "layer"}, "element"),
        (SelectiveL1, {"power": 0}, "power"),
    ],
)
def test_refuses_invalid_fields_by_name(kind: Any, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        kind(**fields)
