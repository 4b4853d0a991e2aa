"""Protocols on tiny specs: what is removed, that surgery keeps the masked function, and that a run is decided by its spec."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from full_scale.measure.silencing import without_features
from full_scale.models.basic_net import BasicNet
from full_scale.pruning.protocols import finished, run, run_matched, without
from full_scale.pruning.spec import PROTOCOLS, EarlySpec, MatchedSpec, PruningSpec
from full_scale.run_types import KINDS, run_together, spec_of
from full_scale.suite import LAYER
from full_scale.training.loop import Training
from full_scale.training.loop import run as run_training
from full_scale.training.spec import TrainSpec
from mechanisms.command_line.framework import main
from mechanisms.interventions.rescaling import Rescale
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.records.columns import check
from mechanisms.records.specs import spec_id, to_json
from mechanisms.system.context import HERE
from mechanisms.validation import InvalidValue

TINY = TrainSpec(
    network=BasicNet(width=1 / 16), rule=Adam(), regularizer=L2(strength=1e-2), learning_rate=1e-2, steps=6, measurements=2
)
SPEC = PruningSpec(
    train=TINY,
    protocols=PROTOCOLS,
    criteria=("scale", "random"),
    rankings=("layer",),
    ratios=(0.5,),
    tuning_steps=4,
    rounds=2,
    images=60,
)
TIMES = ["milliseconds", "milliseconds_before"]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return run(SPEC, 0)[0]


def rows(tables: dict[str, pd.DataFrame], **wanted: Any) -> pd.DataFrame:
    table = tables["pruned"]
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def test_every_protocol_leaves_its_rows(tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        check(table, name)
    counts = tables["pruned"]["protocol"].value_counts().to_dict()
    assert counts == {"trained": 1, "tuned": 1, "implicit": 2, "one_shot": 2, "iterative": 2, "scratch": 1}
    steps = tables["pruned"].groupby("protocol")["tuning_steps"].first().to_dict()
    assert steps == {"trained": 0, "tuned": 4, "implicit": 0, "one_shot": 4, "iterative": 4, "scratch": 6 + 4}
    assert len(tables["layers"]) == 7 * len(tables["pruned"])


def test_the_training_is_the_one_that_stands_alone(tables: dict[str, pd.DataFrame]) -> None:
    alone, _ = run_training(TINY, 0)
    for name in alone:
        pd.testing.assert_frame_equal(tables[name], alone[name])
    (trained,) = rows(tables, protocol="trained")["test_error"]
    assert trained == alone["curve"]["test_error"].iloc[-1]


def test_half_of_each_layer_goes_and_what_is_left_is_counted(tables: dict[str, pd.DataFrame]) -> None:
    for protocol in ("one_shot", "iterative"):
        layers = tables["layers"]
        own = layers[(layers["protocol"] == protocol) & (layers["criterion"] == "scale")]
        assert own["features"].tolist() == [4, 8, 8, 16, 16, 32, 32]
        assert own["kept"].sum() == 116 - 58
        assert (own["kept"] - own["features"] / 2).abs().max() <= 1
        (found,) = rows(tables, protocol=protocol, criterion="scale")["removed"]
        assert found == 0.5


def test_costs_are_those_of_the_smaller_network(tables: dict[str, pd.DataFrame]) -> None:
    """Of BasicNet with these channels, by hand: 3 × 3 weights, two parameters a feature for BatchNorm, the linear layers."""
    layers = tables["layers"]
    kept = layers[(layers["protocol"] == "one_shot") & (layers["criterion"] == "random")]["kept"].tolist()
    parameters = sum(9 * a * b + 2 * b for a, b in zip([1, *kept], kept, strict=False)) + kept[-1] * 4 * 16 + 16 + 16 * 10 + 10
    row = rows(tables, protocol="one_shot", criterion="random").iloc[0]
    assert row["parameters"] == parameters
    sides = [8, 8, 4, 4, 2, 2, 2]
    maps = sum(9 * a * b * side**2 for a, b, side in zip([1, *kept], kept, sides, strict=False))
    assert row["macs"] == maps + kept[-1] * 4 * 16 + 16 * 10
    assert row["parameters_before"] == sum(p.numel() for p in Training(TINY, 0).network.module.parameters())
    assert row["milliseconds"] > 0


@pytest.mark.parametrize("network", [BasicNet(width=1 / 16), BasicNet(width=1 / 16, negative_slope=0.1)], ids=["relu", "leaky"])
def test_surgery_keeps_the_function_of_the_masked_network(network: BasicNet) -> None:
    """The smaller network against the trained one with these features silenced, on images of its own."""
    training = finished(Training(dataclasses.replace(TINY, network=network), 0))
    features = training.tables["features"][-1]
    gone = pd.Series(np.random.default_rng(0).random(len(features)) < 0.6)
    smaller = without(training.network, gone, (1, 8, 8))
    images = torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), without_features(training.network, gone):
        expected = training.network.module.eval()(images)
    with torch.no_grad():
        found = smaller.module.eval()(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert [layer.features for layer in smaller.layers] == (~gone).groupby(features["layer"], sort=False).sum().tolist()


def test_equal_specs_and_seeds_give_equal_tables_but_for_times(tables: dict[str, pd.DataFrame]) -> None:
    again, _ = run(SPEC, 0)
    for name in tables:
        one, other = (table[name].drop(columns=TIMES, errors="ignore") for table in (tables, again))
        pd.testing.assert_frame_equal(one, other)


def test_where_nothing_goes_scratch_is_an_ordinary_training_and_one_shot_is_tuning() -> None:
    """The whole shape from fresh weights is what the seed alone gives, with the steps of training and tuning together."""
    spec = dataclasses.replace(SPEC, protocols=("one_shot", "scratch"), ratios=(0.0,), criteria=("random",))
    found = run(spec, 0)[0]["pruned"].set_index("protocol")
    alone, _ = run_training(dataclasses.replace(TINY, steps=6 + 4, measurements=1), 0)
    assert found.loc["scratch", "test_error"] == alone["curve"]["test_error"].iloc[-1]
    assert np.isnan(found.loc["scratch", "pruned_test_error"])
    assert found.loc["one_shot", "test_error"] == found.loc["tuned", "test_error"] != found.loc["scratch", "test_error"]
    assert found.loc["one_shot", "pruned_test_error"] == found.loc["trained", "test_error"]


def test_only_named_layers_are_pruned() -> None:
    spec = dataclasses.replace(SPEC, protocols=("one_shot",), criteria=("filter_l1",), layers=("conv1", "conv7"))
    layers = run(spec, 0)[0]["layers"]
    own = layers[layers["protocol"] == "one_shot"].set_index("layer")
    assert own["kept"].to_dict() == {"conv1": 2, "conv2": 8, "conv3": 8, "conv4": 16, "conv5": 16, "conv6": 32, "conv7": 16}


def test_matched_networks_have_at_most_the_parameters_of_the_implicit_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fifths of the features are called dead; every explicit network fits below that, and not by much."""
    marks = np.random.default_rng(0).random(116) < 0.4
    monkeypatch.setattr("full_scale.pruning.protocols.inactive", lambda table, by="activation": pd.Series(marks))
    spec = MatchedSpec(
        train=TINY,
        conventional=dataclasses.replace(TINY, rule=SGD(momentum=0.9), interventions=(Rescale(factor=0.1),)),
        criteria=("random",),
        rankings=("layer",),
        scratch_criteria=("random",),
        tuning_steps=2,
        images=60,
    )
    tables, _ = run_matched(spec, 0)
    for name, table in tables.items():
        check(table, name)
    pruned = tables["pruned"]
    target = pruned[pruned["protocol"] == "implicit"]["parameters"].iloc[0]
    one_shot = pruned[pruned["protocol"] == "one_shot"]
    assert sorted(one_shot["network"]) == ["conventional", "implicit"]
    assert (one_shot["parameters"] <= target).all()
    assert (one_shot["parameters"] > 0.93 * target).all()
    scratch = pruned[pruned["protocol"] == "scratch"]
    assert (scratch["network"].tolist(), scratch["criterion"].tolist()) == (["conventional"], ["random"])
    assert set(tables["curve"]["network"]) == {"implicit", "conventional"}
    assert tables["features"].groupby("network")["treated"].all().to_dict() == {"implicit": False, "conventional": True}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"protocols": ("prune",)}, "protocols = 'prune' is not valid: use one of implicit, one_shot"),
        ({"criteria": ("gamma",)}, "criteria = 'gamma' is not valid: use one of .*scale"),
        ({"scratch_criteria": ("gamma",)}, "scratch_criteria = 'gamma'"),
        ({"criteria": ("scale", "scale")}, "each once"),
        ({"rankings": ()}, "rankings = "),
        ({"ratios": (0.5, 1.0)}, r"ratios = 1\.0"),
        ({"tuning_steps": 0}, "tuning_steps = 0"),
        ({"tuning_rate": 0.0}, "tuning_rate"),
        ({"rounds": 9}, "rounds = 9 is not valid: use a whole number from 1 to 4"),
        ({"images": 1}, "images = 1"),
    ],
)
def test_impossible_values_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        dataclasses.replace(SPEC, **settings)


