"""Regularizers: gradients against finite differences of the penalty, and the meaning of the three couplings."""

import numpy as np
import pytest

from mechanisms.law.regularizers import L1, L2
from mechanisms.validation import InvalidValue

PENALTIES = {L2: lambda w: 0.5 * w**2, L1: abs}


@pytest.mark.parametrize("cls", PENALTIES)
def test_gradient_is_the_slope_of_the_penalty(cls):
    w, h = np.array([-2.0, -0.3, 0.4, 5.0]), 1e-6
    slope = (PENALTIES[cls](w + h) - PENALTIES[cls](w - h)) / (2 * h)
    np.testing.assert_allclose(cls(strength=0.7).gradient(w), 0.7 * slope, rtol=1e-8)


def test_l1_has_no_force_at_zero():
    assert L1(strength=1.0).gradient(np.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize(("coupling", "inside", "beside"), [("coupled", 1, 0), ("decoupled", 0, 0.05), ("independent", 0, 0.5)])
def test_rates(coupling, inside, beside):
    assert L2(strength=1.0, coupling=coupling).rates(0.1, 0.5) == (inside, pytest.approx(beside))


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"strength": -1.0}, "strength"), ({"strength": float("inf")}, "strength"), ({"coupling": "adamw"}, "coupled, decoupled")],
)
def test_refuses_invalid_fields_by_name(fields, named):
    with pytest.raises(InvalidValue, match=named):
        L2(**fields)
