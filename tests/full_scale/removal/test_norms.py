"""Normalizations by statistics of the image, tokens between LayerNorms, and what recurrent layers read."""

import pytest
import torch
from torch import nn

from full_scale.removal import shrink
from full_scale.removal.selection import KEPT_CARRIER
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.structures import DEAD, Chain, block, with_dead
from tests.full_scale.removal.test_shrink import IMAGES, gap


@torch.no_grad()
def dead_scales(network, shift=0.5, dead=DEAD):
    """The network, its norms by groups or channels with random scales of which the first are 0."""
    for part in network.modules():
        if isinstance(part, nn.GroupNorm | nn.InstanceNorm2d) and part.affine:
            part.weight.uniform_(0.5, 1.5)[:dead] = 0
            part.bias.normal_(0, 0.3)[:dead] = shift
    return network


def middle(norm, **options):
    """Two convolutions with a normalization between them."""
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, **options))


class Tokens(nn.Module):
    """A perceptron on tokens, as in vision transformers."""

    def __init__(self, activation=nn.GELU, last=False):
        super().__init__()
        self.norm, self.up, self.activation, self.down = nn.LayerNorm(8), nn.Linear(8, 12), activation(), nn.Linear(12, 8)
        self.last, self.scale = last, nn.Parameter(torch.randn(8))

    def forward(self, x):
        x = x.permute(0, 2, 3, 1) if self.last else x.flatten(2).transpose(1, 2)
        x = x + self.scale * self.down(self.activation(self.up(self.norm(x))))
        return x.permute(0, 3, 1, 2) if self.last else x.transpose(1, 2).unflatten(2, (12, -1))


class Standardized(nn.Module):
    """Tokens normalized by their root mean square."""

    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.RMSNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        return self.down(torch.relu(self.up(self.norm(x.movedim(1, -1))))).movedim(-1, 1)


class Recurrent(nn.Module):
    """Columns of features read one after the other."""

    def __init__(self, kind, **options):
        super().__init__()
        self.first, self.layers = block(3, 8), kind(8, 6, batch_first=True, **options)
        self.out = nn.Linear(12 if options.get("bidirectional") else 6, 5)

    def forward(self, x):
        return self.out(self.layers(self.first(x).mean(2).transpose(1, 2))[0])