def test_networks_that_cannot_be_matched_are_refused() -> None:
    with pytest.raises(InvalidValue, match="conventional = 'basic_net' is not valid: use the network and the data of train"):
        MatchedSpec(train=TINY, conventional=dataclasses.replace(TINY, network=BasicNet(width=1 / 8)))


def test_a_layer_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InvalidValue, match="layers = 'conv9' is not valid: use one of conv1"):
        run(dataclasses.replace(SPEC, layers=("conv9",)), 0)


@pytest.mark.parametrize("spec", [TINY, SPEC, MatchedSpec(train=TINY, conventional=TINY), EarlySpec(train=TINY, moments=(0.5,))])
def test_a_spec_of_every_kind_survives_json_and_has_an_identity(spec: Any) -> None:
    assert type(spec) in KINDS
    again = spec_of(json.loads(json.dumps(to_json(spec))))
    assert (again, spec_id(again)) == (spec, spec_id(spec))


def test_runs_of_all_kinds_in_one_process() -> None:
    spec = EarlySpec(train=TINY, moments=(0.5,), images=60)
    mixed = {number: tables for number, tables, _ in run_together([(spec, 0, None, HERE), (TINY, 0, None, HERE)])}
    assert ("moments" in mixed[0], "moments" in mixed[1]) == (True, False)
    pd.testing.assert_frame_equal(mixed[0]["features"], mixed[1]["features"])


