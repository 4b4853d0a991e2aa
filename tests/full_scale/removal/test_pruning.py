"""Removal by mask, and during training: the cut is what it says, and the optimizer goes on."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from full_scale.models.basic_net import BasicNet
from full_scale.removal import prune, shrink_training
from mechanisms.validation import UserError
from tests.full_scale.models.foreign import Frozen
from tests.full_scale.removal.structures import STRUCTURES, Chain, Residual, with_dead
from tests.full_scale.test_foreign_optimizers import Delegating, Passing

IMAGES = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(8) % 5
MASK = torch.arange(8) >= 3

OPTIMIZERS = {
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-2, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9),
    "Adadelta": torch.optim.Adadelta,
}


@torch.no_grad()
def masked(network, norm):
    copied = copy.deepcopy(network)
    part = copied.get_submodule(norm)
    part.weight[~MASK], part.bias[~MASK] = 0, 0
    return copied.eval()


@pytest.mark.parametrize("mask", [MASK, MASK.numpy()])
@pytest.mark.parametrize("named", ["first.0", "first.1"])
def test_a_masked_feature_is_gone_and_nothing_else(named, mask):
    network = with_dead(Chain, dead=0).double()
    images = IMAGES.double()
    smaller, report = prune(network, {named: mask}, images)
    assert smaller.first[0].out_channels == MASK.sum()
    torch.testing.assert_close(smaller.eval()(images), masked(network, "first.1")(images), rtol=1e-10, atol=1e-12)
    assert not report.is_exact
    change = (smaller(images) - network.eval()(images)).abs().max() / network(images).abs().max()
    assert report.changes["relative"].max() > change / 10
    assert list(report.features[report.features["removable"]]["layer"].unique()) == ["first.1"]


def test_dead_features_that_no_mask_names_stay():
    network = with_dead(Chain, 0.0)
    smaller, _ = prune(network, {"second.1": torch.arange(8) != 7}, IMAGES)
    assert smaller.first[0].out_channels == 8
    assert smaller.second[0].out_channels == 7


def test_one_branch_of_a_sum_is_silenced_but_its_channels_stay():
    network = with_dead(lambda: Chain(Residual()), dead=0)
    smaller, report = prune(network, {"body.norm.1": MASK}, IMAGES)
    assert smaller.body.norm[0].out_channels == 8
    assert report.differences["relative"].max() <= 1e-4
    smaller, _ = prune(network, {"body.norm.1": MASK, "first.1": MASK}, IMAGES)
    assert smaller.body.norm[0].out_channels == MASK.sum()


def test_linear_units_are_masked_by_their_weights():
    network = nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU(), nn.Linear(8, 5))
    smaller, _ = prune(network, {"1": MASK}, IMAGES)
    assert (smaller[1].out_features, smaller[3].in_features) == (5, 5)
    torch.testing.assert_close(smaller[1].weight, network[1].weight[MASK])


@pytest.mark.parametrize(
    ("masks", "message"),
    [({"nowhere": MASK}, "nowhere"), ({"first.1": MASK[:4]}, "shape"), ({"first.1": MASK.float()}, "bool")],
)
def test_masks_that_do_not_fit_are_refused(masks, message):
    with pytest.raises(UserError, match=message):
        prune(with_dead(Chain), masks, IMAGES)


def train(network, optimizer, steps):
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(network(IMAGES.to(next(network.parameters()))), LABELS).backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_goes_on_as_if_dead_features_had_been_there(name):
    """With features that are 0 and get no gradient, the large and the small network train alike, step by step."""
    network = with_dead(Chain, 0.0, dead=0).double()
    with torch.no_grad():
        for part in (network.first, network.second):
            part[1].weight[:3], part[1].bias[:3] = 0, -1.0
    frozen = [part[1].bias for part in (network.first, network.second)] + [
        part[1].weight for part in (network.first, network.second)
    ]
    for parameter in frozen:
        parameter.requires_grad_(False)
    optimizer = OPTIMIZERS[name]([p for p in network.parameters() if p.requires_grad])
    train(network, optimizer, 3)
    before = copy.deepcopy(optimizer.state_dict())
    smaller, carried, report = shrink_training(network, optimizer, IMAGES.double())
    assert type(carried) is type(optimizer)
    assert report.after.parameters < report.before.parameters
    assert_same_state(before, optimizer.state_dict())
    train(network, optimizer, 5)
    train(smaller, carried, 5)
    torch.testing.assert_close(smaller.eval()(IMAGES.double()), network.eval()(IMAGES.double()), rtol=1e-8, atol=1e-10)


def assert_same_state(a, b):
    for number, state in a["state"].items():
        for key, value in state.items():
            assert np.array_equal(np.asarray(value), np.asarray(b["state"][number][key])), key


def test_state_is_cut_like_its_parameter_and_all_parameters_are_held():
    network = with_dead(STRUCTURES["one-by-one without norm"], 0.5)
    optimizer = torch.optim.Adam(
        [{"params": network.first.parameters(), "lr": 0.0}, {"params": [*network.body.parameters()], "lr": 0.0}]
    )
    train(network, optimizer, 1)
    smaller, carried, _ = shrink_training(network, optimizer, IMAGES)
    assert [group["lr"] for group in carried.param_groups] == [0.0, 0.0]
    for parameter, state in carried.state.items():
        assert state["exp_avg"].shape == parameter.shape
    held = {id(p) for group in carried.param_groups for p in group["params"]}
    assert held == {id(p) for p in [*smaller.first.parameters(), *smaller.body.parameters()]}
    assert smaller.body[0].bias is not None, "constants were folded into a new bias"
    moments = optimizer.state[network.first[0].weight]["exp_avg"]
    kept = [i for i in range(8) if any(torch.equal(network.first[0].weight[i], row) for row in smaller.first[0].weight)]
    torch.testing.assert_close(carried.state[smaller.first[0].weight]["exp_avg"], moments[kept])


def test_an_optimizer_of_another_network_is_refused():
    network = with_dead(Chain)
    with pytest.raises(UserError, match="optimizer"):
        shrink_training(network, torch.optim.SGD(with_dead(Chain).parameters(), lr=0.1), IMAGES)


def test_the_order_of_weights_in_memory_does_not_matter():
    """Channels last, one input channel: strides of axes of length 1 decide which copies torch makes."""
    network = BasicNet(width=1 / 16).build((1, 8, 8), 10, 0).module.to(memory_format=torch.channels_last)
    norms = {name: part for name, part in network.named_modules() if isinstance(part, nn.BatchNorm2d)}
    masks = {name: torch.arange(part.num_features) < part.num_features // 2 for name, part in norms.items()}
    smaller, _ = prune(network, masks, torch.zeros(2, 1, 8, 8))
    assert [getattr(smaller, name).num_features for name in norms] == [part.num_features // 2 for part in norms.values()]


@pytest.mark.parametrize("wrap", [Passing, Delegating], ids=lambda kind: kind.__name__)
def test_a_wrapper_around_an_optimizer_is_refused_with_what_to_do(wrap):
    network = with_dead(Chain)
    with pytest.raises(UserError, match=f"{wrap.__name__} is a wrapper around an optimizer, SGD: give that one"):
        shrink_training(network, wrap(torch.optim.SGD(network.parameters(), lr=0.1)), IMAGES)


class Supervised(Chain):
    """A second head that reads the first block's features, in training only."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(8, 5)

    def forward(self, x):
        features = self.first(x)
        scores = self.classifier(self.pool(self.second(features)).flatten(1))
        return (scores, self.auxiliary(features.mean((2, 3)))) if self.training else scores


