"""Identity, JSON form and overrides of specs."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.law.regularizers import COUPLINGS, L1, L2
from mechanisms.law.schedules import Stepwise, WarmUp
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.added_fields import added
from mechanisms.records.specs import (
    cast_to,
    choices,
    flatten,
    from_json,
    override,
    parse_override,
    parse_value,
    spec_id,
    to_json,
)
from mechanisms.validation import InvalidValue, UserError
from toy.experiments.scalar import decay
from toy.features.gradients import Product
from toy.spec import Axis, ToySpec

strengths = st.floats(0, 1e6, allow_nan=False)
specs = st.builds(
    ToySpec,
    rule=st.one_of(st.builds(Adam, beta2=st.floats(0, 0.999)), st.builds(SGD, momentum=st.floats(0, 0.99))),
    regularizer=st.one_of(*(st.builds(c, strength=strengths, coupling=st.sampled_from(COUPLINGS)) for c in (L1, L2))),
    steps=st.integers(1, 10**9),
    schedule=st.builds(WarmUp, fraction=st.floats(0, 0.9), after=st.just(Stepwise())),
    axes=st.lists(strengths, min_size=1, max_size=4, unique=True).map(lambda v: (Axis("regularizer.strength", tuple(v)),)),
)


@given(specs)
def test_json_round_trip_keeps_spec_and_identity(spec):
    text = json.dumps(to_json(spec), allow_nan=False)
    again = from_json(ToySpec, json.loads(text))
    assert again == spec
    assert spec_id(again) == spec_id(spec)


@given(specs, specs)
def test_identity_is_equality(one, other):
    assert (spec_id(one) == spec_id(other)) == (to_json(one) == to_json(other))


def test_whole_numbers_and_floats_are_one_identity():
    assert spec_id(ToySpec(learning_rate=1)) == spec_id(ToySpec(learning_rate=1.0))
    assert spec_id(ToySpec(axes=(Axis("learning_rate", (1,)),))) == spec_id(ToySpec(axes=(Axis("learning_rate", (1.0,)),)))
    assert spec_id(ToySpec()) != spec_id(ToySpec(features=9))


def test_identities_are_pinned():
    """A change here orphans every record on disk: make it on purpose."""
    assert spec_id(Adam()) == "e88c5fd14fff"
    assert spec_id(ToySpec()) == "bb7bf1a698ad"
    assert spec_id(decay()[1]) == "d409e724f41f"


def test_identity_does_not_depend_on_the_process():
    code = "from mechanisms.records.specs import spec_id; from toy.spec import ToySpec; print(spec_id(ToySpec()))"
    ids = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert ids == {spec_id(ToySpec())}


def test_every_field_is_written():
    written = to_json(ToySpec())
    assert written["rule"] == {"type": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-08}
    assert set(written) == {"type", *ToySpec.__dataclass_fields__}


@dataclass(frozen=True)
class Early:
    """A spec class as it was when records were made."""

    name: ClassVar[str] = "one"
    steps: int = 3


@dataclass(frozen=True)
class Late:
    """The same class with fields added since."""

    name: ClassVar[str] = "one"
    rate: float = added(0.0)
    parts: tuple[float, ...] = added(())
    steps: int = 3


@dataclass(frozen=True)
class Holder:
    """A spec that holds one with added fields."""

    inner: Late


def test_added_fields_at_their_default_leave_identity_and_json_as_they_were():
    assert to_json(Late()) == to_json(Early())
    assert spec_id(Late()) == spec_id(Early()) == spec_id(Late(rate=0))
    assert from_json(Late, to_json(Early(steps=5))) == Late(steps=5)
    assert from_json(Holder, to_json(Holder(Late()))) == Holder(Late())


def test_added_fields_off_their_default_are_written_and_read():
    spec = Late(rate=2, parts=(1.0,))
    assert to_json(spec) == {"type": "one", "rate": 2.0, "parts": [1.0], "steps": 3}
    assert len({spec_id(Early()), spec_id(Late(rate=2)), spec_id(Late(parts=(1.0,)))}) == 3
    assert from_json(Late, to_json(spec)) == spec
    with pytest.raises(InvalidValue, match="missing fields \\['steps'\\]"):
        from_json(Late, {"type": "one", "rate": 2.0})


def test_added_fields_are_fields_on_the_command_line():
    assert "rate" in flatten(Late())
    assert override(Late(), "rate", 3).rate == 3


def test_override_sets_nested_fields_and_choices():
    spec = override(override(ToySpec(), "rule", "sgd"), "rule.momentum", 0.5)
    assert spec.rule == SGD(momentum=0.5)
    assert override(ToySpec(), "schedule", "stepwise").schedule == Stepwise()
    assert override(override(ToySpec(), "schedule", "stepwise"), "schedule.milestones", 0.5).schedule.milestones == (0.5,)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("stpes", 3, "steps"),
        ("rule", "adamw", "adabelief, adadelta"),
        ("rule.momentum", 0.9, "beta1"),
        ("steps", 2.5, "whole number"),
        ("steps", 0, "from 1"),
        ("steps.x", 1, "no fields"),
        ("learning_rate", "fast", "finite number"),
        ("learning_rate", float("nan"), "finite number"),
        ("regularizer.coupling", "both", "coupled, decoupled, independent"),
        ("rule", 3, "one of"),
        ("learning_rate", 10**400, "finite number"),
        ("steps", 10**30, "whole number"),
    ],
)
def test_wrong_overrides_name_what_is_valid(path, value, named):
    with pytest.raises(InvalidValue, match=named):
        override(ToySpec(), path, value)


@pytest.mark.parametrize("text", ["steps", "=3", "steps=", ""])
def test_overrides_need_a_field_and_a_value(text):
    with pytest.raises(UserError, match="field=value"):
        parse_override(text)


@given(st.text(max_size=30))
def test_any_text_parses_to_something(text):
    parse_value(text)


def test_flatten_names_what_the_command_line_names():
    flat = flatten(ToySpec(gradient=Product()))
    assert flat["gradient"] == "product"
    for path, value in flat.items():
        if path not in ("axes",):
            assert flatten(override(ToySpec(gradient=Product()), path, value))[path] == value


@pytest.mark.parametrize("data", [{}, {"type": "toy", "surplus": 1}])
def test_foreign_json_is_refused(data):
    with pytest.raises(InvalidValue, match="fields"):
        from_json(ToySpec, data)


def test_choices_are_final_classes_by_name():
    found = choices(AbstractUpdateRule)
    assert "adam" in found
    assert all(not cls.__name__.startswith("Abstract") and cls.name == name for name, cls in found.items())


def test_cast_to_tries_each_option_of_a_union():
    assert cast_to(float | str, 1, "x") == 1.0
    assert cast_to(float | str, "coupled", "x") == "coupled"
    assert cast_to(float | None, None, "x") is None
    with pytest.raises(InvalidValue, match="float or str"):
        cast_to(float | str, [1], "x")
