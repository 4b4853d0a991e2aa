"""Toy specs: axes, overrides, and what cannot be."""

import pytest

from mechanisms.law.regularizers import L1, L2
from mechanisms.validation import InvalidValue
from toy.features.gradients import Dead
from toy.spec import Axis, ToySpec

STRENGTHS = Axis("regularizer.strength", (1e-4, 1e-3))


def test_a_list_makes_an_axis_and_a_value_ends_it():
    spec = ToySpec().with_field("regularizer.strength", [1e-4, 1e-3])
    assert spec.axes == (STRENGTHS,)
    assert spec.settings == 2
    single = spec.with_field("regularizer.strength", 0.5)
    assert single.axes == ()
    assert single.regularizer.strength == 0.5


def test_replacing_a_choice_drops_axes_it_lacks():
    spec = ToySpec(axes=(STRENGTHS, Axis("gradient.sigma", (1e-3,)), Axis("gradient.initial_steps", (1, 2))))
    assert [axis.field for axis in spec.with_field("gradient", "dead").axes] == ["regularizer.strength", "gradient.sigma"]


@pytest.mark.parametrize(
    ("axis", "named"),
    [
        (Axis("steps", (1, 2)), "cannot be an axis"),
        (Axis("moon", (1,)), "cannot be an axis"),
        (Axis("regularizer.strength", ()), "at least one"),
        (Axis("regularizer.strength", (1e-3, -1.0)), "strength"),
        (Axis("regularizer.strength", (1e-3, float("nan"))), "finite"),
        (Axis("regularizer.coupling", ("coupled", "loose")), "decoupled"),
        (Axis("gradient.p", (0.1,)), "sigma"),
        (Axis("learning_rate", (1e-3, 1e-3)), "each value once"),
        (Axis("gradient.initial_steps", (5, 8.5, 20)), "whole number"),
    ],
)
def test_wrong_axes_are_refused_by_name(axis, named):
    with pytest.raises(InvalidValue, match=named):
        ToySpec(axes=(axis,))


def test_a_field_that_one_of_the_choices_lacks_is_no_axis():
    with pytest.raises(InvalidValue, match="beta2"):
        ToySpec(axes=(Axis("rule", ("sgd", "adam")), Axis("rule.beta2", (0.9, 0.99))))


def test_another_regularizer_keeps_strength_and_coupling():
    spec = ToySpec(regularizer=L2(strength=0.5, coupling="independent"))
    assert spec.with_field("regularizer", "l1").regularizer == L1(strength=0.5, coupling="independent")


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0},
        {"features": 1.5},
        {"records": 0},
        {"learning_rate": 0.0},
        {"average_last": 1.5},
        {"decayed": "outgoing"},
        {"dtype": "float16"},
        {"axes": (STRENGTHS, STRENGTHS)},
    ],
)
def test_wrong_fields_are_refused_by_name(fields):
    with pytest.raises(InvalidValue, match=next(iter(fields))):
        ToySpec(**fields)


def test_long_axes_are_checked_quickly():
    values = tuple(i * 1e-9 for i in range(200_000))
    assert ToySpec(gradient=Dead(), axes=(Axis("regularizer.strength", values),)).settings == 200_000
    with pytest.raises(InvalidValue, match="strength"):
        ToySpec(axes=(Axis("regularizer.strength", (*values, -1.0)),))