def test_what_only_training_reads_stays_in_a_training():
    network = with_dead(Supervised, 0.0)
    smaller, _, report = shrink_training(network, torch.optim.SGD(network.parameters(), lr=0.1), IMAGES)
    assert (smaller.first[0].out_channels, smaller.second[0].out_channels) == (8, 5)
    reasons = report.features.query("layer == 'first.1' and kind != 'alive'")["reason"]
    assert reasons.str.contains("does not run in training mode").all()
    assert len(smaller.train()(IMAGES)) == 2


def test_a_network_that_does_not_train_is_refused():
    network = with_dead(Supervised, 0.0)
    network.auxiliary = nn.Linear(7, 5)
    with pytest.raises(UserError, match="does not run in training mode"):
        shrink_training(network, torch.optim.SGD(network.parameters(), lr=0.1), IMAGES)


def test_a_masked_feature_of_a_norm_with_frozen_statistics_goes():
    network = with_dead(Chain, dead=0).double()
    network.first[1] = Frozen(8).double()
    smaller, _ = prune(network, {"first.1": MASK}, IMAGES.double())
    assert smaller.first[0].out_channels == len(smaller.first[1].weight) == MASK.sum()
    torch.testing.assert_close(smaller.eval()(IMAGES.double()), masked(network, "first.1")(IMAGES.double()))
