"""Compact copies keep what matters: zeros, what is not finite, a relative error of 2⁻¹², and where a run came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from full_scale import reference_records
from full_scale.models.basic_net import BasicNet
from full_scale.reference_records import STORE, Compact, keep, rounded
from full_scale.run_types import spec_of
from full_scale.suite import LAYER
from full_scale.training.loop import run
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.measures.sparsity import inactive
from mechanisms.records.specs import spec_id
from mechanisms.records.store import MANIFEST, Store, read_manifest, read_tables

TINY = TrainSpec(
    network=BasicNet(width=1 / 32), rule=Adam(), regularizer=L2(), learning_rate=1e-2, steps=2, measurements=2, probes=1
)
COMMITTED = sorted(path.parent for path in STORE.root.glob(f"reference/*/seed_*/{MANIFEST}"))


def test_rounding_is_relative_and_spares_zeros_and_what_is_not_finite() -> None:
    values = np.random.default_rng(0).normal(size=10_000) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 10_000)
    found = rounded(values.astype(np.float32))
    assert np.abs(found / values.astype(np.float32) - 1).max() <= 2**-12
    assert len(np.unique(found.view(np.uint32) & 0xFFF)) == 1
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(rounded(special), special)


def test_a_copy_keeps_the_manifest_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_records, "STORE", Store(tmp_path, "reference"))
    tables, extra = run(TINY, 0)
    folder = Store(tmp_path, LAYER.name).save(TINY, 0, tables, extra)
    keep(folder)
    store = Store(tmp_path / "nothing", LAYER.name, tmp_path / "reference")
    kept, before = store.manifest(TINY, 0), read_manifest(folder)
    assert {k: v for k, v in kept.items() if k not in ("tables", "command", "compact")} == {
        k: v for k, v in before.items() if k not in ("tables", "command")
    }
    assert not any("/" in word for word in kept["command"])
    copies = store.load(TINY, 0)
    assert set(copies) == {"features", "curve"}
    assert copies["curve"].equals(tables["curve"])
    np.testing.assert_allclose(copies["features"]["scale"], tables["features"]["scale"], rtol=2**-12)
    assert inactive(copies["features"]).equals(inactive(tables["features"]))
    assert keep(folder)["kept"] == "was there"


def test_a_copy_of_the_last_step_keeps_the_named_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_records, "STORE", Store(tmp_path, "reference"))
    folder = Store(tmp_path, LAYER.name).save(TINY, 0, *run(TINY, 0))
    keep(folder, Compact(last_step=True, columns=("scale", "max_activation")))
    features = Store(tmp_path / "nothing", LAYER.name, tmp_path / "reference").load(TINY, 0)["features"]
    assert list(features) == ["step", "layer", "feature", "scale", "max_activation"]
    assert set(features["step"]) == {2}
    manifest = Store(tmp_path / "nothing", LAYER.name, tmp_path / "reference").manifest(TINY, 0)
    assert manifest["compact"]["features_columns"] == ["scale", "max_activation"]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_committed_record_is_whole_and_findable(folder: Path) -> None:
    manifest = read_manifest(folder)
    spec = spec_of(manifest["spec"])
    trained = spec if isinstance(spec, TrainSpec) else spec.train
    assert read_tables(folder, manifest)["features"]["step"].max() == trained.steps
    assert spec_id(spec) == folder.parent.name
    assert not manifest["git"]["dirty"]
