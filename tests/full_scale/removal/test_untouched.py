"""An audit or a removal leaves a network, and what its hooks write to, as it was, whatever its code does when it runs."""

import contextlib
import copy
import functools
from collections import deque
from typing import ClassVar

import pytest
import torch
from torch import nn

from full_scale.removal import audit, prune, shrink, shrink_training
from full_scale.removal.analysis.graph import structural_copy
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import Chain, with_dead

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
OUTSIDE = []
"""What a hook fills that is in no closure."""


class Recorder:
    """Keeps activations, for itself and for all of its class."""

    everything: ClassVar = deque()

    def __init__(self):
        self.latest = None

    def __call__(self, part, inputs, found):
        self.latest = found
        self.everything.append(found)

    def record(self, part, inputs, found):
        self(part, inputs, found)


class Cached(nn.Module):
    """Counts and caches in everything that is no parameter."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.total, self.seen, self.number = torch.zeros(()), {"sums": [torch.ones(1)]}, 0

    def forward(self, x):
        self.calls += 1
        self.total += 1
        self.seen["sums"].append(x.sum())
        self.number += 1
        return x


class Limited(nn.Conv2d):
    """Limits the norm of its weights before each use."""

    def forward(self, x):
        self.weight.data.copy_(torch.renorm(self.weight.data, 2, 0, 0.1))
        return super().forward(x)


class Assigned(nn.Conv2d):
    """The same with other memory."""

    def forward(self, x):
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.1)
        return super().forward(x)


def plain(network):
    return [network]


def on_the_model(network):
    network.acts = {}
    network.first.register_forward_hook(lambda part, inputs, found: network.acts.__setitem__("first", found.detach()))
    return [network, network.acts]


def on_a_module_with_gradient(network):
    network.acts = {}
    network.first.register_forward_hook(lambda part, inputs, found: network.acts.__setitem__("first", found))
    return [network, network.acts]


def in_a_buffer(network):
    network.register_buffer("calls", torch.zeros(()))
    network.register_forward_pre_hook(lambda part, inputs: network.calls.add_(1) and None)
    return [network]


def in_a_closure(network):
    found = []
    network.first.register_forward_hook(lambda part, inputs, out: found.append(out))
    return [network, found]


def outside(network):
    network.first.register_forward_hook(lambda part, inputs, out: OUTSIDE.append(out.detach()))
    return [network, OUTSIDE]


def in_an_object(network):
    recorder = Recorder()
    network.first.register_forward_hook(recorder)
    network.second.register_forward_hook(functools.partial(recorder.record))
    return [network, vars(recorder), Recorder.everything]


def in_caches(network):
    network.body = Cached()
    return [network, network.body.seen, network.body.seen["sums"]]


def in_parameters(kind, network):
    network.body = kind(8, 8, 3, padding=1)
    return [network]


def frozen_and_channels_last(network):
    network.first[0].requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    return [network]


KINDS = {
    **{f.__name__: f for f in (plain, on_the_model, on_a_module_with_gradient, in_a_buffer, in_a_closure, outside, in_an_object)},
    "in_caches": in_caches,
    "limited weights": functools.partial(in_parameters, Limited),
    "assigned weights": functools.partial(in_parameters, Assigned),
    "frozen_and_channels_last": frozen_and_channels_last,
}


def described(things):
    """All that can be seen of a network and of what its hooks write to; tensors as their numbers, places and order."""
    if isinstance(things, nn.Module):
        return [described(vars(part)) for part in things.modules()]
    if isinstance(things, torch.Tensor):
        grad = None if things.grad_fn is not None or things.grad is None else (id(things.grad), things.grad.tolist())
        return (id(things), type(things), things.data_ptr(), things.stride(), things.requires_grad, things.tolist(), grad)
    if isinstance(things, dict):
        return {key: described(value) for key, value in things.items() if key != "_modules"}
    if isinstance(things, list | tuple | deque):
        return [described(thing) for thing in things]
    return things


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_differs_afterwards(kind):
    OUTSIDE.clear()
    Recorder.everything.clear()
    network = with_dead(Chain).train()
    network.first[1].eval()
    things = KINDS[kind](network)
    network(IMAGES).sum().backward()
    before = described(things)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    calls = {
        "audit": lambda: audit(network, IMAGES),
        "shrink": lambda: shrink(network, IMAGES),
        "silent": lambda: shrink(network, IMAGES, data=IMAGES, silent=True),
        "prune": lambda: prune(network, {"second.1": torch.arange(8) > 5}, IMAGES),
        "training": lambda: shrink_training(network, optimizer, IMAGES),
    }
    for name, call in calls.items():
        traced = "weights" not in kind  # torch does not trace what writes on parameters
        with contextlib.nullcontext() if traced else pytest.raises(UserError, match="cannot be traced"):
            call()
        assert described(things) == before, name
    copy.deepcopy(structural_copy(network))


def test_a_refusal_leaves_nothing_either():
    network = with_dead(Chain)
    things = on_the_model(network)
    network.body = nn.Conv2d(8, 8, 1, padding_mode="circular")
    network.body.forward = lambda x: x if x.sum() > 0 else -x
    before = described(things)
    with pytest.raises(Exception, match="cannot be traced"):
        audit(network, IMAGES)
    assert described(things) == before


@pytest.mark.parametrize("images", [IMAGES, IMAGES.unsqueeze(2)])
def test_weights_keep_their_order_in_memory(images):
    form = torch.channels_last if images.dim() == 4 else torch.channels_last_3d
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if images.dim() == 4 else (nn.Conv3d, nn.BatchNorm3d)
    network = with_dead(
        lambda: nn.Sequential(conv(3, 8, 1), norm(8), nn.ReLU(), conv(8, 8, 1), norm(8), nn.ReLU(), conv(8, 4, 1))
    )
    network.to(memory_format=form)
    smaller, report = shrink(network, images)
    assert report.features["removable"].any()
    for number in (0, 3, 6):
        weight = smaller[number].weight
        assert weight.stride() == torch.empty(weight.shape).to(memory_format=form).stride()
    plain, _ = shrink(with_dead(Chain), IMAGES)
    assert all(part.is_contiguous() for part in plain.parameters())
