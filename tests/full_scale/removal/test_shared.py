"""Modules with two names, modules used more than once, and parameters that share memory."""

import pytest
import torch
from torch import nn

from full_scale.removal import shrink
from full_scale.removal.selection import KEPT_CARRIER
from full_scale.removal.shrinking import REFUSED
from tests.full_scale.removal.structures import DEAD, block, with_dead
from tests.full_scale.removal.test_shrink import IMAGES, gap


class Named(nn.Module):
    """Each module has two names and runs once."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = block(3, 8), block(8, 8), nn.Conv2d(8, 2, 1)
        self.layers = nn.ModuleList([self.first, self.second])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out(x).mean((2, 3))


class Siamese(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.shared, self.mix = nn.Sequential(block(3, 8, **options), block(8, 8, **options)), block(16, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x, y=None):
        y = x.flip(3) if y is None else y
        return self.out(self.mix(torch.cat([self.shared(x), self.shared(y)], 1)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.step, self.out = block(3, 8), block(8, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.first(x)
        for _ in range(3):
            x = self.step(x)
        return self.out(x)


class Pyramid(nn.Module):
    """One head on maps of several sizes, as in RetinaNet; with `own` norms each level has another BatchNorm behind it."""

    def __init__(self, own=False, kernel=3):
        super().__init__()
        self.first, self.second, self.own = block(3, 8), block(8, 8, kernel), own
        self.conv, self.norms = nn.Conv2d(8, 8, kernel, padding=kernel // 2, bias=False), nn.ModuleList()
        self.norms.extend(nn.BatchNorm2d(8) for _ in range(1 + own))
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        fine = self.first(x)
        levels = fine, self.second(nn.functional.max_pool2d(fine, 2))
        found = [torch.relu(self.norms[n * self.own](self.conv(level))) for n, level in enumerate(levels)]
        return tuple(self.out(part) for part in found)


class Turned(nn.Module):
    """A decoder with the weights of its encoder, which are so read along both axes."""

    def __init__(self):
        super().__init__()
        self.first, self.encoder, self.bias = block(3, 8), block(8, 8), nn.Parameter(torch.randn(8))
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.encoder(self.first(x))
        return self.out(torch.relu(nn.functional.conv_transpose2d(x, self.encoder[0].weight, self.bias, padding=1)))


class Elsewhere(nn.Module):
    """The shift of a BatchNorm is added once more, to something else."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = block(3, 8), nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        return self.out(self.first(x)), self.out(torch.relu(self.second(x) + self.first[1].bias.view(1, -1, 1, 1)))


class Spread(nn.Module):
    """A parameter of channels that is also laid along the width of images, behind a ReLU that does not open."""

    def __init__(self):
        super().__init__()
        self.first, self.out = block(3, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        across = nn.functional.adaptive_avg_pool2d(x, 8) + self.first[1].bias
        return self.out(self.first(x)).mean((2, 3)) + torch.relu(across - 1e6).amax((1, 2, 3))[:, None]


class flat(nn.Module):
    """All that a network puts out, in one row."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        found = self.network(x)
        return torch.cat([part.flatten() for part in (found if isinstance(found, tuple) else (found,))])


USES = {
    "named twice": (Named, 2 * DEAD),
    "siamese": (Siamese, 3 * DEAD),
    "recurrent": (Recurrent, 2 * DEAD),
    "pyramid": (Pyramid, 3 * DEAD),
    "pyramid, one-by-one": (lambda: Pyramid(kernel=1), 3 * DEAD),
    "pyramid with norms of its own": (lambda: Pyramid(own=True), 4 * DEAD),
    "pyramid, one-by-one with norms of its own": (lambda: Pyramid(own=True, kernel=1), 4 * DEAD),
}


@pytest.mark.parametrize("shift", [-1.0, 0.5])
@pytest.mark.parametrize("name", USES)
def test_what_is_dead_in_every_use_goes(name, shift):
    build, dead = USES[name]
    network = with_dead(build, shift).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    rows = report.features[report.features["kind"] != "alive"]
    assert len(rows) == dead
    if shift == -1.0:
        assert rows["removable"].all()
    else:
        assert rows["removable"].sum() >= dead / 2
        assert rows.loc[~rows["removable"], "reason"].isin([KEPT_CARRIER]).all()
    for images in (IMAGES, 100 * torch.randn(1, 3, 18, 22)):
        assert gap(flat(network), flat(smaller), images) <= 1e-10


def test_each_use_folds_its_own_constants_into_its_own_norm():
    _, report = shrink(with_dead(lambda: Pyramid(own=True, kernel=1), None), IMAGES)
    assert report.features.query("layer == 'second.1' and kind != 'alive'")["removable"].all()


def test_other_constants_in_another_use_stay():
    network = with_dead(lambda: Pyramid(kernel=1), 0.5)
    nn.init.constant_(network.second[1].bias, 0.3)
    network.conv.bias, network.norms = nn.Parameter(torch.randn(8)), nn.ModuleList([nn.Identity()])
    _, report = shrink(network, IMAGES)
    reasons = report.features.query("layer == 'second.1' and kind != 'alive'")["reason"]
    assert list(reasons.unique()) == ["other constants in another use of conv.weight"]


@pytest.mark.parametrize("build", [Turned, Elsewhere, Spread])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_what_is_used_in_two_ways_stays(build, shift):
    network = with_dead(build, shift).double()
    smaller, report = shrink(network, IMAGES[:1].double())
    assert gap(flat(network), flat(smaller), 100 * IMAGES) <= 1e-10
    assert not report.features["reason"].str.startswith(REFUSED).any()


def test_views_of_one_vector_are_no_shared_parameters():
    network = with_dead(Named, 0.0)
    vector = nn.utils.parameters_to_vector(network.parameters()).detach()
    nn.utils.vector_to_parameters(vector, network.parameters())
    assert shrink(network, IMAGES)[1].features.query("kind != 'alive'")["removable"].all()
    network.first[0].weight.data = network.second[0].weight.data[:, :3]
    assert not shrink(network, IMAGES)[1].features.query("layer == 'first.1'")["removable"].any()
