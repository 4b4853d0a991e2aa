"""Steps whose numbers live on the device are the steps of the loop, replayed by a graph too; trainings in turn are alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from full_scale.models.basic_net import BasicNet
from full_scale.suite import LAYER
from full_scale.training.context import computing
from full_scale.training.device_step import step_table
from full_scale.training.interleaved import run_together
from full_scale.training.loop import Training, run
from full_scale.training.optimizer import can_replay
from full_scale.training.spec import TrainSpec
from mechanisms.command_line.framework import main
from mechanisms.law.regularizers import COUPLINGS, L1, L2, AbstractRegularizer
from mechanisms.law.schedules import Cosine
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.records.specs import choices
from mechanisms.records.store import Store
from mechanisms.system.context import HERE, RunContext
from mechanisms.validation import UserError

ALWAYS = RunContext(checkpoint_every=0)
ON_GPU = RunContext(device="cuda")

RULES = {name: rule for name, rule in choices(AbstractUpdateRule).items() if can_replay(rule())}
TINY = TrainSpec(
    network=BasicNet(width=1 / 16),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    schedule=Cosine(),
    batch_size=20,
    steps=6,
    measurements=3,
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: the captured graph is not tried")


def replayed(spec: TrainSpec, checkpoints: Path | None = None) -> tuple[dict[str, pd.DataFrame], bool]:
    with computing():
        tables, extra = Training(spec, 0, checkpoints, ALWAYS, replay=True).run()
    return tables, extra["steps_replayed"]


def assert_close(first: dict[str, pd.DataFrame], second: dict[str, pd.DataFrame]) -> None:
    """Float32, six steps, sums in another order and rates rounded to float32: a wrong coefficient moves forces by far more."""
    for column in ("scale", "shift", "incoming", "outgoing", "loss_force", "reg_force", "denominator"):
        one, other = first["features"][column], second["features"][column]
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-5, err_msg=column)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("regularizer", [L2, L1])
@pytest.mark.parametrize("name", RULES)
def test_steps_by_the_table_are_the_steps_of_the_loop(name: str, regularizer: type[AbstractRegularizer], coupling: str) -> None:
    rule = RULES[name](momentum=0.9) if name == "sgd" else RULES[name]()
    spec = dataclasses.replace(TINY, rule=rule, learning_rate=3e-3, regularizer=regularizer(1e-3, coupling))
    tables, was_replayed = replayed(spec)
    assert was_replayed
    assert_close(run(spec, 0)[0], tables)


def test_the_table_holds_the_numbers_of_every_step() -> None:
    table = step_table(TINY)
    assert table.shape == (6, 9)
    np.testing.assert_allclose(table[:, -2], 1e-2 * TINY.schedule.scale(np.arange(6), 6))
    np.testing.assert_allclose(table[:, 4], 1 / (1 - 0.9 ** np.arange(1, 7)))
    assert not table[:, -1].any()


def test_replayed_steps_go_on_after_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = replayed(TINY)
    with computing():
        steps = Training(TINY, 0, tmp_path, ALWAYS, replay=True).steps()
        assert [next(steps) for _ in range(4)] == [1, 2, 3, 4]
    resumed, _ = replayed(TINY, tmp_path)
    assert all(whole[name].equals(resumed[name]) for name in whole)


def test_trainings_in_turn_are_trainings_alone() -> None:
    specs = [TINY, dataclasses.replace(TINY, steps=3), dataclasses.replace(TINY, regularizer=L2())]
    found = {number: tables for number, tables, _ in run_together([(spec, seed, None, HERE) for seed, spec in enumerate(specs)])}
    for seed, spec in enumerate(specs):
        alone, _ = run(spec, seed)
        assert all(alone[name].equals(found[seed][name]) for name in alone)


def test_the_command_line_makes_runs_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["strength", "network.width=0.0625", "steps=3", "measurements=1"]
    assert main(LAYER, ["run", *words, "--seeds", "2", "--together", "4", "--runs", str(tmp_path)]) == 0
    store = Store(tmp_path, LAYER.name)
    specs = LAYER.specs(words[0], words[1:])
    assert all(store.has(spec, seed) for spec in specs for seed in range(2))
    assert store.load(specs[1], 1)["features"].equals(run(specs[1], 1)[0]["features"])
    assert main(LAYER, ["run", *words, "--together", "0", "--runs", str(tmp_path)]) == 2
    assert "--together" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cuda:99", "quantum"])
def test_a_device_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f"--device {name} cannot be used here"):
        run(TINY, 0, context=RunContext(device=name))


@needs_gpu
@pytest.mark.parametrize("name", RULES)
def test_a_graph_makes_the_steps_of_the_loop(name: str) -> None:
    spec = dataclasses.replace(TINY, rule=RULES[name](), learning_rate=3e-3)
    with computing():
        graph, eager = (Training(spec, 0, context=ON_GPU, replay=replay).run()[0] for replay in (True, False))
    assert_close(eager, graph)


@needs_gpu
def test_trainings_on_streams_of_their_own_are_trainings_alone() -> None:
    alone = [run(TINY, seed, context=ON_GPU)[0] for seed in range(3)]
    for number, tables, _ in run_together([(TINY, seed, None, ON_GPU) for seed in range(3)]):
        assert_close(alone[number], tables)
