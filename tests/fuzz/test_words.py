"""Every word of a command line, made up at random: understood, or refused in one line."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from full_scale.commands.parts.arguments import _range, _size
from full_scale.suite import LAYER as FULL_SCALE
from mechanisms.records.specs import flatten, from_json, to_json
from mechanisms.records.store import MANIFEST, read_manifest, read_tables
from mechanisms.validation import UserError
from tests.fuzz.damage import FUZZ, understood_or_refused
from toy.spec import ToySpec
from toy.suite import LAYER as TOY

LAYERS = {"toy": (TOY, "decay"), "full_scale": (FULL_SCALE, "digits")}
ODD = [
    "",
    "nan",
    "inf",
    "-1",
    "1e400",
    "9" * 400,
    "true",
    "none",
    "[1",
    "(",
    "'",
    "torch:os.system('id')",
    "custom:os:system",
    "a.b.c",
]
VALUES = st.one_of(st.sampled_from(ODD), st.text(max_size=12), st.integers().map(str), st.floats().map(str))


@pytest.mark.parametrize("layer", LAYERS)
def test_settings(layer):
    described, experiment = LAYERS[layer]
    fields = sorted({name for spec in described.specs(experiment, []) for name in flatten(spec)})

    @FUZZ
    @given(st.one_of(st.sampled_from(fields), st.text(max_size=12)), VALUES)
    def try_one(field, value):
        with understood_or_refused():
            described.specs(experiment, [f"{field}={value}"])

    try_one()


@FUZZ
@given(st.one_of(VALUES, st.text("0123456789,-. ²x", max_size=20)))
@example("1,²")
def test_sizes_and_ranges(text):
    for reader in (lambda: _size(text), lambda: _range(text)):
        with understood_or_refused():
            reader()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
KEYS = ("schema", "layer", "spec_id", "seed", "spec", "tables")


@FUZZ
@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.booleans())
def test_manifests(tmp_path_factory, fields, right_schema):
    folder = tmp_path_factory.mktemp("record")
    (folder / MANIFEST).write_text(json.dumps({**fields, **({"schema": 1} if right_schema else {})}), encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        read_tables(folder, read_manifest(folder))
    assert "\n" not in str(refusal.value)


def with_one_changed(content, draw, value):
    """`content` with `value` in the place of one of its fields, at any depth."""
    changed, inside = json.loads(json.dumps(content)), []
    inside.append(changed)
    while nested := [field for field in inside[-1].values() if isinstance(field, dict)]:
        if draw(st.booleans()):
            break
        inside.append(draw(st.sampled_from(nested)))
    inside[-1][draw(st.sampled_from(sorted(inside[-1])))] = value
    return changed


@pytest.mark.parametrize("spec", [ToySpec(), FULL_SCALE.specs("digits", [])[0]], ids=["toy", "full_scale"])
def test_specs_of_manifests(spec):
    @FUZZ
    @given(st.data(), JSON)
    @example(None, None)
    @example(None, [None, False])
    def try_one(data, value):
        with understood_or_refused():
            from_json(type(spec), with_one_changed(to_json(spec), data.draw, value) if data else value)

    try_one()
