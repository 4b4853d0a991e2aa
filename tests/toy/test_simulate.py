"""The simulation around the engines: grids, records, averages, activity, memory."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.command_line.framework import main
from mechanisms.records.columns import check
from toy import run_types
from toy.experiments import selective
from toy.features.gradients import Dead, Selective, Visited
from toy.layer.spec import LayerSpec
from toy.simulate import groups, recorded_steps, run
from toy.spec import Axis, ToySpec
from toy.suite import LAYER


def test_recorded_steps_are_log_spaced_and_end_at_the_end():
    steps = recorded_steps(10_000, 200)
    assert len(steps) <= 200
    assert (np.diff(steps) > 0).all()
    assert (steps[0], steps[-1]) == (1, 10_000)
    assert recorded_steps(5, 200).tolist() == [1, 2, 3, 4, 5]


def test_a_grid_has_every_setting_once(simulate):
    axes = (
        Axis("regularizer.coupling", ("coupled", "independent")),
        Axis("rule.beta2", (0.9, 0.99)),
        Axis("learning_rate", (1e-3, 1e-2)),
    )
    table = simulate(ToySpec(steps=20, records=1, features=2, axes=axes))
    check(table, "features")
    names = [f"spec.{axis.field}" for axis in axes]
    assert table.groupby(names).size().tolist() == [2] * 8
    assert {len(list(groups(ToySpec(axes=axes))))} == {4}


def test_settings_of_a_grid_meet_the_same_noise(simulate):
    table = simulate(ToySpec(steps=50, features=2, records=1, axes=(Axis("regularizer.strength", (0.0, 1e-9)),)))
    one, other = (part["scale"].to_numpy() for _, part in table.groupby("spec.regularizer.strength"))
    np.testing.assert_allclose(one, other, atol=1e-7)
    assert one[0] != one[1]


def test_seeds_differ_and_repeat():
    spec = ToySpec(steps=50, records=1)
    ends = [run(spec, seed)[0]["features"]["scale"].to_numpy() for seed in (0, 0, 1)]
    assert (ends[0] == ends[1]).all()
    assert (ends[0] != ends[2]).all()


def test_averages_are_those_of_the_recorded_end(simulate):
    table = simulate(ToySpec(gradient=Selective(), steps=200, records=200, average_last=0.25, features=3))
    for _, one in table.groupby("feature"):
        last = one[one["step"] > 150]["scale"]
        assert one["product_mean"].iloc[0] == pytest.approx(last.mean())
        assert one["product_rms"].iloc[0] == pytest.approx(np.sqrt((last**2).mean()))


def test_activity_counts_steps_with_a_gradient(simulate):
    visited = simulate(ToySpec(gradient=Visited(activity=0.2), steps=5000, records=1, features=20))["activity"]
    assert visited.mean() == pytest.approx(0.2, abs=4.5 * np.sqrt(0.16 / 1e5))
    assert (simulate(ToySpec(gradient=Dead(alive_steps=25), steps=100, records=1))["activity"] == 0.25).all()


def test_memory_does_not_grow_with_the_steps():
    peaks = []
    for steps in (2_000, 12_000):
        spec = ToySpec(steps=steps, features=3_000, records=1)
        run(spec, 0)
        tracemalloc.start()
        run(spec, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 12_000 * 3_000 * 8 / 4


@pytest.mark.parametrize("name", LAYER.names())
def test_every_experiment_gives_valid_distinct_specs(name):
    specs = LAYER.specs(name)
    assert len(specs) == len(LAYER.names()[name]())
    for spec in LAYER.specs(name, ["features=1"] if isinstance(specs[0], LayerSpec) else ["steps=3", "features=1"]):
        if isinstance(spec, LayerSpec):
            early = tuple(replace(one, step=min(one.step, 2)) for one in spec.interventions)
            spec = replace(spec, replicates=1, exemplars=spec.batch_size, steps=3, interventions=early)
        for table, columns in run_types.run(spec, 0)[0].items():
            check(columns, table)


def test_decay_covers_rules_couplings_and_strengths():
    specs = LAYER.specs("decay")
    assert len({spec.rule.name for spec in specs}) >= 7
    assert all(spec.settings >= 15 for spec in specs)


def test_private_helpers_are_no_experiments():
    assert hasattr(selective, "_rare_feature")
    assert "_rare_feature" not in LAYER.names()


def test_a_choice_as_an_axis_keeps_the_fields_of_its_cells(simulate):
    """The axis over rules may stand before or behind the axis over one of their fields."""
    rules, memory = Axis("rule", ("adam", "amsgrad")), Axis("rule.beta2", (0.9, 0.999))
    common = {"gradient": Selective(p=0.05), "steps": 400, "records": 1, "features": 2}
    for axes in ((rules, memory), (memory, rules)):
        table = simulate(ToySpec(**common, axes=axes))
        for name in ("adam", "amsgrad"):
            for beta2 in (0.9, 0.999):
                cell = table[(table["spec.rule"] == name) & (table["spec.rule.beta2"] == beta2)]
                alone = simulate(ToySpec(**common).with_field("rule", name).with_field("rule.beta2", beta2))
                np.testing.assert_array_equal(cell["scale"], alone["scale"])


def test_a_short_window_averages_one_step(simulate):
    table = simulate(ToySpec(gradient=Selective(), steps=100, records=1, average_last=1e-6, features=2))
    np.testing.assert_allclose(table["product_mean"], table["product"])


def test_divergence_is_said_and_not_called_alive(tmp_path, capsys):
    arguments = ["run", "decay", "rule=sgd", "regularizer.coupling=coupled", "regularizer.strength=1e300", "learning_rate=1e10"]
    assert main(LAYER, [*arguments, "steps=1000", "--seeds", "1", "--runs", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    assert "diverged" in printed.err
    assert json.loads(printed.out)[0]["sparsity"] is None
