"""What holds for every network that is found: sizes, features, weights from the seed alone, who reads what."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from full_scale.models.base import AbstractNetwork, BuiltNetwork, FeatureLayer
from full_scale.models.choices import INITIALIZATIONS
from mechanisms.records.specs import choices, from_json, to_json
from mechanisms.validation import InvalidValue

NETWORKS = choices(AbstractNetwork)
CLASSES = 10
SIDES = range(1, 257)

every_network = pytest.mark.parametrize("name", NETWORKS)


def narrow(name: str, **fields: Any) -> Any:
    """The network at a small width, if it has one."""
    width = {"width": 1 / 16} if "width" in {field.name for field in dataclasses.fields(NETWORKS[name])} else {}
    return NETWORKS[name](**width, **fields)


@functools.cache
def smallest_shape(name: str) -> tuple[int, int, int]:
    """The smallest square images that the network takes by default."""
    for side in SIDES:
        try:
            NETWORKS[name]().require_fits((1, side, side))
        except InvalidValue:
            continue
        return (1, side, side)
    raise AssertionError(f"{name} takes no images of at most {SIDES[-1]} pixels")


def images(name: str, number: int = 3) -> Tensor:
    return torch.randn(number, *smallest_shape(name), generator=torch.Generator().manual_seed(0))


def built(name: str, seed: int = 0) -> BuiltNetwork:
    network: AbstractNetwork = narrow(name)
    return network.build(smallest_shape(name), CLASSES, seed)


@every_network
def test_it_scores_images_and_names_its_features(name: str) -> None:
    network = NETWORKS[name]().build(smallest_shape(name), CLASSES, 0)
    shapes: dict[str, torch.Size] = {}
    for layer in network.layers:
        layer.activation.register_forward_hook(lambda module, inputs, output, key=layer.name: shapes.update({key: output.shape}))
    assert network.module(images(name)).shape == (3, CLASSES)
    assert len({layer.name for layer in network.layers}) == len(network.layers) > 0
    for layer in network.layers:
        assert network.module.get_submodule(layer.name) is layer.conv
        assert shapes[layer.name][:2] == (3, layer.features)
        assert len(shapes[layer.name]) in (2, 4)
        assert layer.norm is None or layer.norm.weight.shape == layer.norm.bias.shape == (layer.features,)


@every_network
def test_every_parameter_learns(name: str) -> None:
    network = built(name)
    network.module(images(name)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.module.parameters())


@every_network
def test_smaller_images_are_refused(name: str) -> None:
    channels, side, _ = smallest_shape(name)
    if side > 1:
        with pytest.raises(InvalidValue, match=f"{side - 1}"):
            NETWORKS[name]().build((channels, side - 1, side - 1), CLASSES, 0)


@every_network
def test_images_need_not_be_square(name: str) -> None:
    _, side, _ = smallest_shape(name)
    module = narrow(name).build((3, side, 2 * side), CLASSES, 0).module
    assert module(torch.zeros(2, 3, side, 2 * side)).shape == (2, CLASSES)


@every_network
def test_the_seed_decides_the_weights_and_no_global_generator_moves(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (built(name, seed).module.state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if first[key].dim() > 1]
    assert drawn
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


@every_network
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_every_initialization_gives_finite_scores(name: str, initialization: str) -> None:
    module = narrow(name, initialization=initialization).build(smallest_shape(name), CLASSES, 0).module
    assert module(images(name)).isfinite().all()
    assert all(parameter.isfinite().all() for parameter in module.parameters())


@every_network
def test_he_initialization_has_its_spread(name: str) -> None:
    """The standard deviation of n normal numbers scatters by 1/√(2 n) of itself; five times that never happens by chance."""
    module = NETWORKS[name](initialization="he").build(smallest_shape(name), CLASSES, 0).module
    drawn = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    for part in drawn:
        weights, fan_in = part.weight.numel(), part.weight[0].numel()
        if weights >= 1000:
            assert part.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=5 / (2 * weights) ** 0.5)
        assert part.bias is None or not part.bias.any()


@every_network
def test_an_unknown_initialization_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="initialization"):
        narrow(name, initialization="orthogonal")


@every_network
def test_its_spec_survives_json(name: str) -> None:
    network = narrow(name)
    assert from_json(type(network), to_json(network)) == network


@every_network
def test_the_outgoing_weights_are_all_that_reads_a_feature(name: str) -> None:
    """With them at 0 a feature may be anything and the scores stay; with them as they are its reader puts out something else."""
    network = built(name)
    network.module.eval()
    for layer in network.layers:
        if layer.following is not None:
            read, _ = _moved(network, layer, name)
            _, moved = _moved(network, layer, name, unread=True)
            assert read > 0
            assert moved == 0


@torch.no_grad()
def _moved(network: BuiltNetwork, layer: FeatureLayer, name: str, unread: bool = False) -> tuple[float, float]:
    """How much the output of the reader and the scores move when the last feature of a layer is enlarged."""
    assert layer.following is not None
    weight, results = layer.following.weight, []
    kept = weight.clone()
    if unread:
        weight.view(-1)[_rows(layer)[-1]] = 0
    with layer.following.register_forward_hook(lambda module, inputs, output: results.append(output)):
        results.append(network.module(images(name)))
        with layer.activation.register_forward_hook(_enlarge):
            results.append(network.module(images(name)))
    weight.copy_(kept)
    read, scores, read_enlarged, scores_enlarged = results
    return (read_enlarged - read).abs().max().item(), (scores_enlarged - scores).abs().max().item()


def _rows(layer: FeatureLayer) -> Tensor:
    """`layer.outgoing()` with positions in the weight instead of values."""
    numbered = copy.deepcopy(layer.following)
    assert numbered is not None
    numbered.requires_grad_(False)
    numbered.weight = nn.Parameter(torch.arange(numbered.weight.numel()).reshape(numbered.weight.shape), requires_grad=False)
    rows = dataclasses.replace(layer, following=numbered).outgoing()
    assert rows is not None
    return rows


def _enlarge(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    changed = output.clone()
    changed[:, -1] += 1
    return changed
