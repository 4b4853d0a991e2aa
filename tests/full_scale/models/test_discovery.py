"""The feature layers of modules of every shape: who makes a feature, where it can be observed, and who alone reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from full_scale.models.base import FeatureLayer
from full_scale.models.discovery import BARE, OUTPUT, feature_layers, listing, survey
from full_scale.models.parts.activations import with_own_activations
from mechanisms.validation import UserError
from tests.full_scale.models.foreign import Frozen, NormAct, Padded


class Net(nn.Module):
    """Parts by name, and any forward pass over them."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self._forward = forward

    def forward(self, images: Tensor) -> Tensor:
        return self._forward(self, images)


def conv(inputs: int = 4, outputs: int = 4, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)


def names(module: nn.Module) -> list[str]:
    return [layer.name for layer in feature_layers(module)]


def only(module: nn.Module, name: str = "conv") -> FeatureLayer:
    (layer,) = [layer for layer in feature_layers(module) if layer.name == name]
    return layer


def head() -> nn.Module:
    """From 4 maps to scores."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_a_chain_through_pools_and_dropout() -> None:
    parts = (
        conv(),
        nn.Dropout2d(),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Identity(),
        conv(),
        head(),
    )
    module = nn.Sequential(*parts)
    (layer,) = feature_layers(module)
    assert (layer.name, layer.conv, layer.norm, layer.activation, layer.following) == ("0", *(parts[n] for n in (0, 2, 4, 7)))


def test_without_normalization_the_activation_alone_makes_a_layer() -> None:
    module = nn.Sequential(conv(), nn.LeakyReLU(0.1), head())
    assert feature_layers(module)[0].norm is None
    assert names(nn.Sequential(conv(), head())) == []


def test_a_normalization_without_scales_makes_no_layer() -> None:
    assert names(nn.Sequential(conv(), nn.BatchNorm2d(4, affine=False), nn.ReLU(), head())) == []


def test_the_output_of_the_network_is_no_feature() -> None:
    assert names(nn.Sequential(conv(), nn.ReLU(), conv(), nn.Sigmoid())) == ["0"]
    assert names(nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())) == ["0"]


def test_hidden_units_behind_convolutions_are_no_features_unless_normalized() -> None:
    hidden = [nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)]
    assert names(nn.Sequential(conv(), nn.ReLU(), *hidden)) == ["0", "5"]
    assert names(nn.Sequential(*hidden)) == ["1", "3"]


@pytest.mark.parametrize(
    "join", [lambda a, b: a + b, lambda a, b: torch.cat((a, b), 1), lambda a, b: a * b], ids=["sum", "concatenation", "product"]
)
def test_what_is_joined_with_something_else_ends_at_the_normalization(join: Callable[[Tensor, Tensor], Tensor]) -> None:
    module = Net(
        lambda m, x: m.next(m.relu(join(m.norm(m.conv(x)), x))), conv=conv(), norm=nn.BatchNorm2d(4), relu=nn.ReLU(), next=head()
    )
    layer = only(module)
    assert layer.activation is module.norm
    assert layer.following is None


def test_a_feature_with_two_readers_has_no_following() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        features = m.relu(m.norm(m.conv(x)))
        return m.next(m.left(features) + m.right(features))

    module = Net(forward, conv=conv(), norm=nn.BatchNorm2d(4), relu=nn.ReLU(), left=conv(), right=conv(), next=head())
    assert only(module).activation is module.relu
    assert only(module).following is None


def test_a_normalization_with_two_readers_is_the_feature() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        features = m.norm(m.conv(x))
        return m.next(features + m.other(m.relu(features)))

    module = Net(forward, conv=conv(), norm=nn.BatchNorm2d(4), relu=nn.ReLU(), other=conv(), next=head())
    assert only(module).activation is module.norm


def test_a_convolution_with_two_readers_makes_no_layer() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        raw = m.conv(x)
        return m.next(m.relu(m.norm(raw)) + raw)

    assert names(Net(forward, conv=conv(), norm=nn.BatchNorm2d(4), relu=nn.ReLU(), next=head())) == []


def test_what_is_called_twice_is_left_out() -> None:
    once = {"conv": conv(), "norm": nn.BatchNorm2d(4), "relu": nn.ReLU(), "last": conv(), "relu2": nn.ReLU(), "next": head()}
    assert names(Net(lambda m, x: m.next(m.relu2(m.last(m.relu(m.norm(m.conv(x)))))), **once)) == ["conv", "last"]
    assert names(Net(lambda m, x: m.next(m.relu2(m.last(m.relu(m.norm(m.conv(m.conv(x))))))), **once)) == ["last"]
    twice = Net(lambda m, x: m.next(m.relu2(m.last(m.last(m.relu(m.norm(m.conv(x))))))), **once)
    assert names(twice) == ["conv"]
    assert only(twice).following is None


def test_what_shares_a_weight_is_left_out() -> None:
    module = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv(), nn.ReLU(), head())
    module[2].weight = module[0].weight
    assert names(module) == ["4"]


def test_a_function_that_is_not_known_may_be_an_activation_and_leaves_the_layer_out() -> None:
    parts = {"conv": conv(), "norm": nn.BatchNorm2d(4), "next": head()}
    assert names(Net(lambda m, x: m.next(m.norm(m.conv(x)).clamp(min=0)), **parts)) == []
    assert names(Net(lambda m, x: m.next(m.norm(m.conv(x))), **parts)) == ["conv"]


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(x, start_dim=1),
        lambda x: x.flatten(1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], -1),
    ],
)
def test_a_linear_reader_of_a_flattened_map(flatten: Callable[[Tensor], Tensor]) -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        return m.fc(flatten(functional.max_pool2d(m.relu(m.conv(x)), 2)))

    module = Net(forward, conv=conv(), relu=nn.ReLU(), fc=nn.Linear(16, 3))
    module(torch.zeros(2, 4, 4, 4))
    assert only(module).following is module.fc
    outgoing = only(module).outgoing()
    assert outgoing is not None
    assert torch.equal(outgoing[1], module.fc.weight[:, 4:8].flatten())


@pytest.mark.parametrize("mean", [lambda x: x.mean((2, 3)), lambda x: x.mean([-1, -2]), lambda x: torch.mean(x, dim=(2, 3))])
def test_a_linear_reader_of_means(mean: Callable[[Tensor], Tensor]) -> None:
    module = Net(lambda m, x: m.fc(mean(m.relu(m.conv(x)))), conv=conv(), relu=nn.ReLU(), fc=nn.Linear(4, 3))
    module(torch.zeros(2, 4, 2, 2))
    assert only(module).following is module.fc


@pytest.mark.parametrize("scramble", [lambda x: x.flatten(), lambda x: x.mean(1), lambda x: x.transpose(1, 2), lambda x: x])
def test_a_linear_map_along_another_axis_does_not_follow(scramble: Callable[[Tensor], Tensor]) -> None:
    parts = {"conv": conv(), "norm": nn.BatchNorm2d(4), "relu": nn.ReLU(), "fc": nn.Linear(4, 3)}
    assert only(Net(lambda m, x: m.fc(scramble(m.relu(m.norm(m.conv(x))))), **parts)).following is None


def observed(module: nn.Module) -> nn.Module:
    """The module after `with_own_activations`, which does the same with the same parameters under the same names."""
    images = torch.randn(2, 4, 4, 4)
    found = with_own_activations(module)
    assert found.training
    assert [(name, id(p)) for name, p in found.named_parameters()] == [(name, id(p)) for name, p in module.named_parameters()]
    assert torch.equal(found.eval()(images), module.eval()(images))
    return found


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (functional.relu, nn.ReLU),
        (torch.relu, nn.ReLU),
        (lambda x: x.relu(), nn.ReLU),
        (lambda x: functional.relu(x, inplace=True), nn.ReLU),
        (lambda x: functional.leaky_relu(x, 0.3), nn.LeakyReLU),
        (lambda x: functional.elu(x, alpha=0.3), nn.ELU),
        (lambda x: functional.gelu(x, approximate="tanh"), nn.GELU),
        (torch.tanh, nn.Tanh),
    ],
)
def test_a_functional_activation_is_given_a_module(function: Callable[[Tensor], Tensor], kind: type[nn.Module]) -> None:
    module = Net(lambda m, x: m.next(function(m.norm(m.conv(x)))), conv=conv(), norm=nn.BatchNorm2d(4), next=head())
    assert names(module) == []
    assert isinstance(only(observed(module)).activation, kind)


def test_an_activation_that_is_called_twice_is_given_two_modules() -> None:
    parts = {"conv": conv(), "norm": nn.BatchNorm2d(4), "last": conv(), "relu": nn.ReLU(inplace=True), "next": head()}
    module = Net(lambda m, x: m.next(m.relu(m.last(m.relu(m.norm(m.conv(x)))))), **parts)
    assert names(module) == []
    first, second = feature_layers(observed(module))
    assert (first.name, second.name) == ("conv", "last")
    assert first.activation is not second.activation
    assert first.following is module.last


def test_what_has_modules_already_stays_as_it_is() -> None:
    module = nn.Sequential(conv(), nn.ReLU(), head())
    assert with_own_activations(module) is module


def test_an_activation_with_a_weight_that_is_called_twice_leaves_its_layers_out() -> None:
    parts = {"conv": conv(), "last": conv(), "act": nn.PReLU(), "next": head()}
    module = Net(lambda m, x: m.next(m.act(m.last(m.act(m.conv(x))))), **parts)
    assert names(observed(module)) == []


def test_functional_dropout_drops_in_training_and_not_in_evaluation() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        return m.next(functional.dropout(functional.relu(m.conv(x)), 0.5, training=m.training))

    module, images = observed(Net(forward, conv=conv(), next=head())), torch.ones(2, 4, 4, 4)
    assert torch.equal(module.eval()(images), module(images))
    with torch.random.fork_rng():
        assert not torch.equal(module.train()(images), module(images))


def test_functional_dropout_that_is_off_stays_off() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        return m.next(functional.dropout(functional.relu(m.conv(x)), 0.5, training=False))

    module, images = observed(Net(forward, conv=conv(), next=head())), torch.ones(2, 4, 4, 4)
    assert torch.equal(module.train()(images), module(images))


def test_a_forward_pass_that_depends_on_values_is_refused() -> None:
    module = Net(lambda m, x: m.next(m.conv(x)) if x.sum() > 0 else m.next(x), conv=conv(), next=head())
    with pytest.raises(UserError, match=r"^the layers of Net cannot be found \(TraceError: [^\n]*$"):
        feature_layers(module)


def test_layers_derived_from_torchs_are_layers() -> None:
    module = nn.Sequential(Padded(4, 4, 3), NormAct(4), conv(), nn.BatchNorm2d(4), nn.ReLU(), head())
    first, second = feature_layers(module)
    assert (first.conv, first.norm, first.activation, first.following) == (module[0], module[1], module[1], module[2])
    assert second.name == "2"


def test_what_a_training_cannot_move_or_hold_is_no_layer_of_it() -> None:
    """Frozen scales are no parameters, and maps of one axis are no images; a survey has both."""
    frozen = nn.Sequential(conv(), Frozen(4), nn.ReLU(), head())
    lines = nn.Sequential(
        nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    for module in (frozen, lines):
        assert names(module) == []
        assert [layer.name for layer in survey(module)[0]] == ["0"]


def test_why_a_layer_makes_no_features() -> None:
    def forward(m: Net, x: Tensor) -> Tensor:
        x = m.norm(m.clamped(x)).clamp(min=0)
        x = m.twice(m.relu(m.twice(x)))
        x = m.plain(x)
        x = m.unscaled(m.before(x))
        x = m.left(x) + functional.conv2d(x, m.inside.weight, padding=1)
        return m.next(m.last(x.relu()))

    convolutions = {name: conv() for name in ("clamped", "twice", "plain", "before", "left", "inside", "last")}
    parts = {"norm": nn.BatchNorm2d(4), "relu": nn.ReLU(), "unscaled": nn.BatchNorm2d(4, affine=False), "next": head()}
    layers, left_out = survey(Net(forward, **convolutions, **parts))
    assert layers == ()
    assert {part.name: part.reason for part in left_out} == {
        "clamped": "read by clamp, which is not known here",
        "twice": "it is called more than once or shares a weight",
        "plain": BARE,
        "before": "its BatchNorm2d has no scales and shifts",
        "left": BARE,
        "inside": "a function uses its weights",
        "last": BARE,
        "next.2": OUTPUT,
        "norm": "it normalizes no layer of features",
        "unscaled": "it normalizes no layer of features",
    }
    assert listing(left_out).startswith("1 Conv2d (read by clamp, which is not known here); ")
    assert OUTPUT not in listing(left_out)
