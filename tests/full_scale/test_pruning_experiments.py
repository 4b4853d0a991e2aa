"""The experiments about pruning as they are written down."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from full_scale.experiments.protocols import PROTOCOLS
from full_scale.experiments.pruning import LI_PRUNED_A
from full_scale.pruning.spec import PROTOCOLS as PRUNING_PROTOCOLS
from full_scale.pruning.spec import EarlySpec, MatchedSpec, PruningSpec
from full_scale.run_types import KINDS
from full_scale.suite import LAYER
from full_scale.training.spec import TrainSpec
from mechanisms.claims.published import LI_VGG16_A
from mechanisms.measures.criteria import all_criteria
from mechanisms.records.specs import spec_id
from mechanisms.records.suites import PRESETS


def specs_of(name: str, preset: str) -> tuple[Any, ...]:
    specs = LAYER.specs(name, [f"preset={preset}"])
    assert len({spec_id(spec) for spec in specs}) == len(specs)
    return specs


@pytest.mark.parametrize("preset", PRESETS)
def test_all_criteria_on_the_networks_of_adam_and_of_momentum(preset: str) -> None:
    specs, four = specs_of("criteria", preset), PROTOCOLS[preset].four()
    assert [spec.train for spec in specs] == [four[0], four[2]]
    assert all(spec.criteria == tuple(all_criteria()) for spec in specs)
    assert all({"implicit", "one_shot", "scratch"} == set(spec.protocols) for spec in specs)
    assert all("random" in spec.scratch_criteria for spec in specs)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_other_experiments(preset: str) -> None:
    adam, _, momentum, _ = PROTOCOLS[preset].four()
    (matched,) = specs_of("explicit_vs_implicit", preset)
    assert isinstance(matched, MatchedSpec)
    assert (matched.train, matched.conventional) == (adam, momentum)
    assert {"scale", "filter_l1", "random"} <= set(matched.criteria)
    for spec in specs_of("protocols", preset):
        assert isinstance(spec, PruningSpec)
        assert set(spec.protocols) == set(PRUNING_PROTOCOLS)
        assert spec.scratch_criteria == spec.criteria


@pytest.mark.parametrize("preset", PRESETS)
def test_vgg_is_pruned_in_the_layers_of_li(preset: str) -> None:
    for spec in specs_of("vgg16_layers", preset):
        assert spec.train.network.name == "vgg"
        assert (spec.layers, spec.ratios) == (LI_PRUNED_A, (0.5,))
        assert "filter_l1" in spec.criteria
    assert set(LI_PRUNED_A) == {layer for layer, share in LI_VGG16_A.removed.items() if share == 0.5}
    sizes = dict(zip(LI_VGG16_A.removed, (64, 64, 128, 128, *[256] * 3, *[512] * 6), strict=True))
    gone = sum(sizes[layer] * share for layer, share in LI_VGG16_A.removed.items())
    assert gone / sum(sizes.values()) == pytest.approx(LI_VGG16_A.filters_removed)


@pytest.mark.parametrize("preset", PRESETS)
def test_early_settings_are_eleven(preset: str) -> None:
    specs = specs_of("early_prediction", preset)
    assert len(specs) == 11
    assert all(isinstance(spec, EarlySpec) and spec.moments == (0.05, 0.1, 0.2, 0.3) for spec in specs)
    assert [spec.train for spec in specs[:4]] == list(PROTOCOLS[preset].four())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_spec_can_be_run_and_summed_up(kind: type) -> None:
    from mechanisms.records.suites import resolve

    assert callable(resolve(KINDS[kind].run))
    assert callable(resolve(KINDS[kind].summarize))
    assert kind is TrainSpec or "train" in kind.__dataclass_fields__  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", ["demo", "short", "paper"])
def test_trained_sparsifiers_meet_the_implicit_network_of_one_training(preset: str) -> None:
    specs = specs_of("sparsifiers_vs_implicit", preset)
    assert len({spec.train for spec in specs}) == 1
    assert len({spec.conventional for spec in specs}) == len(specs) == 5
    (base,) = specs_of("explicit_vs_implicit", preset)
    for spec in specs:
        bare = dataclasses.replace(spec.conventional, penalties=(), after_update=(), interventions=())
        assert bare == base.conventional
        assert spec.train == base.train
