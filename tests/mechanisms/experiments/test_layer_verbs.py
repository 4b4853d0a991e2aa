"""The verbs show, collect and clean: what they say of done, running, failed and missing runs, what they write and remove."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mechanisms.command_line.framework import main
from mechanisms.records import gc as cleaning
from mechanisms.records import index
from mechanisms.records.index import Index, index_file
from mechanisms.records.store import DamagedRecord, Store
from mechanisms.sweeps.runner import run_all
from mechanisms.system.processes import machine, process_name
from toy.engines.choice import INTERPRETED
from toy.features.gradients import LowGradient
from toy.spec import Axis, ToySpec
from toy.suite import LAYER as TOY


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Store(tmp_path / "runs", "tiny")


@pytest.fixture
def dead():
    """The name of a process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return f"{machine()}-{ended.pid}"


def mark(store, spec, seed, process):
    path = store.mark(spec, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sweep": "theirs", "process": process}) + "\n")
    return path


def call(store, layer, *words):
    return main(layer, [*words, "--runs", str(store.root)])


def test_show_tells_done_running_failed_and_missing(tiny_layer, store, dead, capsys):
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (0, 1))
    mark(store, spec, 2, process_name(os.getpid()))
    mark(store, spec, 3, "0badcafe-1")
    mark(store, spec, 4, dead)
    store.failure(spec, 5).write_text('{"error": "it broke"}')
    store.failure(spec, 6).write_text("rubbish")
    capsys.readouterr()
    assert call(store, tiny_layer, "show", "one", "--seeds", "8", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {state: row[state] for state in ("done", "running", "failed", "missing")} == {
        "done": 2, "running": 2, "failed": 2, "missing": 2,
    }  # fmt: skip
    assert row["folders"][:2] == [str(store.folder(spec, seed)) for seed in (0, 1)]
    assert call(store, tiny_layer, "show", "one", "--seeds", "8") == 0
    said = capsys.readouterr().out
    assert "2 done, 2 running, 2 failed, 2 missing; about" in said
    assert "left with the 2 at work" in said
    assert f"failed: {row['spec_id']} seed 5: it broke" in said


def test_show_of_nothing_estimates_nothing(tiny_layer, store, capsys):
    assert call(store, tiny_layer, "show", "two") == 0
    assert capsys.readouterr().out.rstrip().endswith("0 done, 0 running, 0 failed, 6 missing")


@pytest.fixture
def interpreted(monkeypatch):
    """No time for a compiler."""
    monkeypatch.setattr("toy.simulate.choose_engine", lambda: INTERPRETED)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.usefixtures("interpreted")
def test_collect_writes_what_the_records_hold(suffix, store, tmp_path, capsys):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs implicit-filter-sparsity[parquet]")
    words = ["stability", "steps=5", "features=2", "records=2"]
    assert call(store, TOY, "run", *words, "--seeds", "2") == 0
    out = tmp_path / f"table.{suffix}"
    assert call(store, TOY, "collect", *words, "--seeds", "2", "--out", str(out)) == 0
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    found = read(out)
    toy = Store(store.root, "toy")
    expected = toy.collect(TOY.specs(words[0], words[1:]), (0, 1), "features")
    assert set(found) == {*expected, "spec_id"}
    order = [*(c for c in expected if c.startswith("spec.") and expected[c].nunique() > 1), "seed", "step", "feature"]
    tables = [t.sort_values(order, ignore_index=True)[list(expected)] for t in (found, expected)]
    pd.testing.assert_frame_equal(*tables, check_dtype=False, rtol=1e-14)


def test_collect_refuses_what_is_incomplete_unless_asked(tiny_layer, store, tmp_path, refuses, capsys):
    out = ["--out", str(tmp_path / "table.csv")]
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (1,))
    capsys.readouterr()
    refuses(lambda: call(store, tiny_layer, "collect", "one", *out), "2 records are missing, the first is")
    refuses(lambda: call(store, tiny_layer, "collect", "one", *out[:-1], str(tmp_path / "t.xlsx")), ".parquet or .csv")
    refuses(lambda: call(store, tiny_layer, "collect", "one", "--partial", "--table", "nothing", *out), "use --table features")
    refuses(lambda: call(store, tiny_layer, "collect", "one", "--partial", *out[:-1], "/dev/null/x.csv"), "could not be written")
    assert call(store, tiny_layer, "collect", "one", "--partial", *out) == 0
    assert pd.read_csv(out[1])["seed"].unique().tolist() == [1]


def test_parquet_without_pyarrow_is_one_line(tiny_layer, store, tmp_path, monkeypatch, refuses, capsys):
    run_all(tiny_layer, store, tiny_layer.specs("one"), (0,))
    capsys.readouterr()
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda *_, **__: (_ for _ in ()).throw(ImportError("no pyarrow")))
    words = ["collect", "one", "--seeds", "1", "--out", str(tmp_path / "t.parquet")]
    refuses(lambda: call(store, tiny_layer, *words), "implicit-filter-sparsity[parquet]")


def collected(store, layer, seeds=(0,)):
    with Index(store) as found:
        return found.collect(layer.specs("one"), seeds, "features")[0]


def test_the_index_follows_the_records(tiny_layer, store):
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (0,))
    first = collected(store, tiny_layer)
    store.set_aside(store.folder(spec, 0))
    changed = pd.DataFrame({"step": [1], "layer": ["toy"], "feature": [0], "scale": [7.0]})
    store.save(spec, 0, {"features": changed}, {})
    assert collected(store, tiny_layer)["scale"].tolist() == [7.0] != first["scale"].tolist()


