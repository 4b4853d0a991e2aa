"""Weights that are computed before each run are made plain in a copy; of what is not looked at nothing is said to be alive."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from full_scale.removal import audit, load, save, shrink, shrink_training
from full_scale.removal import prune as prune_features
from mechanisms.validation import UserError
from tests.full_scale.models.foreign import Frozen
from tests.full_scale.removal.structures import DEAD, Chain, with_dead

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


class Random(nn.Module):
    def forward(self, weight):
        return weight * torch.rand(())


class Standardized(nn.Conv2d):
    """Its code computes the weights, not torch."""

    def forward(self, input):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(input, weight, self.bias)


def masked_rows(conv):
    prune.ln_structured(conv, "weight", amount=4, n=2, dim=0)
    prune.l1_unstructured(conv, "weight", amount=0.1)


WAYS = {
    "masks": (masked_rows, "prune.remove"),
    "weight_norm": (weight_norm, "remove_weight_norm"),
    "spectral_norm": (spectral_norm, "remove_spectral_norm"),
    "parametrized weight_norm": (parametrizations.weight_norm, "remove_parametrizations"),
    "parametrized spectral_norm": (parametrizations.spectral_norm, "remove_parametrizations"),
    "own": (lambda conv: parametrize.register_parametrization(conv, "weight", Halved()), "remove_parametrizations"),
}


def network_of(way):
    network = with_dead(Chain, 0.0)
    for conv in (network.first[0], network.second[0]):
        WAYS[way][0](conv)
    network.train()(IMAGES)  # one step of the norm that changes in training
    return network.eval()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("way", WAYS)
def test_computed_weights_are_made_plain_and_followed(way):
    network = network_of(way)
    names, expected = list(network.state_dict()), network(IMAGES)
    smaller, report = shrink(network, IMAGES)
    assert list(network.state_dict()) == names
    assert torch.equal(network(IMAGES), expected)
    assert report.features["removable"].sum() >= 2 * DEAD
    assert smaller.first[0].out_channels <= 8 - DEAD
    assert set(smaller.first[0]._parameters) == {"weight", "bias"}
    assert type(smaller.first[0]) is nn.Conv2d
    assert not smaller.first[0]._forward_pre_hooks
    assert any(f"2 as torch.nn.utils.{'parametrize.' * ('param' in WAYS[way][1])}{WAYS[way][1]}" in note for note in report.notes)
    torch.testing.assert_close(smaller(IMAGES), expected)


def test_rows_that_masks_close_are_dead():
    network = with_dead(Chain, 0.0, dead=0)
    masked_rows(network.first[0])
    _, report = shrink(network, IMAGES)
    first = report.features[report.features["layer"] == "first.1"]
    assert (first["kind"] == "parameters").sum() == 4
    assert first["removable"].sum() == 3, "one of them carries their constants across the padding"


def test_features_are_chosen_in_such_a_network():
    network = network_of("parametrized weight_norm")
    smaller, report = prune_features(network, {"first.1": torch.arange(8) < 6}, IMAGES)
    assert smaller.first[0].out_channels == 6
    assert any("remove_parametrizations" in note for note in report.notes)


def test_a_training_is_told_what_to_call():
    network = network_of("masks")
    with pytest.raises(UserError, match=r"first.0.weight is computed .*prune.remove on it"):
        shrink_training(network, torch.optim.SGD(network.parameters(), lr=0.1), IMAGES)


@pytest.mark.parametrize("way", ["masks", "own"])
def test_a_smaller_one_is_loaded_into_a_network_whose_weights_are_computed(way, tmp_path):
    network = network_of(way)
    smaller, _ = shrink(network, IMAGES)
    save(smaller, tmp_path / "small.safetensors")
    save(network, tmp_path / "whole.safetensors")
    assert torch.equal(load(tmp_path / "small.safetensors", network).eval()(IMAGES), smaller(IMAGES))
    assert torch.equal(load(tmp_path / "whole.safetensors", network).eval()(IMAGES), network(IMAGES))


def test_weights_that_differ_whenever_they_are_read_are_not_made_plain():
    network = with_dead(Chain, 0.0)
    parametrize.register_parametrization(network.first[0], "weight", Random())
    found = audit(network, IMAGES)
    assert not any("made plain" in note for note in found.notes)
    assert any("not looked at" in note and "1 ParametrizationList" in note for note in found.notes)


def test_nothing_dead_is_said_of_what_was_looked_at_only():
    network = nn.Sequential(Standardized(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 2))
    assert audit(network, IMAGES).notes[-2:] == (
        "not looked at, because what is done with their weights is not covered: 1 Standardized",
        "nothing to remove: no feature that was looked at is constant; the network has no BatchNorm",
    )
    frozen = nn.Sequential(nn.Conv2d(3, 8, 3), Frozen(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 2))
    frozen[1].weight[:DEAD] = 0
    assert (audit(frozen, IMAGES).features.query("kind == 'parameters'")["layer"] == "1").sum() == DEAD
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.Flatten(), nn.Linear(400, 2))
    assert audit(plain, IMAGES).notes == ("nothing to remove: no feature is constant",)
