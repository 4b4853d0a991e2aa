"""Removal is exact on networks people use; the long script benchmarks/removal_all.py runs all of them in all settings."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.removal_exactness import difference, pruned_by_peer
from full_scale.removal import shrink
from full_scale.removal.files.export import write
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.zoo import SHIFTS, SUBSET, zoo_network

if find_spec("torchvision") is None:
    pytest.skip("torchvision is only needed to test removal on its networks", allow_module_level=True)

ROOT = Path(__file__).parents[3]
SHARES = {"resnet18": 0.6, "densenet121": 0.3, "googlenet": 1.0}


@pytest.mark.parametrize("name", SUBSET)
def test_networks_of_torchvision_keep_their_function(name):
    shift = list(SHIFTS.values())[SUBSET.index(name) % len(SHIFTS)]
    network, images = zoo_network(name, SHARES.get(name, 0.3), shift)
    smaller, report = shrink(network, images)
    table = report.differences.groupby("dtype")["relative"]
    assert table.size().to_dict() == {"float32": 2, "float64": 3}
    assert table.max()["float64"] <= 1e-10
    assert table.max()["float32"] <= 1e-4
    assert not report.features["reason"].str.startswith(REFUSED).any()
    fewer = sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    if name == "convnext_tiny":
        assert not fewer
        assert any(note.startswith("nothing to remove") and "no BatchNorm" in note for note in report.notes)
    else:
        assert fewer
        assert report.after.macs < report.before.macs


READING = """
import sys, numpy, torch
folder, ours = sys.argv[1], sys.argv[2] == "ours"
if ours:
    from full_scale.removal import load
    from tests.full_scale.removal.zoo import torchvision_models
    network = load(f"{folder}/network.safetensors", lambda: torchvision_models().resnet18(weights=None)).eval()
else:
    network = torch.export.load(f"{folder}/network.pt2").module()
    assert not [name for name in sys.modules if name.split(".")[0] in ("full_scale", "mechanisms", "torchvision")]
with torch.no_grad():
    numpy.save(f"{folder}/found.npy", network(torch.from_numpy(numpy.load(f"{folder}/images.npy"))).numpy())
"""


@pytest.mark.parametrize("side", ["ours", "exported"])
def test_a_smaller_resnet_is_read_in_a_fresh_process(side, tmp_path):
    network, image = zoo_network("resnet18", 0.6, 0.5)
    smaller, report = shrink(network, image)
    write(smaller, report, image, tmp_path)
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "images.npy", images.numpy())
    where = ROOT if side == "ours" else tmp_path
    environment = {**os.environ, "PYTHONPATH": str(where)}
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path), side], cwd=where, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = smaller.eval()(images)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "found.npy")), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_removed_widths_equal_those_of_torch_pruning_where_dead_features_are_zero(name):
    pytest.importorskip("torch_pruning", reason="torch-pruning is only needed as an oracle of removed widths")
    network, images = zoo_network(name, 0.3, 0.0)
    ours, theirs = shrink(network, images)[0], pruned_by_peer(network, images)
    widths = [{key: tuple(value.shape) for key, value in part.state_dict().items()} for part in (ours, theirs)]
    assert widths[0] == widths[1]
    assert widths[0] != {key: tuple(value.shape) for key, value in network.state_dict().items()}


def test_torch_pruning_changes_the_output_where_dead_features_are_not_zero():
    pytest.importorskip("torch_pruning", reason="torch-pruning is only needed to show what others do")
    network, images = zoo_network("resnet18", 0.3, 0.5)
    network, images = network.double(), images.double()
    assert difference(network, pruned_by_peer(network, images), images) > 0.01
    assert difference(network, shrink(network, images)[0], images) < 1e-10
