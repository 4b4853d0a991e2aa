"""Records: whole or absent, never overwritten, and never believed when damaged."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

import mechanisms.records.store as records
from mechanisms.records.store import DamagedRecord, Store
from mechanisms.validation import UserError
from toy.features.gradients import Dead
from toy.spec import ToySpec

SPEC = ToySpec()


def table(scale=1.0):
    return pd.DataFrame({"step": [1, 2], "layer": ["toy", "toy"], "feature": [0, 0], "scale": [scale, scale / 2]})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "toy")


def test_what_is_saved_is_loaded(store):
    folder = store.save(SPEC, 3, {"features": table()}, {"engine": "x"})
    assert folder == store.folder(SPEC, 3)
    pd.testing.assert_frame_equal(store.load(SPEC, 3)["features"], table(), check_dtype=False)
    manifest = store.manifest(SPEC, 3)
    assert (manifest["seed"], manifest["engine"], manifest["schema"]) == (3, "x", records.SCHEMA)
    assert manifest["tables"]["features"]["columns"]["step"] == {"dtype": "<i8", "unit": "steps"}
    assert manifest["versions"]["numpy"] == np.__version__


def test_no_pickle_on_disk(store):
    folder = store.save(SPEC, 0, {"features": table()}, {})
    with np.load(folder / "features.npz", allow_pickle=False) as arrays:
        assert arrays["layer"].dtype.kind == "U"


def test_an_existing_record_stays_as_it_is(store):
    store.save(SPEC, 0, {"features": table(1.0)}, {})
    store.save(SPEC, 0, {"features": table(9.0)}, {})
    assert store.load(SPEC, 0)["features"]["scale"].iloc[0] == 1.0
    assert not store.leftovers(SPEC, 0)


@pytest.mark.parametrize("step", ["write_synced", "_write_table"])
def test_a_failed_write_leaves_nothing(store, step, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, step, full)
    with pytest.raises(UserError, match="No space left"):
        store.save(SPEC, 0, {"features": table()}, {})
    assert not store.has(SPEC, 0)
    assert not store.leftovers(SPEC, 0)


def test_an_interrupted_write_leaves_nothing(store, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "write_synced", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(SPEC, 0, {"features": table()}, {})
    assert not store.has(SPEC, 0)


def damaged(folder, how):
    target = folder / ("manifest.json" if "manifest" in how else "features.npz")
    content = target.read_bytes()
    if "missing" in how:
        target.unlink()
    elif "cut" in how:
        target.write_bytes(content[: len(content) // 2])
    elif "flipped" in how:
        target.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    elif "list" in how:
        target.write_text("[1, 2]")


@pytest.mark.parametrize("edit", [{"tables": {}}, {"rows": 1}, {"columns": {}}, {"columns": {"step": {}}}])
def test_a_manifest_that_says_too_little_is_damage(store, edit):
    folder = store.save(SPEC, 0, {"features": table()}, {})
    manifest = json.loads((folder / "manifest.json").read_text())
    (manifest if "tables" in edit else manifest["tables"]["features"]).update(edit)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedRecord, match="seed_0"):
        store.load(SPEC, 0)


@pytest.mark.parametrize(
    "how", ["missing table", "cut table", "flipped table", "missing manifest", "cut manifest", "list as manifest"]
)
def test_damage_is_named(store, how):
    damaged(store.save(SPEC, 0, {"features": table()}, {}), how)
    with pytest.raises(DamagedRecord, match="seed_0"):
        store.load(SPEC, 0)


def test_a_record_of_other_settings_is_damage(store):
    folder = store.save(SPEC, 0, {"features": table()}, {})
    other = store.folder(ToySpec(features=9), 0)
    shutil.copytree(folder, other)
    with pytest.raises(DamagedRecord, match="other settings"):
        store.load(ToySpec(features=9), 0)


def test_a_newer_schema_is_no_damage(store):
    folder = store.save(SPEC, 0, {"features": table()}, {})
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))
    with pytest.raises(UserError, match="schema 99") as caught:
        store.load(SPEC, 0)
    assert not isinstance(caught.value, DamagedRecord)


def test_columns_outside_the_vocabulary_are_refused(store):
    with pytest.raises(UserError, match="'gamma' is not in the vocabulary"):
        store.save(SPEC, 0, {"features": table().rename(columns={"scale": "gamma"})}, {})
    with pytest.raises(UserError, match="kind"):
        store.save(SPEC, 0, {"features": table().assign(scale="big")}, {})


def test_collect_spreads_specs_and_seeds(store):
    specs = (SPEC, ToySpec(gradient=Dead()))
    for spec in specs:
        for seed in (0, 1):
            store.save(spec, seed, {"features": table(seed + 1.0)}, {})
    found = store.collect(specs, (0, 1), "features")
    assert len(found) == 8
    assert found.groupby(["spec.gradient", "seed"])["scale"].first().tolist() == [1.0, 2.0, 1.0, 2.0]
    assert set(found["spec.regularizer.strength"]) == {1e-4}
    with pytest.raises(UserError, match="no record"):
        store.collect(specs, (7,), "features")


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that even root cannot write")
def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--runs"):
        Store(tmp_path / "file" / "runs", "toy").require_writable()
