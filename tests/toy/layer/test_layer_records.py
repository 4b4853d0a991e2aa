"""Layers in the suite: `python -m toy run` makes their records beside those of single features, and sums them up."""

import json

import numpy as np
import pytest

from mechanisms.command_line.framework import main
from mechanisms.records.specs import spec_id, to_json
from mechanisms.records.store import Store
from mechanisms.validation import UserError
from toy import run_types
from toy.engines.choice import INTERPRETED
from toy.experiments.layer import layer_strength
from toy.layer.spec import LayerSpec
from toy.layer.summary import summarize
from toy.spec import ToySpec
from toy.suite import LAYER

SMALL = ["inputs=4", "features=6", "teacher_features=2", "outputs=2", "exemplars=40", "batch_size=8", "steps=60", "replicates=3"]


@pytest.fixture
def interpreted(monkeypatch):
    """No time for a compiler."""
    monkeypatch.setattr("toy.layer.simulate.choose_engine", lambda: INTERPRETED)


@pytest.mark.usefixtures("interpreted")
def test_run_makes_records_and_prints_dead_shares(tmp_path, capsys):
    command = ["run", "layer_laws", *SMALL, "--seeds", "2", "--runs", str(tmp_path)]
    assert main(LAYER, [*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["regularizer.coupling"] for row in rows] == ["coupled", "independent", "coupled", "coupled"]
    assert [row["n"] for row in rows] == [6] * 4
    store = Store(tmp_path, "toy")
    specs = LAYER.specs("layer_laws", SMALL)
    table = store.collect(specs[:1], (0, 1), "features")
    end = table[table["step"] == 60]
    dead = (end["max_activation"] < 1e-12).groupby([end["seed"], end["replicate"]]).mean()
    assert rows[0]["sparsity"] == pytest.approx(dead.mean())
    assert rows[0]["sparsity_low"] <= rows[0]["sparsity"] <= rows[0]["sparsity_high"]
    assert len(store.collect(specs, (0, 1), "curve")) == 4 * 2 * 3 * 11


@pytest.mark.usefixtures("interpreted")
def test_the_summary_counts_the_dead_and_tells_what_diverged(tmp_path, capsys):
    dying, wild = (LAYER.specs("layer", [*SMALL, *more])[0] for more in ((), ("rule=sgd", "learning_rate=1e200")))
    store = Store(tmp_path, "toy")
    for spec in (dying, wild):
        tables, facts = run_types.run(spec, 0)
        if spec is dying:
            tables["features"].loc[(tables["features"]["step"] == 60) & (tables["features"]["feature"] < 2), "max_activation"] = 0
        store.save(spec, 0, tables, facts)
    assert summarize(store, (dying,), (0,))["sparsity"].tolist() == pytest.approx([2 / 6])
    assert "diverged" not in capsys.readouterr().err
    assert not np.isfinite(summarize(store, (wild,), (0,))["train_loss"]).any()
    assert "3 of 3 replicates diverged" in capsys.readouterr().err


@pytest.mark.usefixtures("interpreted")
def test_the_summary_tells_treated_features_from_their_controls(tmp_path):
    half = LAYER.specs("layer", [*SMALL, "interventions=rescale", "interventions.0.filters=random"])[0]
    tables, facts = run_types.run(half, 0)
    features = tables["features"]
    dead = (features["step"] == 60) & features["treated"] & (features["feature"] > 1)
    tables["features"].loc[features["step"] == 60, "max_activation"] = np.where(dead[features["step"] == 60], 0.0, 1.0)
    store = Store(tmp_path, "toy")
    store.save(half, 0, tables, facts)
    row = summarize(store, (half,), (0,)).iloc[0]
    assert row["treated"] == pytest.approx(dead.sum() / 9)
    assert row["control"] == 0


def test_both_kinds_of_spec_are_read_from_their_manifests():
    for spec in (ToySpec(), LayerSpec(), *layer_strength()):
        assert run_types.spec_of(json.loads(json.dumps(to_json(spec)))) == spec
    with pytest.raises(UserError):
        run_types.spec_of({**to_json(LayerSpec()), "moon": 1})


def test_identities_of_layers_are_pinned():
    """A record must not lose its name."""
    assert spec_id(LayerSpec()) == "0341a6634421"
