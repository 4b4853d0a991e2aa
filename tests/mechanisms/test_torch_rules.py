"""The written form of a torch optimizer: meaning, identity, JSON, and what is refused before anything is imported."""

import json

import numpy as np
import pytest

from mechanisms.law.torch_rules import TorchRule, TorchStepper, require_drivable
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import (
    choices,
    flatten,
    from_json,
    make_choice,
    override,
    parse_override,
    spec_id,
    to_json,
    written_choices,
)
from mechanisms.validation import InvalidValue
from toy.spec import Axis, ToySpec

WRITTEN = "torch:torch.optim.RAdam(betas=[0.9,0.99])"
RULE = TorchRule("torch.optim.RAdam", '{"betas": [0.9, 0.99]}')


def test_it_is_written_out_and_not_a_choice_by_name_alone():
    assert "torch" not in choices(AbstractUpdateRule)
    assert written_choices(AbstractUpdateRule) == {"torch": TorchRule}
    with pytest.raises(InvalidValue, match=r"sgd, torch:PACKAGE\.CLASS\(name=value, …\)"):
        override(ToySpec(), "rule", "torch")


@pytest.mark.parametrize(
    "text",
    [
        "torch:torch.optim.RAdam(betas=[0.9, 0.99])",
        "torch: torch.optim.RAdam( betas = (0.9, 0.99) )",
        "torch:torch.optim.RAdam(betas=[0.9,0.99],)",
    ],
)
def test_spelling_does_not_matter(text):
    spec = override(ToySpec(), "rule", text)
    assert spec.rule == RULE
    assert spec_id(spec) == spec_id(ToySpec(rule=TorchRule("torch.optim.RAdam", '{ "betas":[0.9,0.99] }')))
    assert make_choice(AbstractUpdateRule, "torch:torch.optim.RAdam", "rule") == TorchRule("torch.optim.RAdam", "{}")


def test_order_of_arguments_does_not_matter_and_values_do():
    one, other = (TorchRule.parse(f"torch:a.B({text})") for text in ("x=1, y='t'", "y='t', x=1"))
    assert spec_id(one) == spec_id(other)
    assert len({spec_id(TorchRule.parse(f"torch:a.B({t})")) for t in ("x=1", "x=2", "x=True", "x=None", "y=1", "")}) == 6


def test_json_round_trip_keeps_spec_and_identity():
    spec = ToySpec(rule=RULE, axes=(Axis("rule.path", ("torch.optim.Adam", "mylib.Lion")),))
    again = from_json(ToySpec, json.loads(json.dumps(to_json(spec))))
    assert again == spec
    assert spec_id(again) == spec_id(spec)


def test_fields_can_be_overridden():
    spec = ToySpec(rule=RULE)
    assert flatten(spec)["rule"] == "torch"
    assert override(spec, "rule.path", "mylib.Lion").rule == TorchRule("mylib.Lion", RULE.arguments)
    replaced = override(spec, *parse_override('rule.arguments={"eps": 1e-6}'))
    assert replaced.rule == TorchRule("torch.optim.RAdam", '{"eps":1e-06}')


def test_commas_split_between_rules_only():
    field, value = parse_override(f"rule=adam,{WRITTEN},torch:a.B(x=1, y=2)")
    assert (field, value) == ("rule", ["adam", WRITTEN, "torch:a.B(x=1, y=2)"])
    assert parse_override(f"rule={WRITTEN}") == ("rule", WRITTEN)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("torch:", "cannot be read"),
        ("torch:a.B(", "cannot be read"),
        ("torch:a.B(\0)", "cannot be read"),
        ("torch:" + "(" * 9999, "cannot be read"),
        ("torch:B()", "does not name a class"),
        ("torch:a.b().C()", "does not name a class"),
        ("torch:a['b'].C()", "does not name a class"),
        ("torch:1+1", "does not name a class"),
        ("torch:a.B(1)", "positional"),
        ("torch:a.B(*x)", "positional"),
        ("torch:a.B(**{'x': 1})", "positional"),
        ("torch:a.B(x=y)", "x is no number"),
        ("torch:a.B(x=open('f'))", "x is no number"),
        ("torch:a.B(x={1, 2})", "x is no number"),
        ("torch:a.B(x=1e999)", "x is no number"),
        ("torch:a.B(x=1, x=2)", "x is given twice"),
        ("torch:a.B(lr=0.1)", "learning_rate"),
        ("torch:a.B(weight_decay=0.1)", "regularizer"),
        ("torch:a.B(params=1)", "params"),
    ],
)
def test_what_is_refused(text, named):
    with pytest.raises(InvalidValue, match=named) as caught:
        make_choice(AbstractUpdateRule, text, "rule")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "arguments", "named"),
    [
        ("Adam", "{}", "rule.path"),
        ("torch.optim.", "{}", "rule.path"),
        (3, "{}", "rule.path"),
        ("a.B", "[1]", "rule.arguments"),
        ("a.B", "{", "rule.arguments"),
        ("a.B", '{"x": NaN}', "rule.arguments"),
        ("a.B", 1, "rule.arguments"),
        ("a.B", '{"lr": 1}', "learning_rate"),
    ],
)
def test_invalid_rules_cannot_exist(path, arguments, named):
    with pytest.raises(InvalidValue, match=named):
        TorchRule(path, arguments)


@pytest.mark.parametrize("name", ["ASGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"])
def test_the_element_wise_classes_of_torch_are_accepted(name):
    require_drivable(TorchRule(f"torch.optim.{name}", '{"lambd": 0.0}' if name == "ASGD" else "{}"))


def test_a_stepper_keeps_what_the_optimizer_remembers():
    """Heavy ball with μ = 0.5 and unit gradients moves by η, then by 1.5 η, from wherever it is put."""
    stepper = TorchStepper(TorchRule("torch.optim.SGD", '{"momentum": 0.5}'), np.zeros(2), 0.1)
    np.testing.assert_allclose(stepper.step(np.zeros(2), np.ones(2), 0.1), -0.1)
    np.testing.assert_allclose(stepper.step(np.array([3.0, 5.0]), np.ones(2), 0.2), [2.7, 4.7])
