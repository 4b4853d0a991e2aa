"""A training that cuts out what died: the same function, the same numbers of features, the same bits after any interruption."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from full_scale.data.synthetic import Synthetic
from full_scale.models.lenet import LeNet
from full_scale.models.mlp import MLP
from full_scale.models.unet import UNet
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.pruning.spec import EarlySpec, PruningSpec
from full_scale.training import distributed
from full_scale.training.interleaved import require_alone
from full_scale.training.loop import Training, run
from full_scale.training.shrinking import WHOLE, EveryEpochs, EverySteps
from full_scale.training.spec import TrainSpec
from mechanisms.interventions import Freeze
from mechanisms.law.penalties import GroupLasso
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.measures.sparsity import CRITERIA, inactive
from mechanisms.records.specs import choices, from_json, spec_id, to_json
from mechanisms.validation import UserError
from tests.full_scale.test_checkpoints import ALWAYS, TINY, equal, run_until

SPEC = dataclasses.replace(
    TINY,
    data=Synthetic(side=12, train_images=60, test_images=20),
    network=LeNet(channels=(6, 8), hidden=(10,)),
    measurements=1,
    probes=0,
    probe_images=40,
    shrinking=EverySteps(steps=2),
)
DEATHS = {1: ("conv2", [1, 2]), 4: ("conv2", [0, 5]), 5: ("conv1", [3])}
"""Number of updates done → which features die then, by the numbers that they have first."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each update, the features of `DEATHS` whose time has come put out 0 whatever the image."""
    update = Training._update

    def fatal(self: Training, images: Any, labels: Any, scale: float) -> None:
        update(self, images, labels, scale)
        for moment, (name, features) in DEATHS.items():
            layer = next(one for one in self.network.layers if one.name == name)
            numbers = np.arange(layer.features) if self.cuts is None else self.cuts.numbers(layer)
            dead = torch.from_numpy(np.isin(numbers, features)) & (self.done + 1 >= moment)
            assert layer.norm is not None
            with torch.no_grad():
                layer.norm.weight[dead], layer.norm.bias[dead] = 0.0, -1.0

    monkeypatch.setattr(Training, "_update", fatal)


def last(tables: dict[str, pd.DataFrame], name: str = "features") -> pd.DataFrame:
    table = tables[name]
    return table[table["step"] == table["step"].max()].reset_index(drop=True)


@pytest.mark.usefixtures("dying")
def test_tables_keep_what_is_gone_by_its_first_number() -> None:
    spec = dataclasses.replace(SPEC, probes=2)
    tables, extra = run(spec, 0)
    whole, plain = run(dataclasses.replace(spec, shrinking=WHOLE), 0)
    assert "gone" not in whole["features"]
    assert "cuts" not in plain
    for name in ("features", "probes"):
        cut = last(tables, name)
        assert cut[["layer", "feature"]].equals(last(whole, name)[["layer", "feature"]])
        gone = cut[cut["gone"].notna()]
        assert list(zip(gone["layer"], gone["feature"], gone["gone"], strict=True)) == [
            ("conv1", 3, 6.0),
            ("conv2", 0, 4.0),
            ("conv2", 1, 2.0),
            ("conv2", 2, 2.0),
            ("conv2", 5, 4.0),
        ]
        assert (gone["max_activation"] == 0).all()
        assert all(inactive(gone, by).all() for by in CRITERIA)
        assert (gone["scale"] == 0).all()
        assert (gone["selectivity"] == 1).all()
        assert (gone["incoming"] > 0).all()
        assert cut.loc[cut["gone"].isna(), "loss_force"].notna().all()
    assert [cut["step"] for cut in extra["cuts"]] == [2, 4, 6]
    assert sum(cut["features"] for cut in extra["cuts"]) >= 5  # hidden units behind the filters may go too
    sizes = [cut["parameters"] for cut in extra["cuts"]]
    assert [after for _, after in sizes[:-1]] == [before for before, _ in sizes[1:]]
    assert all(before > after for before, after in sizes)


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize("rule", ["sgd", "adabelief"])
def test_what_is_left_trains_as_beside_the_dead(rule: str) -> None:
    """What is dead puts out 0 and gets no gradient, so the rest trains alike up to rounding, forces included."""
    spec = dataclasses.replace(SPEC, rule=choices(AbstractUpdateRule)[rule](), learning_rate=1e-3)
    cut, whole = (last(run(one, 0)[0]) for one in (spec, dataclasses.replace(spec, shrinking=WHOLE)))
    alive = cut["gone"].isna()
    assert (~alive).sum() == 5
    for name in ("scale", "shift", "max_activation", "loss_force", "reg_force", "denominator"):
        np.testing.assert_allclose(cut.loc[alive, name], whole.loc[alive, name], rtol=0.02, atol=2e-4, err_msg=name)


