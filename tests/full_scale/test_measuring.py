"""What is measured, and on which images: the training set, a fixed mixed part of it, the test set."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from full_scale.data.base import Examples
from full_scale.data.custom_data import CustomData
from full_scale.measure.probes import measure_features, observe
from full_scale.measure.silencing import without_features
from full_scale.models.base import BuiltNetwork, FeatureLayer
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from mechanisms.validation import UserError
from tests.full_scale.own import own_data, own_network, pixels


@torch.no_grad()
def two_features(shape: Any, classes: int) -> nn.Module:
    """Features max(x, 0) and max(−x, 0) of a pixel x; the second speaks for class 1, against 0.5 for class 0."""
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
    conv: Any = module[0]
    linear: Any = module[3]
    conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    conv.bias.zero_()
    linear.weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    linear.bias.copy_(torch.tensor([0.5, 0.0]))
    return module


def one_step_on(monkeypatch: pytest.MonkeyPatch, train: Examples, test: Examples, **settings: Any) -> TrainSpec:
    """A spec whose single step moves no weight visibly."""
    common: dict[str, Any] = {
        "regularizer": L2(),
        "rule": SGD(),
        "learning_rate": 1e-9,
        "batch_size": 2,
        "steps": 1,
        "measurements": 1,
    }
    return TrainSpec(
        data=own_data(train, test, monkeypatch), network=own_network(two_features, monkeypatch), **(common | settings)
    )


TRAIN, TEST = pixels([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]), pixels([-1.0, -2.0, -3.0], [1, 1, 1])


def test_zeroing_what_is_silent_in_training_is_seen_where_the_test_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature 1 is silent on positive pixels, and decides negative ones: all right with it, all wrong without it."""
    row = run(one_step_on(monkeypatch, TRAIN, TEST), 0)[0]["curve"].iloc[-1]
    assert (row["train_error"], row["test_error"], row["zeroed_test_error"]) == (0.5, 0.0, 1.0)


def test_zeroing_nothing_changes_nothing_and_test_labels_are_those_of_the_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = pixels([1.0, 2.0, -3.0, -4.0], [0, 0, 1, 1]), pixels([-1.0, -2.0, -3.0, 1.0], [0, 0, 1, 0])
    row = run(one_step_on(monkeypatch, train, test), 0)[0]["curve"].iloc[-1]
    assert (row["train_error"], row["test_error"], row["zeroed_test_error"]) == (0.0, 0.5, 0.5)


def test_probed_images_are_as_many_as_asked_mixed_and_the_same_under_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    train = pixels([float(number) for number in range(1, 41)], [number // 20 for number in range(40)])
    spec = one_step_on(monkeypatch, train, TEST, probes=1, probe_images=10)
    first, other = (Training(spec, seed).probed for seed in (0, 1))
    assert first is not None
    assert other is not None
    values = first.images.flatten()  # type: ignore[attr-defined]
    assert torch.equal(values, other.images.flatten())  # type: ignore[attr-defined]
    assert len(set(values.tolist())) == 10
    assert set(first.labels.tolist()) == {0, 1}
    probes = run(spec, 0)[0]["probes"]
    start = probes[(probes["step"] == 0) & (probes["feature"] == 0)].iloc[0]
    assert start["max_activation"] == values.max()
    assert start["mean_activation"] == pytest.approx(values.mean().item())
    everything = Training(dataclasses.replace(spec, probe_images=1000), 0).probed
    assert len(everything or []) == 40


def test_images_fewer_than_a_batch_are_one_line_where_only_the_disk_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    few = pixels([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1])
    spec = one_step_on(monkeypatch, few, few)
    monkeypatch.setattr(CustomData, "train_size", None)
    with pytest.raises(UserError, match=r"^batch_size = 20, but there are 4 training images: [^\n]*$"):
        Training(dataclasses.replace(spec, batch_size=20), 0)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_feature_of_a_transposed_convolution_is_left_out_by_its_own_weights(groups: int) -> None:
    """As many inputs as outputs, so that the wrong axis would be no error."""
    up, relu, reader = nn.ConvTranspose2d(4, 4, 2, groups=groups), nn.ReLU(), nn.Conv2d(4, 2, 1)
    network = BuiltNetwork(nn.Sequential(up, relu, reader, nn.Flatten()), (FeatureLayer("up", up, None, relu, reader),))
    images = torch.randn(4, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    examples = Examples(images, torch.zeros(4, dtype=torch.int64))
    before = observe(network, examples).peaks[0]
    with without_features(network, pd.Series([False, True, False, False])):
        inside = observe(network, examples).peaks[0]
    assert not inside[:, 1].any()
    assert torch.equal(inside[:, [0, 2, 3]], before[:, [0, 2, 3]])
    assert torch.equal(observe(network, examples).peaks[0], before)


def relu_of(values: list[float], batch_size: int = 1) -> pd.Series:
    """What is measured of the feature max(x, 0) on images of one pixel x."""
    conv, relu = nn.Conv2d(1, 1, 1, bias=False), nn.ReLU()
    nn.init.ones_(conv.weight)
    network = BuiltNetwork(nn.Sequential(conv, relu, nn.Flatten()), (FeatureLayer("conv", conv, None, relu, None),))
    return measure_features(network, pixels(values), batch_size).iloc[0]


def test_three_thresholds_of_selectivity() -> None:
    """Of a maximum of 2: shares of 0.5, 0.05, 0.005 and 0.0005 beside it, one between each pair of thresholds."""
    found = relu_of([1.0, 0.1, 2.0, 0.01, 0.001])
    assert [found[f"selectivity{name}"] for name in ("", "_1e-2", "_1e-1")] == pytest.approx([1 / 5, 2 / 5, 3 / 5])


def test_batches_whose_use_of_a_feature_is_counted_are_mixed() -> None:
    """Forty of eighty images use it: in batches of four, nearly all if they are mixed, half if they are sorted as here."""
    found = [relu_of([1.0] * 40 + [0.0] * 40, 4)["batch_activity"] for _ in range(2)]
    assert found[0] == found[1] > 0.7
