"""Removal is exact on random small networks of everything it covers."""

import pytest
import torch

from full_scale.removal import shrink
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.random_networks import RandomNetwork

BATCHES = 8
GRAPHS = 4
"""Networks in each of the batches: 32 in all."""


@torch.no_grad()
def relative(expected, found):
    return max(((a - b).abs().max() / a.abs().max()).item() for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_networks_keep_their_function(batch):
    removed = 0
    for seed in range(batch * GRAPHS, (batch + 1) * GRAPHS):
        network = RandomNetwork(seed).double()
        generator = torch.Generator().manual_seed(seed)
        smaller, report = shrink(network, torch.randn(1, 3, 12, 12, dtype=torch.float64, generator=generator))
        assert report.is_exact
        assert not [note for note in report.notes if "does not cover" in note], f"seed {seed}"
        assert not report.features["reason"].str.startswith(REFUSED).any(), f"seed {seed}: removal cut what it cannot follow"
        images = 5 * torch.randn(3, 3, 12, 12, dtype=torch.float64, generator=generator)
        assert relative(network.eval()(images), smaller.eval()(images)) <= 1e-10, f"seed {seed}"
        removed += report.features["removable"].sum()
    assert removed > 0, "nothing was removed from any network, so nothing was tested"
