"""Which weights make a feature and which read it, for every kind of module."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from full_scale.models.base import FeatureLayer


def rows(part: nn.Module, weights_of: Callable[[], Tensor | None]) -> Tensor:
    """Positions in the weight of a module instead of values, one row a feature."""
    kept = part.weight
    part.weight = nn.Parameter(torch.arange(kept.numel()).reshape(kept.shape), requires_grad=False)
    found = weights_of()
    part.weight = kept
    assert found is not None
    return found


@pytest.mark.parametrize(
    "made",
    [
        nn.Conv2d(4, 6, 3, bias=False),
        nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.ConvTranspose2d(4, 6, 3, bias=False),
        nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False),
        nn.Linear(4, 6, bias=False),
    ],
)
@torch.no_grad()
def test_incoming_weights_make_one_feature_each(made: nn.Module) -> None:
    layer = FeatureLayer("made", made, None, nn.ReLU(), None)  # type: ignore[arg-type]
    inputs = torch.randn(2, 4, 5, 5) if made.weight.dim() > 2 else torch.randn(2, 4)
    for feature, row in enumerate(rows(made, layer.incoming)):
        kept = made.weight.clone()
        made.weight.view(-1)[row] = 0
        silent = made(inputs).transpose(0, 1).flatten(1).abs().amax(1) == 0
        assert silent.tolist() == [feature == other for other in range(layer.features)]
        made.weight.copy_(kept)


@pytest.mark.parametrize(
    "reader",
    [
        nn.Conv2d(6, 4, 3),
        nn.Conv2d(6, 4, 3, groups=2),
        nn.Conv2d(6, 12, 3, groups=6),
        nn.ConvTranspose2d(6, 4, 3),
        nn.ConvTranspose2d(6, 4, 3, groups=2),
        nn.Sequential(nn.Flatten(), nn.Linear(6 * 25, 4)),
    ],
)
@torch.no_grad()
def test_outgoing_weights_read_one_feature_each(reader: nn.Module) -> None:
    following = reader[1] if isinstance(reader, nn.Sequential) else reader
    layer = FeatureLayer("made", nn.Conv2d(4, 6, 3), None, nn.ReLU(), following)
    for feature, row in enumerate(rows(following, layer.outgoing)):
        kept = following.weight.clone()
        following.weight.view(-1)[row] = 0
        read = [
            bool((reader(inputs) != reader(0 * inputs)).any())
            for inputs in torch.eye(6)[:, None, :, None, None].expand(6, 1, 6, 5, 5)
        ]
        assert read == [feature != other for other in range(6)]
        following.weight.copy_(kept)


def test_outgoing_weights_without_a_reader() -> None:
    assert FeatureLayer("made", nn.Conv2d(4, 6, 3), None, nn.ReLU(), None).outgoing() is None
