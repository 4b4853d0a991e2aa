"""What criteria read of a network: against plain computations, and without a trace in the training that is measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from full_scale.data.base import Examples
from full_scale.measure.criteria_measures import affine_gradients, criteria_table, taylor_and_cost
from full_scale.measure.probes import mixed_order
from full_scale.models.base import BuiltNetwork
from full_scale.models.basic_net import BasicNet
from full_scale.models.choices import NORMALIZATIONS
from full_scale.models.discovery import feature_layers
from full_scale.pruning.early import run as run_early
from full_scale.pruning.spec import EarlySpec
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L1, L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.measures.criteria import all_criteria, score
from mechanisms.records.columns import check
from mechanisms.system.context import RunContext
from mechanisms.validation import InvalidValue, UserError
from tests.full_scale.models.foreign import NormAct

ALWAYS = RunContext(checkpoint_every=0)

TINY = TrainSpec(
    network=BasicNet(width=1 / 16),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    batch_size=20,
    steps=10,
    measurements=2,
)
IMAGES = 60


def training_of(spec: TrainSpec = TINY) -> Training:
    training = Training(spec, 0)
    for _ in training.steps():
        pass
    return training


@pytest.fixture(scope="module")
def training() -> Training:
    return training_of()


@pytest.fixture(scope="module")
def table(training: Training) -> pd.DataFrame:
    return criteria_table(training, IMAGES)


@pytest.fixture(scope="module")
def exact() -> tuple[BuiltNetwork, Examples]:
    """A trained network and images in float64: BatchNorm over few images of dying features amplifies rounding."""
    training = training_of()
    training.network.module.double()
    chosen = training.train.take(mixed_order(len(training.train))[:IMAGES])
    return training.network, Examples(chosen.images.double(), chosen.labels)


def test_every_column_is_known_and_every_criterion_has_a_score(table: pd.DataFrame) -> None:
    check(table, "measured")
    assert all(np.isfinite(score(name, table)).all() for name in all_criteria())
    assert (table["step"] == 10).all()


def test_weights(training: Training, table: pd.DataFrame) -> None:
    conv: Any = training.network.module.get_submodule("conv3")
    rows, own = conv.weight.detach().flatten(1).double().numpy(), table[table["layer"] == "conv3"]
    np.testing.assert_allclose(own["incoming_l1"], np.abs(rows).sum(1), rtol=1e-5)
    distances = [[np.linalg.norm(one - other) for other in rows] for one in rows]
    np.testing.assert_allclose(own["distance_sum"], np.sum(distances, 1), rtol=1e-5)


def test_the_terms_of_exemplars_add_up_to_the_gradient_of_the_batch(exact: tuple[BuiltNetwork, Examples]) -> None:
    """Sum over exemplars of γ·g_γ + β·g_β, from the hooks, against autograd of the same batches in training mode."""
    network, data = exact
    module = network.module.train()
    found = affine_gradients(network, data, 20)
    sums = {layer.name: torch.zeros(layer.features, dtype=torch.float64) for layer in network.layers}
    for start in range(0, IMAGES, 20):
        module.zero_grad()
        part = slice(start, start + 20)
        cross_entropy(module(data.images[part]), data.labels[part], reduction="sum").backward()
        for layer in network.layers:
            norm: Any = layer.norm
            sums[layer.name] += (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).detach()
    module.zero_grad()
    expected = torch.cat(list(sums.values())).numpy() / IMAGES
    np.testing.assert_allclose(found["affine_taylor"], expected, rtol=1e-9, atol=1e-12)


def test_single_exemplars_are_those_of_a_jacobian_in_training_mode(exact: tuple[BuiltNetwork, Examples]) -> None:
    """With scales and shifts of each exemplar its own parameters, autograd gives every term: E[t²] and the root mean square."""
    network, data = exact[0], exact[1].take(np.arange(6))
    module, start = network.module.train(), 0
    found = affine_gradients(network, data, 6)
    for layer in network.layers:
        norm: Any = layer.norm
        own = [p.detach().repeat(6, 1)[:, :, None, None].requires_grad_() for p in (norm.weight, norm.bias)]

        def apart(given: nn.Module, inputs: Any, output: Any, norm: Any = norm, own: Any = own) -> Any:
            plain = torch.nn.functional.batch_norm(inputs[0], None, None, None, None, True, 0.0, norm.eps)
            return plain * own[0] + own[1]

        hook = norm.register_forward_hook(apart)
        gradients = torch.autograd.grad(cross_entropy(module(data.images), data.labels, reduction="sum"), own)
        hook.remove()
        by_scale, by_shift = (gradient.flatten(1) for gradient in gradients)
        terms = norm.weight * by_scale + norm.bias * by_shift
        rows = slice(start, start + layer.features)
        expected = terms.square().mean(0).detach().numpy()
        np.testing.assert_allclose(found["affine_taylor_square"][rows], expected, rtol=1e-9, atol=1e-15)
        length = (by_scale.square() + by_shift.square()).mean(0).sqrt().numpy()
        np.testing.assert_allclose(found["affine_gradient"][rows], length, rtol=1e-9, atol=1e-12)
        start += layer.features


def test_taylor_is_the_change_of_the_loss_to_first_order(exact: tuple[BuiltNetwork, Examples]) -> None:
    """A gate on each feature at 1: its gradient in each image, in evaluation mode, is Σ a·∂L/∂a."""
    network, data = exact
    found = taylor_and_cost(network, data)["taylor"]
    module, start = network.module.eval(), 0
    for layer in network.layers:
        gate = torch.ones(IMAGES, layer.features, 1, 1, dtype=torch.float64, requires_grad=True)
        hook = layer.activation.register_forward_hook(lambda given, inputs, output, gate=gate: output * gate)
        (gradient,) = torch.autograd.grad(cross_entropy(module(data.images), data.labels, reduction="sum"), [gate])
        hook.remove()
        expected = gradient.flatten(1).abs().mean(0).numpy()
        np.testing.assert_allclose(found[start : start + layer.features], expected, rtol=1e-9, atol=1e-12)
        start += layer.features
    module.train()


def test_what_a_feature_costs(table: pd.DataFrame) -> None:
    """Digits, width 1/16: conv1 makes 4 maps of 8 × 8 from one by 3 × 3 weights, conv2 reads them into 8 maps."""
    assert set(table.loc[table["layer"] == "conv1", "cost"]) == {9 * 64 + 8 * 9 * 64}
    # conv7 reads 32 maps at 2 × 2 positions and is read by 16 hidden units at each.
    assert set(table.loc[table["layer"] == "conv7", "cost"]) == {32 * 9 * 4 + 16 * 4}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, lambda t: np.full(len(t), 1e-2)),
        ({"regularizer": L2(strength=1e-2, coupling="decoupled")}, lambda t: 1e-2 * t["denominator"]),
        ({"regularizer": L2(strength=1e-2, coupling="independent")}, lambda t: t["denominator"]),
        ({"rule": SGD(momentum=0.9), "regularizer": L2(strength=1e-2, coupling="decoupled")}, lambda t: np.full(len(t), 1e-3)),
        ({"decayed": "no_norm"}, lambda t: np.zeros(len(t))),
    ],
    ids=["coupled", "decoupled", "independent", "momentum decoupled", "scales not decayed"],
)
def test_effective_strength_is_what_the_measured_forces_say(settings: dict[str, Any], expected: Any) -> None:
    """From theory, and from the forces: λ_eff = −reg_force·D/(η·gain·γ), where the filter has no past (its first step)."""
    training = training_of(dataclasses.replace(TINY, steps=1, measurements=1, **settings))
    table = criteria_table(training, IMAGES)
    np.testing.assert_allclose(table["effective_strength"], expected(table), rtol=1e-6)
    if settings.get("rule") is None and "decayed" not in settings:
        before = table["scale"] - table["loss_force"] - table["reg_force"]
        measured = -table["reg_force"] * table["denominator"] / (1e-2 * before)
        np.testing.assert_allclose(measured, table["effective_strength"], rtol=1e-4)


def test_the_pull_of_another_regularizer_is_no_strength() -> None:
    training = training_of(dataclasses.replace(TINY, steps=1, measurements=1, regularizer=L1(strength=1e-2)))
    assert criteria_table(training, IMAGES)["effective_strength"].isna().all()


def test_measuring_leaves_no_trace() -> None:
    """The training ends with the same bits, gradients and buffers as one that was not measured."""
    plain, _ = run(TINY, 0)
    measured, _ = run_early(EarlySpec(train=TINY, moments=(0.1, 0.5), images=IMAGES), 0)
    for name in plain:
        pd.testing.assert_frame_equal(plain[name], measured[name])
    moments = measured["moments"]
    assert sorted(moments["step"].unique()) == [1, 5]
    last = plain["features"][plain["features"]["step"] == 10]
    dead = (last["max_activation"].abs() < 1e-12).to_numpy()
    assert (moments["dies"].to_numpy() == np.tile(dead, 2)).all()


def test_gradients_modes_and_statistics_are_put_back(training: Training) -> None:
    module = training.network.module
    before = [buffer.clone() for buffer in module.buffers()]
    gradients = [parameter.grad for parameter in module.parameters()]
    criteria_table(training, IMAGES)
    assert all(torch.equal(one, other) for one, other in zip(before, module.buffers(), strict=True))
    assert all(one is parameter.grad for one, parameter in zip(gradients, module.parameters(), strict=True))
    assert module.training


def test_a_resumed_early_run_ends_with_the_same_tables(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right after a moment, when the checkpoint of that step holds what was measured at it."""
    spec = EarlySpec(train=TINY, moments=(0.3, 0.6), images=IMAGES)
    whole, _ = run_early(spec, 0)
    update = Training._update

    def fatal(self: Training, *given: Any) -> None:
        if self.done == 3:
            raise KeyboardInterrupt
        update(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_update", fatal)
        with pytest.raises(KeyboardInterrupt):
            run_early(spec, 0, tmp_path, ALWAYS)
    resumed, extra = run_early(spec, 0, tmp_path, ALWAYS)
    assert extra["resumptions"] == 1
    for name in whole:
        pd.testing.assert_frame_equal(whole[name], resumed[name])


def test_a_network_without_scales_names_the_criterion(training: Training) -> None:
    assert "none" in NORMALIZATIONS
    bare = dataclasses.replace(TINY, network=BasicNet(width=1 / 16, normalization="none"), steps=1, measurements=1)
    table = criteria_table(training_of(bare), IMAGES)
    assert np.isfinite(score("taylor", table)).all()
    with pytest.raises(UserError, match="criterion scale has no value for features of conv1, conv2"):
        score("scale", table)


@pytest.mark.parametrize("moments", [(), (0.01,), (0.5, 0.3), (0.5, 0.51)])
def test_moments_that_are_no_moments_are_refused(moments: tuple[float, ...]) -> None:
    with pytest.raises(InvalidValue, match=r"moments = .* rising fractions"):
        EarlySpec(train=TINY, moments=moments)


def test_the_loss_holds_no_layer_that_a_normalization_reads(exact: tuple[BuiltNetwork, Examples]) -> None:
    """THEORY P10, as measured: E[t] adds up to 0 over each layer that convolution and BatchNorm read, not over the last."""
    network, data = exact
    for layer in network.layers:
        layer.norm.eps = 1e-12  # type: ignore[union-attr]
    terms = affine_gradients(network, data, IMAGES)["affine_taylor"]
    parts = np.split(terms, np.cumsum([layer.features for layer in network.layers])[:-1])
    shares = [abs(part.sum()) / np.abs(part).sum() for part in parts]
    assert max(shares[:-1]) < 1e-6
    assert shares[-1] > 1e-3
    for layer in network.layers:
        layer.norm.eps = 1e-5  # type: ignore[union-attr]


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, lambda n: nn.InstanceNorm2d(n, affine=True), lambda n: nn.GroupNorm(2, n)])
def test_terms_of_exemplars_add_up_to_the_gradient(norm: Any) -> None:
    """γ·∂L/∂γ + β·∂L/∂β of the batch's loss, by backpropagation, for each kind of normalization."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), norm(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    data = Examples(torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2]))
    terms = affine_gradients(BuiltNetwork(module, feature_layers(module)), data, 6)["affine_taylor"]
    cross_entropy(module.train()(data.images), data.labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    scale, shift = module[1].weight, module[1].bias
    np.testing.assert_allclose(6 * terms, (scale * scale.grad + shift * shift.grad).detach(), rtol=1e-4, atol=1e-6)  # type: ignore[operator]


def test_a_normalization_with_its_activation_inside_has_no_terms() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), NormAct(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    data = Examples(torch.randn(6, 1, 8, 8), torch.zeros(6, dtype=torch.int64))
    terms = affine_gradients(BuiltNetwork(module, feature_layers(module)), data, 6)
    assert np.isnan(terms["affine_taylor"]).all()