@pytest.mark.usefixtures("dying")
@pytest.mark.parametrize(("rule", "silent", "moments"), [("adam", False, range(1, 12)), ("adabelief", True, (4, 5, 7))])
def test_it_goes_on_bit_for_bit_wherever_it_is_cut_off(
    rule: str, silent: bool, moments: Sequence[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(
        SPEC, rule=choices(AbstractUpdateRule)[rule](), shrinking=EverySteps(steps=2, patience=2, silent=silent), probes=3
    )
    whole, extra = run(spec, 0)
    assert {4, 6, 8} <= {cut["step"] for cut in extra["cuts"] if "parameters" in cut}
    for step in moments:  # one after another, before and after each cut
        run_until(spec, step, tmp_path, monkeypatch)
    resumed, again = run(spec, 0, tmp_path, ALWAYS)
    assert again["resumptions"] == len(moments)
    assert again["cuts"] == extra["cuts"]
    assert equal(whole, resumed)


@pytest.mark.parametrize(
    ("network", "data"), [(MLP(hidden=(8, 6)), SPEC.data), (UNet(width=1 / 8), dataclasses.replace(SPEC.data, side=16))]
)
def test_every_layer_of_a_network_is_numbered(network: Any, data: Any) -> None:
    spec = dataclasses.replace(SPEC, network=network, data=data, steps=2, batch_size=4, shrinking=EverySteps(steps=1))
    training = Training(spec, 0)
    for _ in training.steps():
        for layer in training.network.layers:
            assert layer.norm is not None
            with torch.no_grad():
                layer.norm.weight[0], layer.norm.bias[0] = 0.0, -1.0
    tables, _ = training.result()
    moments = tables["features"].groupby("step").size()
    assert moments.nunique() == 1
    gone = last(tables).set_index("feature")["gone"].notna()
    assert gone.sum() == len(training.network.layers)
    assert gone[0].all()


@pytest.mark.usefixtures("dying")
def test_replayed_steps_are_captured_anew_after_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU, the step that one would replay runs as it is written."""
    found = [last(Training(SPEC, 0, replay=replay).run()[0]) for replay in (False, True)]
    alive = found[0]["gone"].isna()
    assert found[0]["gone"].equals(found[1]["gone"])
    np.testing.assert_allclose(found[1].loc[alive, "scale"], found[0].loc[alive, "scale"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("silent", "left"), [(False, 8), (True, 7)])
def test_what_is_silent_on_the_images_goes_only_where_asked(silent: bool, left: int) -> None:
    training = Training(dataclasses.replace(SPEC, steps=3, shrinking=EverySteps(steps=2, silent=silent)), 0)
    layer = training.network.layers[1]
    assert layer.norm is not None
    for done in training.steps():
        if done == 2:
            with torch.no_grad():
                layer.norm.weight[1], layer.norm.bias[1] = 1.0, -8.0
    assert layer.features == left


def test_epochs_count_steps() -> None:
    assert EveryEpochs(epochs=2, patience=3).interval(10) == 20
    assert EveryEpochs(epochs=2, patience=3).wait(10) == 30


def test_only_what_shrinks_has_another_identity() -> None:
    whole = dataclasses.replace(SPEC, shrinking=WHOLE)
    assert "shrinking" not in to_json(whole)
    assert spec_id(whole) != spec_id(SPEC) != spec_id(dataclasses.replace(SPEC, shrinking=EverySteps(steps=3)))
    assert from_json(TrainSpec, to_json(SPEC)) == SPEC


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: dataclasses.replace(SPEC, interventions=(Freeze(step=1),)), "no interventions"),
        (lambda: dataclasses.replace(SPEC, penalties=(GroupLasso(),)), "no interventions, penalties"),
        (lambda: EverySteps(steps=0), "shrinking.steps = 0"),
        (lambda: EveryEpochs(patience=-1), "shrinking.patience = -1"),
        (lambda: PruningSpec(train=SPEC), "train.shrinking = 'every_steps'"),
        (lambda: SparsifiedSpec(train=SPEC), "train.shrinking = 'every_steps'"),
        (lambda: EarlySpec(train=SPEC), "train.shrinking = 'every_steps'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(wrong: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        wrong()
    assert "\n" not in str(raised.value)


def test_others_on_the_same_gpu_are_refused() -> None:
    training: Any = SimpleNamespace(cuts=object(), device=torch.device("cuda"), spec=SPEC)
    require_alone(training, 1)
    with pytest.raises(UserError, match="shrinking = every_steps beside 2 other runs on one GPU"):
        require_alone(training, 3)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "companions", lambda: (0, 2))
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    with pytest.raises(UserError, match="shrinking = every_steps on 2 processes"):
        Training(SPEC, 0)
