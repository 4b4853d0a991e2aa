"""The experiments about interventions as they are written down: what varies is what is done, and the memory is short."""

from __future__ import annotations

import pytest

from full_scale.experiments.interventions import ADAM, balance, barrier, factors, full_batch, gate, rescale
from mechanisms.interventions import All, ClampNorm, DecayOnly, Freeze, Gate, Random, Rescale
from mechanisms.records.specs import spec_id
from mechanisms.records.suites import PRESETS

EXPERIMENTS = (rescale, gate, factors, balance, barrier, full_batch)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
LAWS = [("adam", "coupled"), ("adam", "decoupled"), ("adam", "independent"), ("sgd", "coupled")]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_specs_are_distinct_and_memory_is_short_against_the_run(experiment, preset):
    specs = experiment(preset)
    assert len({spec_id(spec) for spec in specs}) == len(specs)
    assert {spec.rule for spec in specs if spec.rule.name == "adam"} == {ADAM}
    assert all(spec.steps >= 10 / (1 - ADAM.beta2) for spec in specs)


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_every_factor_under_every_law_on_half_and_on_all(preset):
    found = {}
    for spec in rescale(preset):
        (one,) = spec.interventions
        assert isinstance(one, Rescale)
        found.setdefault((spec.rule.name, spec.regularizer.coupling), set()).add((type(one.filters), one.factor))
    assert list(found) == LAWS
    wanted = {(Random, factor) for factor in FACTORS} | {(All, factor) for factor in FACTORS if factor != 1}
    assert all(treatments == wanted for treatments in found.values())


def test_the_smaller_grid_has_what_the_hypotheses_ask_for():
    coupled = [s.interventions[0] for s in rescale("short") if (s.rule, s.regularizer.coupling) == (ADAM, "coupled")]
    assert {(type(one.filters), one.factor) for one in coupled} >= {(Random, f) for f in FACTORS} | {(All, 0.5), (All, 2.0)}
    gates = [(s.rule.name, s.regularizer.coupling, s.interventions[0]) for s in gate("short")]
    everywhere = {(rule, coupling, one.mean_restored) for rule, coupling, one in gates if one.probability == 0.1}
    assert everywhere == {(*law, restored) for law in (LAWS[0], LAWS[1], LAWS[3]) for restored in (False, True)}


@pytest.mark.parametrize("preset", PRESETS)
def test_gates_factors_and_the_rest(preset):
    assert all(isinstance(one, Gate) for spec in gate(preset) for one in spec.interventions)
    decayed = [(spec.interventions[0].parts, len(spec.interventions)) for spec in factors(preset)]
    assert len({parts for parts, _ in decayed}) == 7
    assert sorted(count for _, count in decayed) == [1] * 7 + [2] * 7
    assert all(
        isinstance(s.interventions[0], DecayOnly) and isinstance(s.interventions[-1], DecayOnly | ClampNorm)
        for s in factors(preset)
    )
    assert [len({(spec.rule, spec.regularizer) for spec in experiment(preset)}) for experiment in (balance, barrier)] == [3, 1]
    assert isinstance(barrier(preset)[1].interventions[0], Freeze)
    usual, full = full_batch(preset)
    assert full.batch_size == usual.data.train_size