@pytest.mark.parametrize("how", ["rubbish", "another version", "emptied", "a folder", "no cache"])
def test_the_index_is_never_needed(how, tiny_layer, store, tmp_path, monkeypatch):
    run_all(tiny_layer, store, tiny_layer.specs("one"), (0,))
    expected, path = collected(store, tiny_layer), index_file(store)
    if how == "rubbish":
        Path(path).write_bytes(b"no database" * 1000)
    elif how == "another version":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
            database.execute("DROP TABLE copies")
        database.close()
    elif how == "emptied":
        with sqlite3.connect(path) as database:
            database.execute("DROP TABLE records")
        database.close()
    elif how == "a folder":
        os.unlink(path)
        os.mkdir(path)
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        pd.testing.assert_frame_equal(collected(store, tiny_layer), expected)


def test_the_index_lies_beside_no_record_and_damage_is_named(tiny_layer, store, tmp_path):
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (0,))
    (store.folder(spec, 0) / "features.npz").write_bytes(b"rubbish")
    with pytest.raises(DamagedRecord, match="checksum"):
        collected(store, tiny_layer)
    assert index_file(store).startswith(str(tmp_path / "cache"))
    assert [path.name for path in store.folder(spec, 0).parent.iterdir()] == ["seed_0"]


def test_large_tables_and_texts_of_other_lengths_are_collected_too(store):
    spec = ToySpec(gradient=LowGradient(), axes=(Axis("learning_rate", (1e-3,)),))
    toy, rows = Store(store.root, "toy"), index.LARGEST_COPY // 8
    for seed, (layer, count) in enumerate((("toy", 2), ("a longer name", 3), ("toy", rows))):
        table = pd.DataFrame({"step": np.arange(count), "layer": layer, "feature": 0, "scale": np.arange(count) / 7})
        toy.save(spec, seed, {"features": table}, {})
    for _ in range(2):
        with Index(toy) as found:
            table, missing = found.collect((spec,), range(4), "features")
        assert missing == [f"{table['spec_id'][0]} seed 3"]
        assert table.groupby("seed").size().tolist() == [2, 3, rows]
        assert table.groupby("seed")["layer"].first().tolist() == ["toy", "a longer name", "toy"]


def litter(store, spec, dead):
    """What may go, and what must stay."""
    folder, gone, stay = store.folder(spec, 0).parent, [], []
    for name in (f"seed_1.partial-{dead}-1", "seed_1.damaged-12345678", "seed_0.checkpoint"):
        gone.append(folder / name)
    for name in (f"seed_1.partial-{process_name(os.getpid())}-1", "seed_1.checkpoint"):
        stay.append(folder / name)
    for path in (*gone, *stay):
        path.mkdir(parents=True)
        (path / "file").touch()
    gone += [mark(store, spec, 1, dead), mark(store, spec, 3, "0badcafe-1"), store.failure(spec, 0)]
    stay += [mark(store, spec, 2, process_name(os.getpid())), store.failure(spec, 5), folder / "seed_0"]
    for seed in (0, 5):
        store.failure(spec, seed).write_text("{}")
    return gone, stay


def test_clean_lists_then_removes_on_confirmation(tiny_layer, store, dead, monkeypatch, capsys):
    monkeypatch.setattr(cleaning, "PATIENCE", 0.01)
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (0,))
    gone, stay = litter(store, spec, dead)
    capsys.readouterr()
    assert call(store, tiny_layer, "clean", "--json") == 0
    printed = capsys.readouterr()
    assert {row["path"] for row in json.loads(printed.out)} - {str(path) for path in stay} == {str(path) for path in gone}
    assert "add --yes" in printed.err
    assert all(path.exists() for path in (*gone, *stay))
    assert call(store, tiny_layer, "clean", "--yes") == 0
    assert not any(path.exists() for path in gone)
    store.load(spec, 0)
    assert all(path.exists() for path in stay if "partial" not in path.name and "running" not in path.name)


def test_clean_asks(tiny_layer, store, monkeypatch, capsys):
    (spec,) = tiny_layer.specs("one")
    run_all(tiny_layer, store, (spec,), (0,))
    aside = store.folder(spec, 0).with_name("seed_0.damaged-1")
    aside.mkdir()
    for answer, there in (("n\n", True), ("\n", True), ("yes\n", False)):
        monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _, a=answer: a})())
        assert call(store, tiny_layer, "clean") == 0
        assert aside.exists() == there
    assert call(store, tiny_layer, "clean") == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_clean_leaves_alone_what_another_machine_changes(tiny_layer, store, monkeypatch):
    (spec,) = tiny_layer.specs("one")
    changing, still = mark(store, spec, 0, "0badcafe-1"), mark(store, spec, 1, "0badcafe-2")
    monkeypatch.setattr(cleaning.time, "sleep", lambda _: changing.write_text("changed"))
    assert list(cleaning.find(tiny_layer, store.root)) == [still]


@pytest.mark.usefixtures("interpreted")
def test_clean_finds_orphans_when_asked(store, capsys):
    toy = Store(store.root, "toy")
    words = ["stability", "steps=5"]
    assert call(store, TOY, "run", *words, "--seeds", "1") == 0
    (spec,) = TOY.specs(words[0], words[1:])
    old = toy.folder(spec, 0).rename(toy.folder(spec, 0).with_name("seed_1"))
    path = old / "manifest.json"
    manifest = json.loads(path.read_text())
    assert not cleaning.find(TOY, store.root, orphans=True)
    del manifest["spec"]["average_last"]
    path.write_text(json.dumps(manifest))
    assert not cleaning.find(TOY, store.root)
    (why,) = cleaning.find(TOY, store.root, orphans=True).values()
    assert "missing fields ['average_last']" in why
    path.write_text(json.dumps(manifest | {"schema": 99}))
    assert not cleaning.find(TOY, store.root, orphans=True), "another version may know it"
