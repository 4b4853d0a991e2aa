"""Records that somebody else wrote: read as damaged or left alone, without a traceback and without an end to wait for."""

import hashlib
import io
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from mechanisms.command_line.framework import main
from mechanisms.records.store import DamagedRecord, Store
from mechanisms.system.files import open_regular, read_json
from mechanisms.system.processes import machine
from mechanisms.validation import UserError
from toy.suite import LAYER

SPEC = LAYER.specs("single", ["steps=20"])[0]
DEEP = "[" * 100_000


@pytest.fixture
def store(tmp_path):
    """Holds one record of `toy run single steps=20`, seed 0."""
    store = Store(tmp_path / "runs", "toy")
    rows = {"step": [1, 2], "layer": "toy", "feature": 0, "scale": [1.0, 0.5], "activity": 1.0}
    store.save(SPEC, 0, {"features": pd.DataFrame(rows)}, {"seconds": 1.0})
    return store


def verb(store, *words):
    """The exit status of a verb of the toy layer on these records."""
    return main(LAYER, [*words, "--runs", str(store.root)])


def show(store):
    """`show` with one record there and one missing, whose time is then estimated."""
    return verb(store, "show", "single", "steps=20", "--seeds", "2")


def changed(store, **fields):
    path = store.folder(SPEC, 0) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def with_table(store, content):
    """The record with another file as its table, and the right checksum of that."""
    folder = store.folder(SPEC, 0)
    (folder / "features.npz").write_bytes(content)
    tables = json.loads((folder / "manifest.json").read_text())["tables"]
    tables["features"]["sha256"] = hashlib.sha256(content).hexdigest()
    changed(store, tables=tables)


def packed(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def columns(**others):
    known = {"step": np.array([1, 2]), "layer": np.array(["toy", "toy"]), "feature": np.array([0, 0]), "scale": np.ones(2)}
    return packed(**{**known, "activity": np.ones(2), **others})


def of_a_method_that_is_not_known():
    content = bytearray(columns())
    first = content.index(b"PK\x01\x02")
    content[first + 10] = content[8] = 99
    return bytes(content)


def with_a_header(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("step", "layer", "feature", "scale", "activity"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        columns()[:-40],
        of_a_method_that_is_not_known(),
        with_a_header("[" * 9000),
        columns(scale=np.ones((2, 2))),
        columns(scale=np.array(["a", "b"])),
        columns(activity=np.zeros(2, "V5")),
        columns(activity=np.zeros(2, [("a", "<f8")])),
    ],
)
def test_a_table_that_is_none_is_damage_although_its_checksum_is_right(store, content, capsys):
    with_table(store, content)
    with pytest.raises(DamagedRecord):
        store.load(SPEC, 0)
    assert verb(store, "run", "single", "steps=20", "--seeds", "1", "--jobs", "1") == 0, "it is set aside and made again"
    assert "Traceback" not in capsys.readouterr().err
    assert len(store.load(SPEC, 0)["features"])


def test_a_table_larger_than_memory_is_named_and_stays(store, refuses):
    with_table(store, with_a_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**15},)}}"))
    before = sorted(store.folder(SPEC, 0).iterdir())
    refuses(lambda: verb(store, "collect", "single", "steps=20", "--seeds", "1", "--out", str(store.root / "t.csv")), "seed_0")
    assert sorted(store.folder(SPEC, 0).iterdir()) == before


def test_a_table_that_the_manifest_does_not_name_is_damage(store):
    rows = pd.DataFrame({"step": [1], "layer": "toy", "feature": 0})
    folder = store.save(SPEC, 1, {"features": rows, "curve": rows}, {})
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["tables"]["curve"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedRecord, match=r"does not name curve\.npz"):
        store.load(SPEC, 1)


def test_a_newer_schema_without_our_fields_is_no_damage(store):
    (store.folder(SPEC, 0) / "manifest.json").write_text('{"schema": 2}')
    with pytest.raises(UserError, match="use the version that wrote it") as told:
        store.load(SPEC, 0)
    assert not isinstance(told.value, DamagedRecord)