class Steps(nn.Module):
    """A cell that is called for each row of an image."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.cell, self.out = block(3, 8), kind(8, 6), nn.Linear(6, 5)

    def forward(self, x):
        state, rows = None, self.first(x).mean(3)
        for number in range(rows.shape[2]):
            state = self.cell(rows[..., number], state)
        return self.out(state[0] if isinstance(state, tuple) else state)


NORMS = {
    "without running statistics": lambda: Chain(middle(nn.BatchNorm2d(8, track_running_stats=False))),
    "instance norm": lambda: dead_scales(Chain(middle(nn.InstanceNorm2d(8, affine=True)))),
    "instance norm with running statistics": lambda: dead_scales(
        Chain(middle(nn.InstanceNorm2d(8, affine=True, track_running_stats=True)))
    ),
    "instance norm without affine": lambda: Chain(middle(nn.InstanceNorm2d(8))),
    "a group that is dead": lambda: dead_scales(Chain(middle(nn.GroupNorm(2, 8))), dead=4),
    "a group that is dead, in groups": lambda: dead_scales(Chain(middle(nn.GroupNorm(4, 8), groups=4)), 0.0, dead=4),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_by_statistics_of_the_image(name):
    network = with_dead(NORMS[name], 0.5).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    for images in (IMAGES, 100 * torch.randn(1, 3, 18, 22)):
        assert gap(network, smaller, images) <= 1e-10
    rows = report.features[report.features["layer"].str.startswith("body") & (report.features["kind"] != "alive")]
    assert len(rows) >= (0 if "affine" in name else DEAD)
    assert rows.loc[~rows["removable"], "reason"].isin([KEPT_CARRIER]).all()
    assert not report.features["reason"].str.startswith(REFUSED).any()


@pytest.mark.parametrize("groups", [2, 8])
def test_part_of_a_group_stays_with_its_group(groups):
    network = dead_scales(with_dead(lambda: Chain(middle(nn.GroupNorm(groups, 8, affine=groups < 8)))))
    smaller, report = shrink(network.double(), IMAGES.double())
    dead = report.features[report.features["kind"] != "alive"].groupby("layer")["removable"].sum()
    assert dead["first.1"] == DEAD - 1
    assert dead["second.1"] == DEAD
    assert smaller.body[1].num_groups == groups
    assert smaller.body[0].out_channels == 8
    assert gap(network, smaller, 100 * IMAGES) <= 1e-10


TOKENS = {
    "first": lambda: Chain(Tokens()),
    "last": lambda: Chain(Tokens(nn.ReLU, last=True)),
    "root mean square": lambda: Chain(Standardized()),
}


@pytest.mark.parametrize("name", TOKENS)
def test_hidden_units_between_norms_of_tokens_go(name):
    network = with_dead(TOKENS[name], 0.5).double()
    with torch.no_grad():
        network.body.up.weight[:DEAD] = 0
    smaller, report = shrink(network, IMAGES[:1].double())
    assert smaller.body.up.out_features == smaller.body.down.in_features == 12 - DEAD
    rows = report.features.query("layer == 'first.1' and kind != 'alive'")
    assert rows["reason"].str.startswith("its mean and variance are part of ").all()
    assert not any(note.startswith("not looked at") for note in report.notes)
    for images in (IMAGES, 100 * torch.randn(1, 3, 12, 12)):
        assert gap(network, smaller, images) <= 1e-10


RECURRENT = {
    "LSTM": lambda: Recurrent(nn.LSTM),
    "LSTM of two layers in both directions": lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True),
    "GRU": lambda: Recurrent(nn.GRU, bidirectional=True),
    "recurrent network": lambda: Recurrent(nn.RNN, num_layers=2),
    "LSTM without bias": lambda: Recurrent(nn.LSTM, bias=False, bidirectional=True),
    "LSTM cell": lambda: Steps(nn.LSTMCell),
    "GRU cell": lambda: Steps(nn.GRUCell),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_dead_features_that_a_recurrent_layer_reads_go(name):
    network = with_dead(RECURRENT[name], 0.5).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    kept = 8 - DEAD + ("without" in name)
    assert getattr(smaller, "cell" if "cell" in name else "layers").input_size == kept
    for images in (IMAGES, 100 * torch.randn(1, 3, 12, 12)):
        assert gap(network, smaller, images) <= 1e-10
    smaller.train()(IMAGES.double()).sum().backward()
    assert not report.features["reason"].str.startswith(REFUSED).any()


class Attention(nn.Module):
    """Attention of one head on tokens, `written` out or by torch; with a `mask` the first token sees nothing."""

    def __init__(self, written=False, mask=False):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(8, 6) for _ in range(3))
        self.norm, self.out, self.written, self.mask = nn.LayerNorm(8), nn.Linear(6, 8), written, mask

    def forward(self, x):
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        query, key, value = self.query(tokens), self.key(tokens), self.value(tokens)
        if self.written:
            found = (query @ key.transpose(1, 2) / 6**0.5).softmax(2) @ value
        else:
            allowed = (torch.arange(tokens.shape[1], device=x.device) > 0)[:, None] if self.mask else None
            found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return x + self.out(found).transpose(1, 2).unflatten(2, (12, -1))


class Heads(nn.Module):
    """Attention of four heads that are an axis from the start."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(8, 4, 1) for _ in range(3))
        self.out = nn.Conv2d(4, 8, 1)

    def forward(self, x):
        found = nn.functional.scaled_dot_product_attention(*(part(x) for part in self.parts))
        return x + self.out(found)


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("options", [{}, {"written": True}, {"mask": True}], ids=str)
def test_dead_values_of_attention_go(options, shift):
    network = with_dead(lambda: Chain(Attention(**options))).double()
    with torch.no_grad():
        for part in (network.body.value, network.body.key):
            part.weight[:DEAD], part.bias[:DEAD] = 0, shift
    smaller, report = shrink(network, IMAGES[:1].double())
    assert smaller.body.value.out_features == (6 if options and shift else 6 - DEAD)
    assert smaller.body.key.out_features == 6
    assert not report.features["reason"].str.startswith(REFUSED).any()
    for images in (IMAGES, 100 * torch.randn(1, 3, 12, 12)):
        assert gap(network, smaller, images) <= 1e-10


@pytest.mark.parametrize("dead", [(0,), (2,), (0, 1, 2)])
def test_heads_go_where_queries_keys_and_values_are_dead(dead):
    network = with_dead(lambda: Chain(Heads())).double()
    with torch.no_grad():
        for part in dead:
            network.body.parts[part].weight[0] = 0
    smaller, report = shrink(network, IMAGES[:1].double())
    assert smaller.body.parts[0].out_channels == (4 if dead == (0,) else 3)
    assert not report.features["reason"].str.startswith(REFUSED).any()
    for images in (IMAGES, 100 * torch.randn(1, 3, 12, 14)):
        assert gap(network, smaller, images) <= 1e-10