SMALL = ["train.steps=6", "train.network.width=0.0625", "images=60"]


def test_the_command_line_shows_runs_and_sums_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [*SMALL, "criteria=scale,random", "rankings=layer", "ratios=0.5", "tuning_steps=3"]
    arguments = ["run", "criteria", *own, "--seeds", "2", "--runs", str(tmp_path), "--json"]
    assert main(LAYER, arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert {(row["rule"], row["protocol"]) for row in found} >= {("adam", "one_shot"), ("sgd", "scratch"), ("sgd", "implicit")}
    scale = next(row for row in found if row["criterion"] == "scale")
    assert (scale["seeds"], scale["verdict"]) == (2, "no difference shown") or scale["verdict"] in ("better", "worse")
    assert main(LAYER, ["show", "criteria", *own, "--seeds", "2", "--runs", str(tmp_path)]) == 0
    assert "4 done, 0 running, 0 failed, 0 missing" in capsys.readouterr().out


def test_early_prediction_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "early_prediction", *SMALL, "moments=0.5", "--seeds", "1", "--runs", str(tmp_path), "--json"]
    assert main(LAYER, arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["moment"] for row in found} == {0.5}
    assert {row["criterion"] for row in found} >= {"scale", "random"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["criteria", "criteria=gamma"], "criteria = 'gamma'"),
        (["criteria", "steps=3"], "train.steps"),
        (["early_prediction", "train.steps=3"], "moments"),
        (["criteria", "preset=huge"], "demo"),
    ],
)
def test_mistakes_are_one_line_with_status_2(words: list[str], named: str, tmp_path: Path, refuses: Any) -> None:
    refuses(lambda: main(LAYER, ["run", *words, "--runs", str(tmp_path)]), named)
