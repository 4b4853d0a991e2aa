"""Channels that are cut into pieces, joined or spread: what goes, and what the code's own numbers forbid."""

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from full_scale.removal import load, save, shrink
from full_scale.removal.assessment import ALIVE
from full_scale.removal.selection import KEPT_EQUAL
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.structures import DEAD, Chain, block, with_dead
from tests.full_scale.removal.test_shrink import IMAGES, gap


class CrossStage(nn.Module):
    """Halves, of which one goes through residual blocks and all are joined, as in C2f."""

    CUTS: ClassVar = {
        "chunk": lambda self, x: x.chunk(2, 1),
        "split by an attribute": lambda self, x: x.split((self.width, self.width), 1),
        "slices": lambda self, x: (x[:, : x.shape[1] // 2], x[:, -(x.shape[1] // 2) :]),
        "tensor_split": lambda self, x: x.tensor_split(2, 1),
        "narrow": lambda self, x: (x.narrow(1, 0, self.width), x.narrow(1, self.width, self.width)),
    }

    def __init__(self, cut):
        super().__init__()
        self.cut, self.width = cut, 8
        self.first, self.last = block(8, 16, 1, nn.SiLU), block(24, 8, 1)
        self.inner = nn.Sequential(block(8, 8), block(8, 8))
        self.first[1].dead_too = slice(8, 8 + DEAD)

    def forward(self, x):
        pieces = list(self.CUTS[self.cut](self, self.first(x)))
        pieces.append(pieces[-1] + self.inner(pieces[-1]))
        return self.last(torch.cat(pieces, 1))


class Partial(nn.Module):
    """A block on some of the channels, the others as they are."""

    CUTS: ClassVar = {
        "attribute": lambda self, x: (x[:, : self.width], x[:, self.width :]),
        "list": lambda self, x: x.split(self.widths, 1),
        "hard-coded": lambda self, x: (x[:, :2], x[:, 2:]),
        "misleading attribute": lambda self, x: (x[:, :4], x[:, 4:]),
    }

    def __init__(self, cut):
        super().__init__()
        self.cut, self.width, self.widths, self.factor = cut, 2, [2, 6], 4
        first = 4 if cut == "misleading attribute" else 2
        self.part, self.last = block(first, first), block(8, 8)

    def forward(self, x):
        pieces = self.CUTS[self.cut](self, x)
        return self.last(torch.cat([self.part(pieces[0]), *pieces[1:]], 1) * self.factor)


class Gate(nn.Module):
    """One half of the channels lets the other through."""

    def __init__(self, function):
        super().__init__()
        self.function, self.first, self.last = function, block(8, 16, activation=nn.Identity), block(8, 8)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def by_hand(x):
    value, gate = x.chunk(2, 1)
    return value * gate.sigmoid()


class Pixels(nn.Module):
    """A map with twice the sides and a fourth of the channels, and back; the first two channels of it are dead."""

    def __init__(self):
        super().__init__()
        self.first, self.enlarge, self.inner = block(8, 32), nn.PixelShuffle(2), block(8, 8)
        self.shrink, self.last = nn.PixelUnshuffle(2), block(32, 8)
        self.first[1].dead_too = slice(0, 8)

    def forward(self, x):
        return self.last(self.shrink(self.inner(self.enlarge(self.first(x)))))


class Decoder(nn.Module):
    """Features of a linear map become maps of 4 × 4; the first two of these are dead."""

    VIEWS: ClassVar = {
        "-1": lambda self, x: x.view(len(x), -1, 4, 4),
        "size of a module": lambda self, x: x.view(-1, self.up[0].in_channels, 4, 4),
        "attribute": lambda self, x: x.reshape(-1, self.width, 4, 4),
        "unflatten": lambda self, x: x.unflatten(1, (-1, 4, 4)),
        "hard-coded": lambda self, x: x.view(-1, 8, 4, 4),
    }

    def __init__(self, view):
        super().__init__()
        self.view, self.width = view, 8
        self.linear, self.norm = nn.Linear(8, 128), nn.BatchNorm1d(128)
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.norm.dead_too = slice(0, 32)

    def forward(self, x):
        x = torch.relu(self.norm(self.linear(x.mean((2, 3)))))
        return self.up(self.VIEWS[self.view](self, x))


def by_views(x):
    groups = x.view(len(x), 2, x.shape[1] // 2, *x.shape[2:])
    return groups.transpose(1, 2).contiguous().view(x.shape)


def by_reshape(x):
    return x.reshape(len(x), 2, -1, *x.shape[2:]).permute(0, 2, 1, 3, 4).reshape(x.shape)


class Shuffled(nn.Module):
    """Units of ShuffleNet: half of the channels goes through a branch, then all are mixed."""

    def __init__(self, shuffle, units=2, width=8):
        super().__init__()
        self.shuffle, self.first, self.last = shuffle, block(8, 2 * width, 1), block(2 * width, 8)
        depthwise = {"groups": width, "activation": nn.Identity}
        self.branches = nn.ModuleList(
            nn.Sequential(block(width, width, 1), block(width, width, **depthwise), block(width, width, 1)) for _ in range(units)
        )

    def forward(self, x):
        x = self.first(x)
        for branch in self.branches:
            same, other = x.chunk(2, 1)
            x = self.shuffle(torch.cat([same, branch(other)], 1))
        return self.last(x)


SHUFFLES = {"views": by_views, "reshape": by_reshape, "one operation": lambda x: F.channel_shuffle(x, 2)}

REMOVED = {
    **{f"halves by {cut}": (lambda cut=cut: Chain(CrossStage(cut)), "body.first.1", 2 * DEAD) for cut in CrossStage.CUTS},
    **{f"unequal by {cut}": (lambda cut=cut: Chain(Partial(cut)), "first.1", DEAD - 1) for cut in ("attribute", "list")},
    "gate by hand": (lambda: Chain(Gate(by_hand)), "body.last.1", DEAD),
    "gated linear unit": (lambda: Chain(Gate(lambda x: F.glu(x, 1))), "body.last.1", DEAD),
    "pixels": (lambda: Chain(Pixels()), "body.first.1", 8),
    **{
        f"maps by {view}": (lambda view=view: Chain(Decoder(view)), "body.norm", 32)
        for view in Decoder.VIEWS
        if view != "hard-coded"
    },
}
"""Name → network, the layer whose channels are cut, joined or spread, and how many of it go where dead ones put out 0."""


@torch.no_grad()
def dead_also(network, shift):
    """The network, with dead features also where its modules say so."""
    for part in network.modules():
        for number in range(*part.dead_too.indices(len(part.weight))) if hasattr(part, "dead_too") else ():
            part.weight[number], part.bias[number] = 0, shift
    return network


@pytest.mark.parametrize(
    ("name", "shift"), [*((name, 0.0) for name in REMOVED), *((name, 0.5) for name in list(REMOVED)[::5]), ("pixels", None)]
)
def test_what_is_cut_joined_or_spread_goes(name, shift):
    build, layer, count = REMOVED[name]
    network = dead_also(with_dead(build, shift), shift or 0.0).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    assert not report.features["reason"].str.startswith(REFUSED).any()
    found = report.features[report.features["layer"] == layer]["removable"].sum()
    assert found == count if shift == 0 else found > 0
    for images in (IMAGES, 100 * torch.randn(1, 3, 18, 22), -30 * torch.rand(2, 3, 12, 12)):
        assert gap(network, smaller, images) <= 1e-10


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (lambda: Chain(Partial("hard-coded")), "first.1"),
        (lambda: Chain(Partial("misleading attribute")), "first.1"),
        (lambda: Chain(Decoder("hard-coded")), "body.norm"),
    ],
)
def test_numbers_in_the_code_are_found_and_respected(build, layer):
    network = dead_also(with_dead(build, 0.0), 0.0).double()
    smaller, report = shrink(network, IMAGES.double())
    dead = report.features[(report.features["layer"] == layer) & (report.features["kind"] != ALIVE)]
    assert len(dead) > 0
    assert not dead["removable"].any()
    assert smaller.second[0].out_channels == 8 - DEAD
    assert smaller.body.__dict__.get("factor") == network.body.__dict__.get("factor")
    assert gap(network, smaller, 100 * IMAGES) <= 1e-10


def test_halves_lose_equally_many():
    network = with_dead(lambda: Chain(CrossStage("chunk")), 0.0)
    _, report = shrink(network, IMAGES)
    table = report.features.query("layer == 'body.first.1' and kind != 'alive'")
    assert not table["removable"].any()
    assert (table["reason"] == KEPT_EQUAL).all()


def test_sizes_in_attributes_are_saved(tmp_path):
    def build():
        return Chain(Partial("list"))

    smaller, _ = shrink(with_dead(build, 0.0), IMAGES)
    assert smaller.body.widths == [1, 5]
    save(smaller, tmp_path / "small.safetensors")
    loaded = load(tmp_path / "small.safetensors", build)
    assert torch.equal(loaded.eval()(IMAGES), smaller.eval()(IMAGES))


def with_many_dead(network, shift):
    """The network, with half of the features of the shuffled part dead at random, and no unit without dead ones."""
    generator = torch.Generator().manual_seed(0)
    for part in network.body.modules():
        if isinstance(part, nn.BatchNorm2d):
            dead = torch.randperm(part.num_features, generator=generator)[: part.num_features // 2]
            part.weight.data[dead], part.bias.data[dead] = 0, shift
    return network


@pytest.mark.parametrize(("shuffle", "shift"), [("views", 0.5), ("reshape", 0.0), ("one operation", 0.5)])
def test_shuffled_channels_change_places(shuffle, shift):
    network = with_many_dead(with_dead(lambda: Chain(Shuffled(SHUFFLES[shuffle])), 0.0, dead=0), shift).double()
    smaller, report = shrink(network, IMAGES.double())
    assert not report.features["reason"].str.startswith(REFUSED).any()
    widths = {branch[2][0].out_channels for branch in smaller.body.branches}
    assert len(widths) == 1
    assert widths < {*range(8)}
    assert smaller.body.last[0].in_channels == 2 * widths.pop()
    for images in (IMAGES, 100 * torch.randn(1, 3, 18, 22), -30 * torch.rand(2, 3, 12, 12)):
        assert gap(network, smaller, images) <= 1e-10


def test_a_shuffle_of_a_fixed_width_stays():
    def fixed(x):
        return x.view(len(x), 2, 8, *x.shape[2:]).transpose(1, 2).reshape(x.shape)

    network = with_many_dead(with_dead(lambda: Chain(Shuffled(fixed)), 0.0, dead=0), 0.0).double()
    smaller, _ = shrink(network, IMAGES.double())
    assert smaller.body.first[0].out_channels == 16
    assert smaller.body.branches[0][0][0].out_channels < 8
    assert gap(network, smaller, 100 * IMAGES) <= 1e-10
