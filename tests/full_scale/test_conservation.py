"""What homogeneity and normalization conserve, by autograd on the project's own network (float64, BatchNorm's ε near 0)."""

import pytest
import torch

from full_scale.data.digits import Digits
from full_scale.models.basic_net import BasicNet


@pytest.fixture(scope="module")
def layers():
    """The feature layers of a small network after one backward pass in training mode, with random scales and shifts."""
    network, data = BasicNet(width=0.125).build((1, 8, 8), 10, 0), Digits().load().train
    network.module.double().train()
    generator = torch.Generator().manual_seed(3)
    for layer in network.layers:
        layer.norm.eps = 1e-30
        torch.nn.init.uniform_(layer.norm.weight, 0.5, 1.5, generator=generator)
        torch.nn.init.uniform_(layer.norm.bias, -0.5, 0.5, generator=generator)
    torch.nn.functional.cross_entropy(network.module(data.images[:64].double()), data.labels[:64]).backward()
    return network.layers


def incoming_work(layer):
    """γ∂γ + β∂β of each channel."""
    norm = layer.norm
    return (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).detach()


def test_each_channel_does_equal_work_before_and_behind_its_activation(layers):
    for layer in layers:
        weight = layer.following.weight
        work = (weight * weight.grad).reshape(weight.shape[0], layer.norm.num_features, -1).sum(dim=(0, 2)).detach()
        torch.testing.assert_close(incoming_work(layer), work, rtol=1e-9, atol=1e-14)


def test_the_loss_cannot_change_the_sum_of_a_layer_that_feeds_a_normalized_one(layers):
    for layer in layers[:-1]:
        work = incoming_work(layer)
        assert abs(work.sum()) < 1e-12
        assert work.abs().max() > 1e-5


def test_a_layer_that_feeds_a_plain_linear_one_is_exempt(layers):
    assert abs(incoming_work(layers[-1]).sum()) > 1e-4
