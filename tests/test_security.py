"""Nothing in a file that is handed over is ever run; no name in it says where anything is written; no size in it is believed."""

import hashlib
import importlib
import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch

import full_scale.commands.parts.images as image_files
import mechanisms.records.store as records
from full_scale.__main__ import main as full_scale
from full_scale.commands.parts.images import images_of
from full_scale.commands.parts.weights import with_weights
from full_scale.data.coded import read_npz
from full_scale.data.files.cifar_archives import pickled
from full_scale.data.files.location import reading
from full_scale.removal import load, save
from full_scale.removal.files.saving import HEADER
from full_scale.training.checkpoints import NAME, Checkpoints
from mechanisms.records.store import Store
from mechanisms.validation import UserError
from toy.spec import ToySpec


class Trap:
    """An object whose unpickling leaves a mark: what an attacker would put there."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def network():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU())


def array_of(trap):
    return np.array([trap], dtype=object)


def npz(path, trap, name):
    with zipfile.ZipFile(path, "w") as archive:
        content = io.BytesIO()
        np.save(content, array_of(trap), allow_pickle=True)
        archive.writestr(f"{name}.npy", content.getvalue())


def record(path, trap):
    """A record whose table is a pickle and whose checksum is right."""
    store = Store(path, "toy")
    folder = store.save(ToySpec(), 0, {"features": pd.DataFrame({"step": [1], "layer": ["toy"], "feature": [0]})}, {})
    table = folder / "features.npz"
    with np.load(table) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    np.savez(table, allow_pickle=True, **{**columns, "feature": array_of(trap)})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"]["features"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    store.load(ToySpec(), 0)


def checkpoint(path, trap):
    torch.save({"identity": trap, "state": trap}, path / NAME)
    if Checkpoints(path, {}).load(torch.device("cpu")) is None:
        raise UserError("it is not used")


def weights(path, trap):
    torch.save({"state_dict": network().state_dict(), "extra": trap}, path / "weights.pt")
    with_weights(network(), path / "weights.pt")


def bare_weights(path, trap):
    (path / "weights.bin").write_bytes(pickle.dumps(trap))
    with_weights(network(), path / "weights.bin")


def module(path, trap):
    whole = network()
    whole.extra = trap
    torch.save(whole, path / "module.pth")
    with_weights(network(), path / "module.pth")


def renamed_weights(path, trap):
    (path / "weights.safetensors").write_bytes(pickle.dumps(trap))
    with_weights(network(), path / "weights.safetensors")


def shrunk(path, trap):
    held = {HEADER: pickle.dumps(trap, 0).decode("latin1")}
    safetensors.numpy.save_file({"x": np.zeros(1)}, path / "small.safetensors", held)
    load(path / "small.safetensors", network())


def images(path, trap):
    np.save(path / "images.npy", array_of(trap), allow_pickle=True)
    images_of(str(path / "images.npy"), None, torch.float32)


def packed_images(path, trap):
    npz(path / "images.npz", trap, "images")
    images_of(str(path / "images.npz"), None, torch.float32)


def published_images(path, trap):
    npz(path / "mnist.npz", trap, "x_train")
    read_npz(path / "mnist.npz", {"x_train": 1 << 20})


def batches(path, trap):
    with reading(path):
        pickled("labels")(pickle.dumps({"data": trap, "labels": [1]}))


FORMATS = (
    record,
    checkpoint,
    weights,
    bare_weights,
    module,
    renamed_weights,
    shrunk,
    images,
    packed_images,
    published_images,
    batches,
)


@pytest.mark.parametrize("held_by", FORMATS, ids=lambda made: made.__name__)
def test_a_pickle_in_any_format_does_not_run(held_by, tmp_path):
    mark = tmp_path / "it ran"
    trap = Trap(mark)
    with pytest.raises(UserError):
        held_by(tmp_path, trap)
    assert not mark.exists()
    pickle.loads(pickle.dumps(trap))  # the trap is one
    assert mark.exists()


def test_a_command_line_runs_no_pickle_either(tmp_path, capsys):
    torch.save(Trap(tmp_path / "it ran"), tmp_path / "weights.pt")
    words = ["audit", "basic_net", "width=0.125", "--input", "1,1,8,8", "--weights", str(tmp_path / "weights.pt")]
    assert full_scale(words) == 2
    assert "pickled" in capsys.readouterr().err
    assert not (tmp_path / "it ran").exists()


@pytest.fixture
def named_by_a_record(tmp_path, monkeypatch):
    """Makes a record that names code which leaves a mark; returns its folder and the mark."""
    (tmp_path / "planted.py").write_text("import os\nos.mkdir('it ran')\ndef made(*_):\n    raise ValueError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def make(field):
        words = ["run", "digits", "network.width=0.0625", "batch_size=20", "steps=2", "measurements=1", "--seeds", "1"]
        assert full_scale(words) == 0
        path = next((tmp_path / "runs").rglob("manifest.json"))
        manifest = json.loads(path.read_text())
        manifest["spec"][field] = {"type": "custom", "path": "planted:made"}
        path.write_text(json.dumps(manifest))
        return path.parent, tmp_path / "it ran"

    yield make
    sys.modules.pop("planted", None)


@pytest.mark.parametrize("field", ["data", "network"])
def test_code_that_a_record_names_does_not_run(field, named_by_a_record, capsys):
    folder, mark = named_by_a_record(field)
    torch.save(network().state_dict(), "weights.pt")
    for verb in (["audit"], ["shrink", "--out", "small.safetensors"]):
        assert full_scale([verb[0], str(folder), "--weights", "weights.pt", *verb[1:]]) == 2
        assert "planted:made is code that a record names" in capsys.readouterr().err
    assert full_scale(["clean", "--orphans", "--yes"]) == 0
    assert folder.is_dir() or field == "network", "whether it is found is for its code to say"
    assert not mark.exists()
    importlib.import_module("planted")
    assert mark.exists(), "the code is there"


def test_a_table_that_unpacks_to_too_much_is_damage(tmp_path, monkeypatch):
    store = Store(tmp_path, "toy")
    zeros = pd.DataFrame({"step": np.zeros(10_000, int), "layer": "toy", "feature": 0})
    store.save(ToySpec(), 0, {"features": zeros}, {})
    assert (store.folder(ToySpec(), 0) / "features.npz").stat().st_size < 10_000
    monkeypatch.setattr(records, "LARGEST_TABLE", 100_000)
    with pytest.raises(records.DamagedRecord, match="unpacks to more"):
        store.load(ToySpec(), 0)


def test_images_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "images.npz", images=np.zeros((100, 1, 8, 8), np.float32))
    monkeypatch.setattr(image_files, "LARGEST", 1_000)
    with pytest.raises(UserError, match="unpacks to more"):
        images_of(str(tmp_path / "images.npz"), None, torch.float32)


def test_a_record_is_not_read_through_a_name_in_its_manifest(tmp_path):
    """A manifest that names a table outside of its folder is damage, whatever is there."""
    store = Store(tmp_path / "runs", "toy")
    folder = store.save(ToySpec(), 0, {"features": pd.DataFrame({"step": [1], "layer": ["toy"], "feature": [0]})}, {})
    (folder / "features.npz").rename(tmp_path / "outside.npz")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"] = {"../../../../outside": manifest["tables"]["features"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(records.DamagedRecord):
        store.load(ToySpec(), 0)


def test_what_is_saved_replaces_nothing_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "small.safetensors").symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="exists"):
        save(network(), tmp_path / "small.safetensors")
    assert (tmp_path / "precious").read_text() == "kept"