@pytest.mark.parametrize(
    "fields",
    [{"git": 5}, {"git": {"commit": None}}, {"versions": None}, {"layer": 1}, {"seed": "0"}, {"spec": []}, {"tables": []}],
)
def test_a_field_of_another_kind_is_damage(store, fields):
    changed(store, **fields)
    with pytest.raises(DamagedRecord):
        store.load(SPEC, 0)


@pytest.mark.parametrize("name", ["layer", "spec_id", "seed", "spec", "tables", "git", "versions"])
def test_a_field_that_is_not_there_is_damage(store, name):
    path = store.folder(SPEC, 0) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[name]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedRecord):
        store.load(SPEC, 0)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1, "1e400", "nan", 10**400, None])
def test_times_that_cannot_be_are_not_believed(store, seconds, capsys):
    changed(store, seconds=seconds)
    assert show(store) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["seed_0/manifest.json", "seed_1.failed", "seed_1.running"])
def test_json_without_an_end_is_no_traceback(store, name, capsys):
    (store.folder(SPEC, 0).parent / name).write_text(DEEP)
    assert show(store) in (0, 2)
    assert verb(store, "collect", "single", "steps=20", "--seeds", "1", "--out", "-") in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("process", ["²", "9" * 5000, "", "-1"])
def test_a_mark_of_a_process_that_cannot_be(store, process):
    told = json.dumps({"process": f"{machine()}-{process}"})
    (store.folder(SPEC, 0).parent / "seed_1.running").write_text(told + "\n")
    assert show(store) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_never_ends_is_not_read(store, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent"):
        with pytest.raises(OSError):  # noqa: PT011 - of whichever kind
            open_regular(path)
    (store.folder(SPEC, 0) / "manifest.json").unlink()
    os.mkfifo(store.folder(SPEC, 0) / "manifest.json")
    assert show(store) == 0
    (tmp_path / "long.json").write_text("[1, 2, 3]")
    assert read_json(tmp_path / "long.json") == [1, 2, 3]
    with pytest.raises(ValueError, match="more than 5 bytes"):
        read_json(tmp_path / "long.json", largest=5)


def test_cleaning_stays_within_its_folder(store, tmp_path, capsys):
    """Links out of it, and folders that are no spec's, are not entered."""
    others = tmp_path / "others"
    others.mkdir()
    (others / "thesis.partial").write_text("kept")
    (others / "seed_7.damaged").mkdir()
    (store.root / "toy" / "0123456789ab").symlink_to(others)
    (store.root / "toy" / "of mine").mkdir()
    (store.root / "toy" / "of mine" / "seed_7.damaged").mkdir()
    assert verb(store, "clean", "--yes", "--orphans") == 0
    assert sorted(path.name for path in others.iterdir()) == ["seed_7.damaged", "thesis.partial"]
    assert (store.root / "toy" / "of mine" / "seed_7.damaged").is_dir()


def test_a_folder_that_is_a_link_to_itself_is_one_line(tmp_path, refuses):
    (tmp_path / "runs").symlink_to(tmp_path / "runs")
    words = ["collect", "single", "steps=20", "--seeds", "1", "--out", str(tmp_path / "t.csv"), "--runs", str(tmp_path / "runs")]
    refuses(lambda: main(LAYER, words), "runs")


@pytest.mark.parametrize(("variable", "value"), [("WORLD_SIZE", "abc"), ("WORLD_SIZE", "0"), ("RANK", "x"), ("TOY_ENGINE", "C")])
def test_rubbish_in_the_environment_is_one_line(tmp_path, variable, value, monkeypatch, refuses):
    from toy.engines.choice import choose_engine

    monkeypatch.setenv(variable, value)
    choose_engine.cache_clear()
    try:
        refuses(lambda: main(LAYER, ["run", "single", "--seeds", "1", "--jobs", "1", "--runs", str(tmp_path)]), variable)
    finally:
        choose_engine.cache_clear()


def test_what_is_said_is_one_line_whatever_was_given(refuses):
    refuses(lambda: main(LAYER, ["run", "single", "a\nb\x1b[31m=1"]), "a\\nb\\x1b[31m")
    with pytest.raises(UserError):
        LAYER.specs("single", ["steps=" + "9" * 5000])


def test_what_is_said_is_short_whatever_was_given(capsys):
    assert main(LAYER, ["run", "single", "x" * 100_000 + "=1"]) == 2
    assert len(capsys.readouterr().err) < 9000
