"""Schedules as multiples of the base rate."""

import numpy as np
import pytest

from mechanisms.law.schedules import AbstractSchedule, Constant, Cosine, Stepwise, WarmUp
from mechanisms.records.specs import choices
from mechanisms.validation import InvalidValue


def test_stepwise_drops_at_its_milestones():
    scale = Stepwise(milestones=(0.6, 0.85), factor=0.1).scale(np.arange(1200), 1200)
    np.testing.assert_allclose(scale[[0, 719, 720, 1019, 1020, 1199]], [1, 1, 0.1, 0.1, 0.01, 0.01])
    assert Stepwise().effective_steps(1200) == pytest.approx(720 + 30 + 1.8)


def test_cosine_runs_from_one_to_final():
    scale = Cosine(final=0.2).scale(np.array([0, 50, 100]), 100)
    np.testing.assert_allclose(scale, [1, 0.6, 0.2])


def test_warm_up_rises_to_the_base_rate_and_then_follows():
    scale = WarmUp(fraction=0.1, after=Stepwise(milestones=(0.5,))).scale(np.arange(100), 100)
    np.testing.assert_allclose(scale[:10], np.arange(1, 11) / 10)
    assert (scale[10:50] == 1).all()
    np.testing.assert_allclose(scale[50:], 0.1)


@pytest.mark.parametrize("name", choices(AbstractSchedule))
def test_one_step_equals_the_array(name):
    schedule = choices(AbstractSchedule)[name]()
    together = schedule.scale(np.arange(20), 20)
    assert together.shape == (20,)
    assert [float(schedule.scale(t, 20)) for t in range(20)] == pytest.approx(together.tolist())


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Stepwise(milestones=(0.8, 0.2)), "milestones"),
        (lambda: Stepwise(factor=0), "factor"),
        (lambda: Cosine(final=-0.1), "final"),
        (lambda: WarmUp(fraction=1.0), "fraction"),
        (lambda: WarmUp(after=WarmUp(after=Constant())), "after"),
    ],
)
def test_refuses_invalid_fields_by_name(make, field):
    with pytest.raises(InvalidValue, match=field):
        make()
