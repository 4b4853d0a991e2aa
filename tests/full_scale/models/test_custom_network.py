"""A user's own network by its path: same law for its seed, and one line for everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from full_scale.models.base import AbstractNetwork
from full_scale.models.custom_network import CustomNetwork
from mechanisms.records.specs import from_json, make_choice, to_json
from mechanisms.validation import InvalidValue, UserError

SHAPE = (1, 8, 8)
SOURCE = """
import torch
from torch import nn
from torch.nn import functional

class Small(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(shape[0], 6, 3), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, classes)

    def forward(self, images):
        return self.fc(functional.relu(self.norm(self.conv(images))).mean((2, 3)))

class Looping(Small):
    def forward(self, images):
        return super().forward(images if images.sum() > 0 else -images)

class Tokens(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.hidden, self.fc = nn.Linear(shape[2], 8), nn.Linear(8, classes)  # as many units as tokens

    def forward(self, images):
        return self.fc(functional.relu(self.hidden(images.flatten(1, 2)))).mean(1)

class Twice(Small):
    def forward(self, images):
        return super().forward(images) * (2 if self.training else 1)

class Dropping(Small):
    def forward(self, images):
        return super().forward(functional.dropout(images, 0.5, training=True))

class Noisy(Small):
    def forward(self, images):
        return super().forward(images) + torch.rand(())

def failing(shape, classes):
    raise SystemExit("no such thing\\nat all")

def three(shape, classes):
    return 3

def narrow(shape, classes):
    return Small(shape, classes - 1)

def list_of_scores(shape, classes):
    class Listed(Small):
        def forward(self, images):
            return [super().forward(images)]
    return Listed(shape, classes)

def wide(shape, classes):
    return Small((shape[0] + 1, *shape[1:]), classes)

def linear(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

NUMBER = 3
"""


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], CustomNetwork]:
    """The network of a callable in a module of its own."""
    (tmp_path / "own_networks.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "own_broken.py").write_text("import nothing_like_this", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: CustomNetwork(path=name if ":" in name else f"own_networks:{name}")


def test_it_is_written_with_its_path() -> None:
    written = make_choice(AbstractNetwork, "custom:mylab.networks:Small.thin", "network")
    assert written == CustomNetwork(path="mylab.networks:Small.thin") == CustomNetwork.parse("mylab.networks:Small.thin")
    assert from_json(CustomNetwork, to_json(written)) == written


def test_its_features_are_found_and_the_seed_decides_its_weights(custom: Callable[[str], CustomNetwork]) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (custom("Small").build(SHAPE, 10, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    (layer,) = first.layers
    assert (layer.name, layer.features, type(layer.activation)) == ("conv", 6, nn.ReLU)
    assert layer.following is first.module.get_submodule("fc")
    assert first.module.training
    assert first.module(torch.zeros(3, *SHAPE)).shape == (3, 10)
    weights, same, different = (network.module.get_parameter("conv.weight") for network in (first, again, other))
    assert torch.equal(weights, same)
    assert not torch.equal(weights, different)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_nowhere:Small", "module own_nowhere cannot be imported"),
        ("own_broken:Small", "module own_broken cannot be imported .*nothing_like_this"),
        ("Smal", "network.path = 'own_networks:Smal' is not valid"),
        ("NUMBER", "network.path = 'own_networks:NUMBER' is not valid"),
        ("failing", "it cannot be made .*SystemExit: no such thing"),
        ("three", "it is a int"),
        ("narrow", r"its output for 2 images is \(2, 9\), use class scores of shape \(2, 10\)"),
        ("list_of_scores", "its output for 2 images is a list"),
        ("wide", r"it cannot score images of shape \(1, 8, 8\)"),
        ("Looping", "the layers of Looping cannot be found"),
        ("Noisy", "does something else when traced"),
        ("Twice", "does something else when traced"),
        ("Dropping", "does something else when traced"),
        ("Tokens", "it has no features"),
        ("linear", "it has no features"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(custom: Callable[[str], CustomNetwork], name: str, message: str) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(UserError, match=rf"^(?!.*\n).*{message}"):
        custom(name).build(SHAPE, 10, 0)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("path", ["", "networks", "networks:", ":small", "my lab:small", "a:b:c", "a..b:c", 3])
def test_a_path_that_is_none_is_refused(path: object) -> None:
    with pytest.raises(InvalidValue, match=r"network\.path = .* is not valid: use PACKAGE\.MODULE:CALLABLE"):
        CustomNetwork(path=path)  # type: ignore[arg-type]
