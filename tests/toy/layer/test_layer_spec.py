"""Specs of the layer model: their identity, and what cannot be."""

import json

import pytest

from mechanisms.law.regularizers import L1
from mechanisms.law.torch_rules import TorchRule
from mechanisms.records.specs import cast_to, field_types, from_json, override, spec_id, to_json
from mechanisms.validation import InvalidValue
from toy.layer.spec import DECAYED, LayerSpec


def test_a_spec_survives_its_manifest():
    spec = LayerSpec(regularizer=L1(strength=1e-2), decayed=("scale",), activation="leaky_relu", dtype="float32")
    assert from_json(LayerSpec, json.loads(json.dumps(to_json(spec)))) == spec
    assert to_json(spec)["type"] == "LayerSpec"


def test_the_order_of_what_is_decayed_is_no_difference():
    assert spec_id(LayerSpec(decayed=DECAYED[::-1])) == spec_id(LayerSpec())
    assert LayerSpec(decayed=()).decayed == ()


def test_every_field_is_of_its_kind():
    for name, annotation in field_types(LayerSpec).items():
        assert cast_to(annotation, getattr(LayerSpec(), name), name) == getattr(LayerSpec(), name)


def test_records_are_even_and_start_at_the_start():
    assert LayerSpec(steps=3, records=10).recorded_steps().tolist() == [0, 1, 2, 3]
    assert LayerSpec(steps=1500, records=1).recorded_steps().tolist() == [0, 1500]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("features", 0),
        ("inputs", 1.5),
        ("batch_size", 1),
        ("batch_size", 1001),
        ("label_noise", -0.1),
        ("activation", "gelu"),
        ("batchnorm_epsilon", 0.0),
        ("feature_normalization", "yes"),
        ("decayed", ("shift",)),
        ("dtype", "float16"),
        ("records", 0),
        ("replicates", 0),
    ],
)
def test_wrong_fields_are_refused_by_name(field, value):
    with pytest.raises(InvalidValue, match=field):
        LayerSpec(**{field: value})


def test_a_rule_of_torch_is_refused_with_what_to_do():
    with pytest.raises(InvalidValue, match="rule of this package"):
        LayerSpec(rule=TorchRule("torch.optim.RAdam"))
    assert override(LayerSpec(), "rule", "sgd").rule.name == "sgd"
