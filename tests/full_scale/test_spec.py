"""Training specs: validated, torch-free, with an identity that does not move."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from full_scale.experiments.basic import digits
from full_scale.models.basic_net import BasicNet
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.records.specs import from_json, override, spec_id, to_json
from mechanisms.validation import InvalidValue

SPEC = TrainSpec(rule=Adam(), regularizer=L2(strength=3e-3), learning_rate=1e-2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("decayed", "gamma"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("batch_size", 1),
        ("batch_size", 1348),
        ("batch_size", True),
        ("steps", 0),
        ("steps", 1.5),
        ("measurements", 0),
    ],
)
def test_impossible_values_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=field):
        dataclasses.replace(SPEC, **{field: value})


def test_a_network_that_does_not_fit_the_images_is_refused() -> None:
    with pytest.raises(InvalidValue, match="pools_after"):
        dataclasses.replace(SPEC, network=BasicNet(pools_after=(1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("steps", "measurements", "expected"),
    [(1200, 3, (0, 400, 800, 1200)), (10, 4, (0, 2, 5, 8, 10)), (3, 3, (0, 1, 2, 3)), (2, 10**9, (0, 1, 2)), (7, 1, (0, 7))],
)
def test_measured_steps_are_spread_from_0_to_the_end(steps: int, measurements: int, expected: tuple[int, ...]) -> None:
    assert dataclasses.replace(SPEC, steps=steps, measurements=measurements).measured_steps() == expected


def test_measured_steps_are_distinct_however_many() -> None:
    for steps in range(1, 40):
        for measurements in range(1, steps + 1):
            found = dataclasses.replace(SPEC, steps=steps, measurements=measurements).measured_steps()
            assert len(set(found)) == measurements + 1
            assert (found[0], found[-1]) == (0, steps)


def test_a_spec_survives_json() -> None:
    changed = override(override(SPEC, "network.width", 0.5), "schedule", "cosine")
    assert from_json(TrainSpec, to_json(changed)) == changed
    assert spec_id(changed) != spec_id(SPEC)


def test_identity_is_pinned() -> None:
    """A change here makes every record on disk unfindable: it must be meant."""
    assert [spec_id(spec) for spec in digits()] == ["f7686e989ff2", "573349504d5b", "751adcf23ed8", "44e52d1259a9"]


def test_the_demo_compares_what_it_says() -> None:
    coupled, independent, sgd, none = digits()
    assert (coupled.regularizer.coupling, independent.regularizer.coupling) == ("coupled", "independent")
    assert coupled.regularizer.strength == independent.regularizer.strength == 3e-3
    assert (sgd.rule.name, none.regularizer.strength) == ("sgd", 0)
    assert len({(s.network, s.data, s.batch_size, s.steps, s.schedule, s.decayed) for s in digits()}) == 1
