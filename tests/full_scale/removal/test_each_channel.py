"""Operations that act on each channel alone are followed, with what they make of constants."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from full_scale.removal import shrink
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.structures import DEAD, Chain, with_dead
from tests.full_scale.removal.test_shrink import IMAGES, gap


class Between(nn.Module):
    """A function of the channels and of what the module holds: a gate, filters, their number."""

    def __init__(self, function):
        super().__init__()
        self.function, self.width, self.gate = function, 8, nn.Parameter(0.5 + torch.rand(8))
        self.register_buffer("filter", torch.rand(1, 1, 3, 3))
        self.register_buffer("filters", torch.rand(8, 1, 3, 3))

    def forward(self, x):
        return self.function(x, self)


CONSTANT = {
    "flip": lambda x, _: x.flip((1, 3)),
    "roll": lambda x, _: x.roll(1, 2),
    "larger of two": lambda x, _: torch.maximum(x, 2 * x - 0.1),
    "smaller of two": lambda x, _: torch.min(x, 2 * x),
    "where": lambda x, _: torch.where(x > 0.2, x, 2 * x),
    "masked fill": lambda x, _: x.masked_fill(x < 0.3, 0.7),
    "mask": lambda x, _: x * (x > 0.2).to(x),
    "sum": lambda x, _: x * x.sum((2, 3), keepdim=True) / 100,
    "largest": lambda x, _: x * torch.linalg.vector_norm(x, ord=math.inf, dim=(2, 3), keepdim=True),
    "spread": lambda x, _: x + x.std((2, 3), keepdim=True) + x.var((2, 3), keepdim=True),
    "adaptive maximum": lambda x, _: x * F.adaptive_max_pool2d(x, 1),
    "maximum over axes": lambda x, _: x * x.max(3, keepdim=True)[0].max(2, keepdim=True).values,
    "bicubic": lambda x, _: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "antialiased": lambda x, _: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
    "nearest exact": lambda x, _: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "threshold": lambda x, _: F.threshold(x, 0.1, 2.0),
    "shrinkage": lambda x, _: F.softshrink(x, 0.2) + F.hardshrink(x, 0.1),
    "softsign": lambda x, _: F.softsign(x),
    "power pool": lambda x, _: F.lp_pool2d(x, 2, 2),
    "randomized leaky": lambda x, _: F.rrelu(x - 0.7),
    "quotient": lambda x, _: x / (x.abs() + 0.5),
    "border of −∞": lambda x, _: F.max_pool2d(F.pad(x, (1, 1, 0, 1), value=-math.inf), 3, 2),
    "border of a number": lambda x, _: F.pad(x, (1, 1, 0, 1), value=-1.5),
    "mirrored border of zeros": lambda x, _: F.pad(F.pad(x, (1, 1, 1, 1)), (2, 2, 2, 2), mode="reflect"),
    "gate by view": lambda x, self: x * self.gate.sigmoid().view(1, -1, 1, 1),
    "gate by index": lambda x, self: x + self.gate[:, None, None],
    "gate by size": lambda x, self: x * self.gate.view(1, self.width, 1, 1),
    "gate, expanded": lambda x, self: x / self.gate[None, :, None, None].expand_as(x),
    "filters for all": lambda x, self: F.conv2d(x, self.filters, groups=x.shape[1]),
    "filters, number held": lambda x, self: F.conv2d(x, self.filters, groups=self.width),
    "one filter": lambda x, self: F.conv2d(x, self.filter.expand(x.shape[1], 1, 3, 3), groups=x.shape[1]),
    "one filter, repeated": lambda x, self: F.conv2d(x, self.filter.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1], stride=2),
    "repeated positions": lambda x, _: x.repeat(1, 2, 1, 2)[:, : x.shape[1]].repeat_interleave(2, 2),
}
"""Name → function, after which the constants of dead channels are known, whatever they are."""

ZERO = {
    "stack": lambda x, _: torch.stack([x, 2 * x], 2).mean(2),
    "stack before": lambda x, _: torch.stack([x, 2 * x], 1).sum(1),
    "norm": lambda x, _: x / (1 + x.norm(dim=(2, 3), keepdim=True)),
    "unpool": lambda x, _: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "padded patches": lambda x, _: F.unfold(x, 3, padding=1).view(len(x), x.shape[1], 9, *x.shape[2:]).mean(2),
}
"""The same, of which only 0 stays known."""

CASES = [
    *((name, function, (0.5, None)[number % 2]) for number, (name, function) in enumerate(CONSTANT.items())),
    *((name, function, 0.0) for name, function in ZERO.items()),
]


@pytest.mark.parametrize(("name", "function", "shift"), CASES, ids=[case[0] for case in CASES])
def test_dead_channels_go_through(name, function, shift):
    network = with_dead(lambda: Chain(Between(function)), shift).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    assert not report.features["reason"].str.startswith(REFUSED).any()
    removed = report.features[report.features["layer"] == "first.1"]["removable"].sum()
    assert removed == DEAD or (removed == DEAD - 1 and shift != 0), "at most one is kept, to carry constants"
    for images in (IMAGES, 100 * torch.randn(1, 3, 18, 22)):
        assert gap(network, smaller, images) <= 1e-10


@pytest.mark.parametrize(
    "function",
    [
        lambda x, self: x * self.gate.view(1, 8, 1, 1),
        lambda x, self: F.conv2d(x, self.filters, groups=8),
        lambda x, self: F.conv2d(x, self.filter.expand(8, 1, 3, 3), groups=8),
        lambda x, _: F.max_pool2d(F.pad(x, (2, 2, 2, 2), value=-math.inf), 2, 1).clamp(min=-5),
    ],
    ids=["gate of 8", "8 groups", "8 filters", "windows of nothing but border"],
)
def test_what_cannot_be_known_stays(function):
    network = with_dead(lambda: Chain(Between(function)), 0.5).double()
    smaller, report = shrink(network, IMAGES.double())
    assert smaller.first[0].out_channels == 8
    assert not (report.features["reason"] == "").all()
    assert smaller.second[0].out_channels == 8 - DEAD
    assert gap(network, smaller, 100 * IMAGES) <= 1e-10
