"""Compact copies keep what matters: zeros, what is not finite, a relative error of 2⁻¹², and where a run came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from full_scale import reference_records
from full_scale.models.basic_net import BasicNet
from full_scale.reference_records import REFERENCE, UNREAD, Compact, bundle_of, keep, rounded
from full_scale.run_types import spec_of
from full_scale.suite import LAYER
from full_scale.training.loop import run
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.measures.sparsity import inactive
from mechanisms.records import bundles
from mechanisms.records.specs import spec_id
from mechanisms.records.store import Store, read_manifest

TINY = TrainSpec(
    network=BasicNet(width=1 / 32), rule=Adam(), regularizer=L2(), learning_rate=1e-2, steps=2, measurements=2, probes=1
)
BUNDLES = sorted(REFERENCE.glob(f"*{bundles.SUFFIX}"))


def test_rounding_is_relative_and_spares_zeros_and_what_is_not_finite() -> None:
    values = np.random.default_rng(0).normal(size=10_000) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 10_000)
    found = rounded(values.astype(np.float32))
    assert np.abs(found / values.astype(np.float32) - 1).max() <= 2**-12
    assert len(np.unique(found.view(np.uint32) & 0xFFF)) == 1
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(rounded(special), special)


def test_a_copy_keeps_the_manifest_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_records, "REFERENCE", tmp_path / "reference")
    tables, extra = run(TINY, 0)
    folder = Store(tmp_path, LAYER.name).save(TINY, 0, tables, extra)
    keep([folder], "tiny")
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
    assert not set(UNREAD["features"]) & set(copies["features"])
    assert keep([folder], "other") == [{"record": str(folder), "kept": "was there"}]
    assert [path.name for path in (tmp_path / "reference").iterdir()] == ["tiny.npz"]


def test_a_copy_of_the_last_step_keeps_the_named_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_records, "REFERENCE", tmp_path / "reference")
    folder = Store(tmp_path, LAYER.name).save(TINY, 0, *run(TINY, 0))
    keep([folder], "tiny", Compact(last_step=True, columns=("scale", "zero_share")))
    features = Store(tmp_path / "nothing", LAYER.name, tmp_path / "reference").load(TINY, 0)["features"]
    assert list(features) == ["step", "layer", "feature", "scale", "zero_share"]
    assert set(features["step"]) == {2}
    manifest = Store(tmp_path / "nothing", LAYER.name, tmp_path / "reference").manifest(TINY, 0)
    assert manifest["compact"]["features_columns"] == ["scale", "zero_share"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), "strength"),
        (("preset=demo",), "strength"),
        (("preset=short",), "strength-short"),
        (("regularizer.strength=1e-3", "preset=short", "batch_size=20"), "strength-short"),
    ],
)
def test_an_experiment_at_a_preset_has_one_bundle(overrides: tuple[str, ...], expected: str) -> None:
    assert bundle_of("strength", overrides) == expected


def test_the_committed_records_are_few_files_and_stay_small() -> None:
    assert 20 <= len(BUNDLES) <= 60
    assert sum(path.stat().st_size for path in BUNDLES) < 13_000_000
    identities = [key for path in BUNDLES for key in bundles.Bundle(path).places]
    assert len(identities) == len(set(identities)) >= 848


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_every_committed_record_is_whole_and_findable(path: Path, tmp_path: Path) -> None:
    store = Store(tmp_path, LAYER.name, REFERENCE)
    bundle = bundles.Bundle(path)
    for identity, seed in bundle.places:
        spec = spec_of(bundle.manifest((identity, seed))["spec"])
        assert spec_id(spec) == identity
        assert store.find(spec, seed) == path
        assert not store.manifest(spec, seed)["git"]["dirty"]
        trained = spec if isinstance(spec, TrainSpec) else spec.train
        assert store.columns(spec, seed)["features"]["step"].max() == trained.steps
