"""The experiments as they are written down: what varies in each is what it says, at every preset, and nothing else."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from full_scale.experiments import interventions
from full_scale.experiments.basic import batch_size
from full_scale.experiments.protocols import MOMENTUM, PROTOCOLS
from full_scale.suite import LAYER
from full_scale.training.spec import DECAYED, TrainSpec
from mechanisms.claims import small_networks
from mechanisms.law.regularizers import COUPLINGS
from mechanisms.records.specs import flatten, spec_id
from mechanisms.records.suites import PRESETS
from mechanisms.validation import InvalidValue

LAW = {"rule", "learning_rate", "regularizer.strength", "regularizer.coupling"}
VARIES: dict[str, set[str]] = {
    "digits": LAW,
    "optimizers": LAW,
    "matched_coupling": LAW,
    "table1": LAW,
    "couplings": {"regularizer.coupling"},
    "horizon": {"regularizer.coupling"},
    "strength": {"regularizer.strength"},
    "batch_size": {"batch_size", "steps"},
    "width": {"network.width"},
    "decayed_parameters": {"decayed"},
    "beta2": {"rule.beta2"},
    "leaky": {"network.negative_slope"},
    "difficulty": {"data.label_noise", "learning_rate", "regularizer.strength", "steps"},
    "vgg16": LAW,
    "vgg11_imagenet": LAW,
    "resnet": LAW,
    "shrinking": {"regularizer.coupling", "shrinking", *(f"shrinking.{part}" for part in ("steps", "patience", "silent"))},
}
"""Experiment → the fields that differ between its specs; where an experiment has several networks, between those of one."""
ONE = {name: field for name, (field, *others) in VARIES.items() if not others}


def specs_of(name: str, preset: str) -> tuple[TrainSpec, ...]:
    function: Any = LAYER.names()[name]
    return function(preset) if inspect.signature(function).parameters else function()  # type: ignore[no-any-return]


def every_experiment() -> Iterator[Any]:
    """Experiments of trainings alone and untreated; `test_pruning_experiments` and `interventions` have the others."""
    for name, function in LAYER.names().items():
        if not isinstance(function()[0], TrainSpec) or function.__module__ == interventions.__name__:
            continue
        for preset in PRESETS if inspect.signature(function).parameters else ("demo",):
            yield pytest.param(name, preset, id=f"{name} {preset}")


def varying(specs: Any) -> set[str]:
    """The fields in which specs differ; those of a rule are its own affair where the rule differs."""
    rows = [{name: repr(value) for name, value in flatten(spec).items()} for spec in specs]
    names = {name for row in rows for name in row if len({other.get(name) for other in rows}) > 1}
    return {name for name in names if "rule" not in names or not name.startswith("rule.")}


@pytest.mark.parametrize(("name", "preset"), list(every_experiment()))
def test_specs_are_distinct_but_for_a_shared_one_and_vary_in_what_is_said(name: str, preset: str) -> None:
    specs = specs_of(name, preset)
    distinct = LAYER.specs(name, [f"preset={preset}"] if name != "digits" else [])
    assert len({spec_id(spec) for spec in specs}) == len(distinct) == len(specs) - (name == "batch_size")
    by_network = {spec.network: [other for other in specs if other.network == spec.network] for spec in specs}
    for alike in by_network.values() if name in ("resnet", "vgg16", "vgg11_imagenet") else [specs]:
        assert varying(alike) == VARIES[name]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_bases_of_a_preset_agree_with_its_lists(preset: str) -> None:
    protocol = PROTOCOLS[preset]
    base = protocol.base
    assert (base.rule.name, base.regularizer.coupling, base.learning_rate) == ("adam", "coupled", protocol.rates[base.rule])
    assert protocol.strengths == tuple(sorted(protocol.strengths))
    assert protocol.strengths[1] == base.regularizer.strength == protocol.independent
    assert len(protocol.strengths) == 3
    assert getattr(base.network, "width") == protocol.width  # noqa: B009
    assert len(base.measured_steps()) > 5


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", ["optimizers", "vgg16", "vgg11_imagenet", "resnet"])
def test_the_four_settings(name: str, preset: str) -> None:
    specs, protocol = specs_of(name, preset), PROTOCOLS[preset]
    for start in range(0, len(specs), 4):
        four = specs[start : start + 4]
        laws = [(spec.rule.name, spec.regularizer.coupling, spec.regularizer.strength > 0) for spec in four]
        assert laws == [
            ("adam", "coupled", True),
            ("adam", "independent", True),
            ("sgd", "coupled", True),
            ("adam", "coupled", False),
        ]
        assert [spec.learning_rate for spec in four] == [protocol.rates[spec.rule] for spec in four]
        assert four[0].regularizer.strength == four[1].regularizer.strength
        assert four[2].regularizer.strength == protocol.momentum[0]
    assert len({spec.network for spec in specs}) == len(specs) // 4


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_of_rules_couplings_and_strengths(preset: str) -> None:
    specs, protocol = specs_of("table1", preset), PROTOCOLS[preset]
    adam = [spec for spec in specs if spec.rule == protocol.base.rule]
    laws = {(spec.regularizer.coupling, spec.regularizer.strength) for spec in adam}
    middle = protocol.base.regularizer.strength
    assert laws == {("coupled", s) for s in (0.0, *protocol.strengths)} | {("independent", middle), ("decoupled", middle)}
    assert {s.regularizer.strength for s in specs if s.rule == MOMENTUM} == set(protocol.momentum)
    others = {spec.rule for spec in specs} - {protocol.base.rule, MOMENTUM}
    assert len(others) == (2 if preset == "demo" else 5)
    assert all(spec.regularizer == protocol.base.regularizer for spec in specs if spec.rule in others)
    assert all(spec.learning_rate == protocol.rates[spec.rule] for spec in specs)


@pytest.mark.parametrize("name", ["table1", "batch_size"])
def test_a_demo_is_at_most_thirty_runs(name: str) -> None:
    assert 3 * len(LAYER.specs(name)) <= 30


@pytest.mark.parametrize("preset", PRESETS)
def test_single_factors_take_the_values_that_are_said(preset: str) -> None:
    protocol, base = PROTOCOLS[preset], PROTOCOLS[preset].base
    found = {name: [flatten(spec)[field] for spec in specs_of(name, preset)] for name, field in ONE.items()}
    assert found["couplings"] == list(COUPLINGS)
    assert found["strength"] == list(protocol.strengths)
    assert found["width"] == [protocol.width / 4, protocol.width / 2, protocol.width]
    assert found["decayed_parameters"] == list(DECAYED)
    assert found["beta2"] == [0.9, 0.99, 0.999]
    assert found["leaky"] == [0.0, 0.01, 0.1]
    assert all(base in specs_of(name, preset) for name in set(ONE) - {"horizon"})
    coupled, independent = specs_of("horizon", preset)
    assert (coupled.steps, independent.regularizer.coupling) == (3 * base.steps, "independent")
    assert varying([coupled, base]) == {"steps"}


@pytest.mark.parametrize("preset", PRESETS)
def test_difficulty_is_noise_at_two_rates(preset: str) -> None:
    specs, base = specs_of("difficulty", preset), PROTOCOLS[preset].base
    for pair in (specs[:2], specs[2:]):
        assert varying(pair) == {"data.label_noise"}
        assert [flatten(spec)["data.label_noise"] for spec in pair] == [0.0, 0.2]
    assert specs[0] == base
    assert specs[2].learning_rate < base.learning_rate
    assert specs[2].steps > base.steps


@pytest.mark.parametrize("preset", PRESETS)
def test_batch_sizes_at_equal_steps_and_at_equal_epochs(preset: str) -> None:
    specs, sizes, base = specs_of("batch_size", preset), PROTOCOLS[preset].batch_sizes, PROTOCOLS[preset].base
    at_steps, at_epochs = specs[: len(sizes)], specs[len(sizes) :]
    assert [spec.batch_size for spec in specs] == [*sizes, *sizes]
    assert {spec.steps for spec in at_steps} == {base.steps}
    for spec in at_epochs:
        assert abs(spec.steps * spec.batch_size - base.steps * base.batch_size) <= spec.batch_size


@pytest.mark.parametrize("equal", ["steps", "epochs"])
@pytest.mark.parametrize("preset", [*PRESETS, "odd sizes"])
def test_the_verdicts_on_the_batch_size_compare_every_size_once(preset: str, equal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd sizes: no whole number of batches makes the images of the base's epochs."""
    odd = dataclasses.replace(PROTOCOLS["demo"], batch_sizes=(20, 40, 70, 110))
    monkeypatch.setitem(PROTOCOLS, "odd sizes", odd)
    compared: list[pd.DataFrame] = []

    def trend_of(field: str, sign: int) -> Any:
        assert (field, sign) == ("batch_size", -1)
        return compared.append

    monkeypatch.setattr(small_networks, "_trend_of", trend_of)
    rows = [{"spec.steps": spec.steps, "spec.batch_size": spec.batch_size} for spec in batch_size(preset)]
    small_networks._at_equal(equal)(pd.DataFrame(rows).drop_duplicates())
    (chosen,) = compared
    assert sorted(chosen["spec.batch_size"]) == list(PROTOCOLS[preset].batch_sizes)
    images = chosen["spec.steps"] * chosen["spec.batch_size"]
    spread = chosen["spec.steps"] if equal == "steps" else images
    assert spread.max() - spread.min() <= (0 if equal == "steps" else chosen["spec.batch_size"].max())


TOGETHER = ["data=synthetic", "data.classes=2000", "data.test_images=2000"]


@pytest.mark.parametrize("words", [TOGETHER, TOGETHER[::-1]], ids=["in order", "backwards"])
def test_overrides_of_parts_are_judged_together(words: list[str]) -> None:
    for spec in LAYER.specs("optimizers", words):
        assert (spec.data.name, spec.data.classes, spec.data.test_size) == ("synthetic", 2000, 2000)
        assert dataclasses.replace(spec, data=PROTOCOLS["demo"].base.data) in specs_of("optimizers", "demo")


def test_overrides_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"data\.test_images = 1000 is not valid"):
        LAYER.specs("optimizers", TOGETHER[:2])
