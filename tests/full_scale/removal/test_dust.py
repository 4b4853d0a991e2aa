"""Dust: filters whose weights are nearly 0 are found, removed on request, and what that changes is measured or bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from full_scale.removal import audit, shrink
from mechanisms.validation import UserError

EXAMPLE = torch.zeros(2, 3, 8, 8)
DUST = {"first": [0, 5], "depthwise": [1], "last": [2, 3], "up": [4]}


@pytest.fixture(autouse=True)
def _same_numbers() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Folded(nn.Module):
    """Convolutions without BatchNorm, some of whose filters are 1e-8 of their size; their biases close the activation."""

    def __init__(self, size: float = 1e-8) -> None:
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last, self.up, self.head = nn.Conv2d(8, 6, 1), nn.ConvTranspose2d(6, 6, 2, stride=2, groups=2), nn.Linear(6, 4)
        with torch.no_grad():
            for name, dead in DUST.items():
                layer = getattr(self, name)
                for filter in dead:
                    group, inside = divmod(filter, 3)
                    part = layer.weight[3 * group : 3 * group + 3, inside] if name == "up" else layer.weight[filter]
                    part.mul_(size)
                layer.bias[dead] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.depthwise(torch.relu(self.first(x))))
        return self.head(torch.relu(self.up(torch.relu(self.last(x)))).mean((2, 3)))


def found(report: object) -> dict[str, list[int]]:
    features = report.features[report.features["kind"] == "dust"]  # type: ignore[attr-defined]
    return {layer: list(part["feature"]) for layer, part in features.groupby("layer", sort=False)}


def test_dust_is_found_beside_the_filters_of_its_layer() -> None:
    network = Folded()
    assert set(audit(network, EXAMPLE).features["kind"]) == {"alive"}
    below, above = audit(network, EXAMPLE, dust=1e-6), audit(network, EXAMPLE, dust=1e-10)
    assert found(below) == {**DUST, "depthwise": [0, 1, 5]}  # fed by dust alone
    assert found(above) == {}
    with torch.no_grad():
        for part in network.parameters():
            part.mul_(1e-3)
    assert found(audit(network, EXAMPLE, dust=1e-6)) == found(below)


def test_a_layer_that_is_mostly_dust_is_measured_by_the_rest() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    with torch.no_grad():
        network[0].weight[:6] *= torch.tensor([1e-8, 1e-9, 1e-10, 0, 1e-12, 1e-8]).view(-1, 1, 1, 1)
    report = audit(network, EXAMPLE, dust=1e-6)
    assert found(report) == {"0": [0, 1, 2, 4, 5]}
    assert list(report.features["cause"])[:8] == ["", "", "", "weights", "", "", "", ""]


def test_small_scales_are_dust_too() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        network[1].weight[2] = 1e-9
    assert found(audit(network, EXAMPLE, dust=1e-6)) == {"1": [2]}


def test_removing_dust_is_not_called_exact_and_its_change_is_measured() -> None:
    network = Folded(1e-6)
    before = [part.clone() for part in network.parameters()]
    smaller, report = shrink(network, EXAMPLE, dust=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert report.features["removable"].sum() >= 4
    assert not report.is_exact
    exact = report.changes[report.changes["dtype"] == "float64"]["relative"]
    assert 1e-9 < exact.max() < 1e-4
    assert report.differences["relative"].max() < 1e-4
    images = torch.randn(3, 3, 8, 8)
    assert 0 < (network(images) - smaller(images)).abs().max() < 1e-5
    assert report.bound is None


def test_the_bound_holds_for_inputs_in_the_range() -> None:
    network = Folded(1e-5)
    smaller, report = shrink(network, EXAMPLE, dust=1e-3, input_range=(-1.0, 1.0))
    assert report.bound is not None
    assert "no output changes by more than" in str(report)
    doubled, small = network.double(), smaller.double()
    draws = [
        2 * torch.rand(64, 3, 8, 8).double() - 1,
        torch.randint(2, (64, 3, 8, 8)).double() * 2 - 1,
        torch.ones(1, 3, 8, 8).double(),
    ]
    for other in (size * draw for draw in draws for size in (1, -1)):
        assert (doubled(other) - small(other)).abs().max() <= report.bound + 1e-7  # what shrink writes is float32
    assert report.bound < 1e-2


def test_where_nothing_can_go_nothing_is_changed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1))
    with torch.no_grad():
        network[0].weight[1] *= 1e-9
    smaller, report = shrink(network, EXAMPLE, dust=1e-6)
    assert report.is_exact
    assert torch.equal(smaller[0].weight, network[0].weight)


def test_a_limit_of_the_change_chooses_the_threshold() -> None:
    network = Folded(1e-6)
    with torch.no_grad():
        network.first.weight[3] *= 1e-2
        network.first.bias[3], network.depthwise.bias[3] = 0.0, 1.0
    limit = 1e-4
    _, report = shrink(network, EXAMPLE, largest_change=limit)
    within, above = report.curve[report.curve["change"] <= limit], report.curve[report.curve["change"] > limit]
    assert len(within) == len(above) == 1
    assert list(within["filters"]) == [6]
    assert report.changes["relative"].max() <= limit
    assert found(report)["first"] == [0, 5]
    more = audit(network, EXAMPLE, largest_change=1.0)
    assert found(more)["first"] == [0, 3, 5]
    none = audit(network, EXAMPLE, largest_change=1e-12)
    assert found(none) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [({"dust": -1.0}, "dust"), ({"dust": 0.1, "largest_change": 0.1}, "dust"), ({"largest_change": 0.0}, "largest")],
)
def test_mistakes(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        audit(Folded(), EXAMPLE, **options)  # type: ignore[arg-type]


def test_an_audit_says_what_removal_would_save() -> None:
    report = audit(Folded(), EXAMPLE, dust=1e-6)
    smaller, done = shrink(Folded(), EXAMPLE, dust=1e-6)
    assert report.after is not None
    assert report.after.parameters == sum(part.numel() for part in smaller.parameters())
    assert (report.after.macs, report.after.bytes) == (done.after.macs, done.after.bytes)
    assert "after removal: " in str(report)
    assert "▒" in str(report) or "█" in str(report)
    assert audit(nn.Sequential(nn.Conv2d(3, 4, 1)), EXAMPLE).after is None
