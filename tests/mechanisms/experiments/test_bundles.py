"""A bundle gives back what was put in, to the bit, and grows without touching what it holds; damage is one line."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.records import bundles
from mechanisms.records.store import Store, read_manifest
from mechanisms.validation import UserError
from toy.spec import ToySpec

SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1.5, 3.4e38], np.float32)


def record(identity, seed, rows=500, **others):
    """(manifest, tables) with columns of every kind that a record may have."""
    rng = np.random.default_rng(seed)
    columns = {
        "step": np.arange(rows) * 100,
        "layer": np.array(["conv1", "C10"])[rng.integers(0, 2, rows)],
        "feature": rng.integers(0, 70_000, rows),
        "treated": rng.random(rows) < 0.5,
        "scale": np.concatenate([SPECIAL, rng.normal(size=rows - len(SPECIAL)).astype(np.float32)]),
        "selectivity": (rng.integers(0, 7, rows) / 7).astype(np.float32),
        "train_loss": rng.random(rows),
        **others,
    }
    tables = {"features": columns, "curve": {"step": np.array([0, seed])}}
    told = {
        name: {"rows": len(table["step"]), "columns": {c: {"dtype": v.dtype.str, "unit": "u"} for c, v in table.items()}}
        for name, table in tables.items()
    }
    return {"spec_id": identity, "seed": seed, "tables": told, "told": {"π": [1, None]}}, tables


def same(found, expected):
    assert {t: list(c) for t, c in found.items()} == {t: list(c) for t, c in expected.items()}
    for table, columns in expected.items():
        for name, column in columns.items():
            assert found[table][name].dtype == column.dtype, name
            assert found[table][name].tobytes() == column.tobytes(), name


def test_a_record_comes_back_to_the_bit(tmp_path):
    records = [record("a", 0), record("a", 3, rows=30), record("b", 0, dies=np.zeros(500, bool))]
    bundles.add(tmp_path / "some.npz", records)
    for manifest, tables in records:
        key = manifest["spec_id"], manifest["seed"]
        bundle = bundles.find(tmp_path, key)
        same(bundle.tables(key), tables)
        assert bundle.manifest(key) == manifest
    assert bundles.find(tmp_path, ("b", 3)) is None
    assert set(bundles.keys(tmp_path)) == {("a", 0), ("a", 3), ("b", 0)}


def test_a_bundle_grows_and_the_same_records_make_the_same_bytes(tmp_path):
    one, two = record("a", 0), record("b", 1, dies=np.ones(500, bool))
    bundles.add(tmp_path / "grown.npz", [one])
    assert bundles.find(tmp_path, ("b", 1)) is None
    bundles.add(tmp_path / "grown.npz", [two])
    same(bundles.find(tmp_path, ("b", 1)).tables(("b", 1)), two[1])
    same(bundles.find(tmp_path, ("a", 0)).tables(("a", 0)), one[1])
    bundles.add(tmp_path / "whole" / "whole.npz", [one, two])
    assert (tmp_path / "grown.npz").read_bytes() == (tmp_path / "whole" / "whole.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grown.npz", "whole"]


def test_a_bundle_is_smaller_than_its_numbers(tmp_path):
    rounded = (np.random.default_rng(0).normal(size=20_000).astype(np.float32).view(np.uint32) & 0xFFFFF000).view(np.float32)
    columns = {"scale": rounded, "feature": np.arange(20_000), "train_loss": np.zeros(20_000)}
    bundles.add(tmp_path / "some.npz", [record("a", 0, 20_000, **columns)])
    assert (tmp_path / "some.npz").stat().st_size < 5 * 20_000


def test_numpy_alone_reads_it_as_the_documentation_says(tmp_path):
    manifest, tables = record("a", 0)
    bundles.add(tmp_path / "some.npz", [(manifest, tables)])
    archive = np.load(tmp_path / "some.npz")
    assert json.loads(archive["manifests.json"]) == [manifest]
    assert (archive["spec_id"].tolist(), archive["seed"].tolist()) == (["a"], [0])
    bits = np.ascontiguousarray(archive["features/scale"].T).view("<u4")[:, 0]
    assert (bits >> 1 | bits << 31).view("<f4").tobytes() == tables["features"]["scale"].tobytes()
    assert (archive["features/layer.values"][archive["features/layer"]] == tables["features"]["layer"]).all()


def test_own_records_come_before_those_of_a_bundle(tmp_path):
    import pandas as pd

    spec, other = ToySpec(steps=10), ToySpec(steps=11)
    made = Store(tmp_path / "made", "toy")
    for one in (spec, other):
        table = pd.DataFrame({"step": [1], "layer": "toy", "feature": 0, "scale": float(one.steps)})
        folder = made.save(one, 0, {"features": table}, {})
        manifest = read_manifest(folder)
        tables = {"features": {name: table[name].to_numpy() for name in ("step", "scale")}}
        bundles.add(tmp_path / "reference" / "some.npz", [(manifest, tables)])
    own = replace(made, root=tmp_path / "own", reference=tmp_path / "reference")
    own.save(spec, 0, {"features": table.assign(scale=-1.0)}, {})
    assert own.load(spec, 0)["features"]["scale"].tolist() == [-1.0]
    assert own.load(other, 0)["features"]["scale"].tolist() == [11.0]
    assert [own.finds(other, seed) for seed in (0, 1)] == [True, False]
    assert [own.is_committed(one, 0) for one in (spec, other)] == [False, True]
    assert own.collect((spec, other), (0,), "features")["scale"].tolist() == [-1.0, 11.0]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_damaged_bundle_is_one_line(tmp_path, part):
    path = tmp_path / "some.npz"
    bundles.add(path, [record("a", 0)])
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"some\.npz is damaged"):
        bundles.find(tmp_path, ("a", 0))


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "some.npz"
    bundles.add(path, [record("a", 0)])
    content = bytearray(path.read_bytes())
    content[content.index(b"features/scale.npy") + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"some\.npz is damaged"):
        bundles.find(tmp_path, ("a", 0)).tables(("a", 0))


def test_reading_loads_no_pandas():
    code = "import sys, mechanisms.records.bundles; print({'pandas', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
