"""Removal is exact on networks people use; the long script benchmarks/removal_all.py runs all of them in all settings."""

from importlib.util import find_spec

import pytest

from benchmarks.removal_exactness import difference, pruned_by_peer
from full_scale.removal import shrink
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.zoo import SHIFTS, SUBSET, zoo_network

if find_spec("torchvision") is None:
    pytest.skip("torchvision is only needed to test removal on its networks", allow_module_level=True)

SHARES = {"resnet18": 0.6, "densenet121": 0.3, "googlenet": 1.0}


@pytest.mark.parametrize("name", SUBSET)
def test_networks_of_torchvision_keep_their_function(name):
    shift = list(SHIFTS.values())[SUBSET.index(name) % len(SHIFTS)]
    network, images = zoo_network(name, SHARES.get(name, 0.3), shift)
    smaller, report = shrink(network, images)
    table = report.differences.groupby("dtype")["relative"]
    assert table.size().to_dict() == {"float32": 2, "float64": 2}
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
