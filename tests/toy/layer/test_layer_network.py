"""The layer's gradients, derived by hand, are those of torch's autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.toy.layer.layer_reference import torch_loss, torch_parts
from toy.layer.measures import gradient_sizes
from toy.layer.network import forward, gradient, joined, losses, shapes, split
from toy.layer.spec import NEGATIVE_SLOPES, LayerSpec

SPEC = LayerSpec(inputs=5, features=7, outputs=3, batch_size=11, replicates=4)
"""Nothing is a multiple of a vector register."""


def draws(spec, seed=0):
    """Random parameters (R, P), inputs and targets of one batch."""
    generator = np.random.default_rng(seed)
    count = sum(int(np.prod(shape)) for shape in shapes(spec).values())
    normal = generator.standard_normal
    size = spec.replicates, spec.batch_size
    return (
        normal((spec.replicates, count)),
        normal((size[0], spec.inputs, size[1])),
        normal((size[0], spec.outputs, size[1])),
    )


@pytest.mark.parametrize("output_normalization", [True, False])
@pytest.mark.parametrize("feature_normalization", [True, False])
@pytest.mark.parametrize("activation", NEGATIVE_SLOPES)
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_gradients_equal_autograd(activation, feature_normalization, output_normalization, epsilon):
    spec = replace(
        SPEC, activation=activation, feature_normalization=feature_normalization, output_normalization=output_normalization,
        batchnorm_epsilon=epsilon,
    )  # fmt: skip
    vectors, inputs, targets = draws(spec)
    parts = torch_parts(spec, vectors)
    loss = torch_loss(spec, parts, torch.tensor(inputs), torch.tensor(targets))
    expected = dict(zip(parts, torch.autograd.grad(loss, list(parts.values())), strict=True))
    found = gradient(spec, split(spec, vectors), inputs, targets)
    assert list(found) == list(expected) == list(shapes(spec))
    for name, part in found.items():
        np.testing.assert_allclose(part, expected[name].numpy(), rtol=1e-10, atol=1e-12, err_msg=name)
        assert np.abs(part).max() > 1e-6, name
    made = forward(spec, split(spec, vectors), inputs)
    assert losses(made.outputs, targets).sum() == pytest.approx(loss.item(), rel=1e-12)


def test_a_dead_feature_gets_no_gradient_but_its_neighbours_do():
    vectors, inputs, targets = draws(SPEC)
    parts = split(SPEC, vectors)
    parts["scale"][:, 2], parts["shift"][:, 2] = 0.1, -5
    found = gradient(SPEC, parts, inputs, targets)
    for name in ("incoming", "scale", "shift", "outgoing"):
        assert (found[name][:, 2] == 0).all()
        assert np.abs(found[name][:, 1]).max() > 0


def test_parts_are_views_of_their_vector():
    vectors = draws(SPEC)[0]
    parts = split(SPEC, vectors)
    assert all(np.shares_memory(part, vectors) for part in parts.values())
    np.testing.assert_array_equal(joined(parts), vectors)


def test_float32_stays_float32():
    vectors, inputs, targets = (array.astype(np.float32) for array in draws(SPEC))
    assert {part.dtype.name for part in gradient(SPEC, split(SPEC, vectors), inputs, targets).values()} == {"float32"}


def test_the_size_of_incoming_gradients_does_not_depend_on_the_norm():
    vectors, inputs, targets = draws(replace(SPEC, batchnorm_epsilon=1e-12))
    parts = split(SPEC, vectors)
    inputs, targets = inputs.swapaxes(1, 2), targets.swapaxes(1, 2)
    chosen = np.random.default_rng(0).integers(0, inputs.shape[1], (len(inputs), 3, 5))
    before = gradient_sizes(replace(SPEC, batchnorm_epsilon=1e-12), parts, inputs, targets, chosen)
    one = np.arange(len(inputs))[:, None]
    squares = [
        np.square(gradient(SPEC, parts, inputs[one, c].swapaxes(1, 2), targets[one, c].swapaxes(1, 2))["incoming"]).sum(-1)
        for c in chosen.swapaxes(0, 1)
    ]
    np.testing.assert_allclose(before, np.sqrt(np.mean(squares, 0)) * np.linalg.norm(parts["incoming"], axis=-1), rtol=1e-3)
    parts["incoming"] *= 3
    after = gradient_sizes(replace(SPEC, batchnorm_epsilon=1e-12), parts, inputs, targets, chosen)
    np.testing.assert_allclose(after, before, rtol=1e-6)
