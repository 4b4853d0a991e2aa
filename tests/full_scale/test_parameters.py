"""Which parameters are trained and regularized: each once, normalizations of all kinds apart, frozen ones never."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from full_scale.measure.probes import FORCES
from full_scale.models.basic_net import BasicNet
from full_scale.models.discovery import feature_layers
from full_scale.training.loop import run
from full_scale.training.parameters import SELECTIONS, group_parameters
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.validation import UserError
from tests.full_scale.own import own_network

TINY = TrainSpec(
    network=BasicNet(width=1 / 32),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    batch_size=20,
    steps=2,
    measurements=1,
)


NORMALIZATIONS: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm1d": lambda: nn.BatchNorm1d(4),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4),
    "BatchNorm3d": lambda: nn.BatchNorm3d(4),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(4),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True),
    "LayerNorm": lambda: nn.LayerNorm(4),
}
OF_FEATURES = ("BatchNorm2d", "SyncBatchNorm", "GroupNorm", "InstanceNorm2d")


@pytest.mark.parametrize("name", [*NORMALIZATIONS, "InstanceNorm1d", "InstanceNorm3d"])
def test_scales_and_shifts_are_those_of_normalizations(name: str) -> None:
    norm = NORMALIZATIONS[name]() if name in NORMALIZATIONS else getattr(nn, name)(4, affine=True)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    names = {decayed: list(group_parameters(module, decayed).decayed) for decayed in SELECTIONS}
    rest = ["0.weight", "0.bias", "4.weight", "4.bias"]
    assert names["norm"] == ["1.weight", "1.bias"]
    assert names["no_norm"] == rest
    assert names["conv"] == ["0.weight"]
    assert set(names["all"]) == {*rest, *names["norm"]}


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_normalization_is_a_part_of_the_layer_it_normalizes(name: str) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), NORMALIZATIONS[name](), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    (layer,) = feature_layers(module)
    assert layer.norm is module[1]


@pytest.mark.parametrize("decayed", SELECTIONS)
def test_a_weight_that_two_modules_share_is_one_parameter(decayed: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
    module[2].weight = module[0].weight
    groups = group_parameters(module, decayed)
    found = [id(parameter) for group in (groups.decayed, groups.free) for parameter in group.values()]
    assert sorted(found) == sorted(id(parameter) for parameter in module.parameters())
    assert ("0.weight" in groups.decayed) == (decayed != "norm")


def plain(shape: Any, classes: int) -> nn.Sequential:
    """Two normalized layers."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 3, 3), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Flatten(), nn.Linear(4 * 16, classes),
    )  # fmt: skip


def frozen_norm(shape: Any, classes: int) -> nn.Module:
    module = plain(shape, classes)
    module[1].requires_grad_(False)
    return module


def frozen(shape: Any, classes: int) -> nn.Module:
    return plain(shape, classes).requires_grad_(False)


@pytest.mark.parametrize("decayed", SELECTIONS)
def test_a_frozen_normalization_stays_as_it_is_and_has_no_forces(decayed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(TINY, network=own_network(frozen_norm, monkeypatch), decayed=decayed, measurements=2)
    features = run(spec, 0)[0]["features"]
    still, moving = (features[features["layer"] == name] for name in ("0", "3"))
    assert still[list(FORCES)].isna().all(axis=None)
    assert (still["scale"] == 1).all()
    before, after = (moving.loc[moving["step"] == step, "scale"].to_numpy() for step in (1, 2))
    forces = moving.loc[moving["step"] == 2, ["loss_force", "reg_force"]].sum(axis=1)
    np.testing.assert_allclose(forces, after - before, atol=5e-7)


def test_a_network_without_trainable_parameters_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(TINY, network=own_network(frozen, monkeypatch), regularizer=L2())
    with pytest.raises(UserError, match=r"^network = custom has no trainable parameter[^\n]*$"):
        run(spec, 0)


def test_a_regularizer_of_nothing_is_one_line_and_none_of_nothing_is_fine() -> None:
    spec = dataclasses.replace(TINY, network=BasicNet(width=1 / 32, normalization="none"), decayed="norm")
    with pytest.raises(UserError, match=r"^decayed = norm selects no parameter [^\n]*decayed=all[^\n]*$"):
        run(spec, 0)
    assert run(dataclasses.replace(spec, regularizer=L2()), 0)[1]["decayed_parameters"] == []
