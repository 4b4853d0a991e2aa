"""The monitor of people's own loops: it measures what this package's own runs measure, and it leaves nothing behind."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from full_scale.data.base import Examples
from full_scale.measure.probes import measure_features
from full_scale.monitor import SparsityMonitor
from mechanisms.measures.sparsity import fates, sparsity
from mechanisms.records.columns import check
from mechanisms.validation import UserError
from tests.full_scale.watched import images, optimizer_of, small_net


class Functional(nn.Module):
    """A person's network: functional activations, one of them shared, dropout, and another head while it trains."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, bias=not norm), nn.Conv2d(4, 6, 3, bias=not norm)
        self.norm1, self.norm2 = (nn.BatchNorm2d(4), nn.BatchNorm2d(6)) if norm else (nn.Identity(), nn.Identity())
        self.head, self.other = nn.Linear(6, 3), nn.Conv2d(6, 3, 1)

    def forward(self, images: Tensor) -> Any:
        x = functional.relu(self.norm1(self.conv1(images)))
        x = functional.relu(self.norm2(self.conv2(x)), inplace=True)
        scores = self.head(functional.dropout(x.mean((2, 3)), 0.5, self.training))
        return {"a": scores, "b": functional.relu(self.other(x)).mean()} if self.training else scores


def test_features_equal_those_of_our_own_probes() -> None:
    network, data = small_net(), images()
    monitor = SparsityMonitor(network.module, batch_size=4, verbose=False)
    expected = measure_features(network, Examples(data, torch.zeros(12, dtype=torch.int64)), 4)
    pd.testing.assert_frame_equal(monitor.epoch(data).drop(columns="step"), expected)
    loader = DataLoader(TensorDataset(data, torch.zeros(12)), batch_size=5)
    pd.testing.assert_frame_equal(monitor.epoch(loader).drop(columns="step"), expected, rtol=1e-5)
    examples = Examples(data, torch.zeros(12, dtype=torch.int64))
    pd.testing.assert_frame_equal(monitor.epoch(examples).drop(columns="step"), expected)
    check(monitor.history, "features")
    assert monitor.history["step"].unique().tolist() == [1, 2, 3]


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, data: Tensor | None = None) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        scores = model.train()(images() if data is None else data)
        scores = scores["a"] if isinstance(scores, dict) else scores
        scores.square().sum().backward()
        optimizer.step()


def test_a_persons_network_with_functional_activations() -> None:
    """By hand: the outputs of relu, seen on its way."""
    model = Functional()
    optimizer = optimizer_of("AdamW", model.parameters())
    with SparsityMonitor(model, optimizer, verbose=False) as monitor:
        trained(model, optimizer, 3)
        with torch.no_grad():
            model.norm1.weight[1] = 0  # type: ignore[index]
            model.norm1.bias[1] = -1  # type: ignore[index]
        table = monitor.epoch(images())
    first = functional.relu(model.eval().norm1(model.conv1(images()))).detach()
    second = functional.relu(model.norm2(model.conv2(first))).detach()
    assert table["layer"].unique().tolist() == ["conv1", "conv2"]
    np.testing.assert_allclose(table["max_activation"], torch.cat([first.amax((0, 2, 3)), second.amax((0, 2, 3))]), rtol=1e-5)
    assert table["max_activation"][1] == 0
    assert np.isnan(table["loss_force"]).tolist() == [False, True] + [False] * 8  # that scale did not move by the rule alone
    assert monitor.layers().set_index("layer")["sparsity_by_activation"].to_dict() == {"conv1": 0.25, "conv2": 0.0}


def test_nothing_is_left_behind() -> None:
    model, data = Functional(), TensorDataset(images(), torch.zeros(12))
    optimizer = optimizer_of("SGD", model.parameters())
    model.train()
    model.norm2.eval()
    model.conv1.requires_grad_(False)
    own = torch.Generator().manual_seed(5)
    loaders = [DataLoader(data, batch_size=5, shuffle=True), DataLoader(data, batch_size=5, shuffle=True, generator=own)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state(), own.get_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    monitor = SparsityMonitor(model, optimizer, verbose=False)
    for loader in loaders:
        monitor.epoch(loader)
    after = torch.get_rng_state(), own.get_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(state, after, strict=True))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [part.training for part in (model, model.norm1, model.norm2)] == [True, True, False]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [name for name, parameter in model.named_parameters() if not parameter.requires_grad] == ["conv1.weight"]
    monitor.close()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_load_state_dict_post_hooks


def test_a_training_is_the_same_with_and_without_it() -> None:
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        model = Functional()
        optimizer = optimizer_of("Adam", model.parameters())
        monitor = SparsityMonitor(model, optimizer, verbose=False) if watched else None
        for _ in range(2):
            trained(model, optimizer, 2)
            if monitor is not None:
                monitor.epoch(DataLoader(images(), batch_size=5, shuffle=True))  # type: ignore[arg-type]
        ends.append([value.clone() for value in model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_deaths_and_revivals() -> None:
    network = small_net()
    monitor = SparsityMonitor(network.module, verbose=False)
    norm = network.layers[0].norm
    for shift in (0.0, -100.0, 0.0):
        with torch.no_grad():
            norm.bias[0] = shift
        monitor.epoch(images())
    assert monitor.epochs()["ever_dead"].diff().tolist()[1] == 1
    assert monitor.epochs()["revived"].tolist()[-1] == 1
    assert fates(monitor.history)["revived"].sum() == 1
    assert sparsity(monitor.history)["sparsity"].tolist() == monitor.epochs()["sparsity_by_activation"].tolist()
    assert monitor.layers()["revived"].tolist()[0] == 1
    assert monitor.layers()["features"].sum() == monitor.epochs()["features"].iloc[-1]


def test_a_second_call_at_the_same_step_replaces_the_first() -> None:
    network = small_net()
    monitor = SparsityMonitor(network.module, optimizer_of("SGD", network.module.parameters()), verbose=False)
    for count in (3, 5):
        monitor.epoch(images(count))
    assert monitor.epochs()[["step", "images"]].to_numpy().tolist() == [[0, 5]]
    assert not monitor.history.duplicated(["layer", "feature"]).any()


def test_at_most_so_many_images_and_no_batch_too_many() -> None:
    asked = []

    def loader() -> Any:
        for number in range(5):
            asked.append(number)
            yield images(4), None

    monitor = SparsityMonitor(small_net().module, most_images=6, verbose=False)
    monitor.epoch(loader())
    assert monitor.epochs()["images"].tolist() == [6]
    assert asked == [0, 1]


def test_an_epoch_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = Functional()
    optimizer = optimizer_of("Adam", model.parameters())
    monitor = SparsityMonitor(model, optimizer, epochs=2, detailed=True)
    trained(model, optimizer, 2)
    monitor.epoch(images())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    for part in ("epoch 1 (step 2)", "on 12 images", "of 10 features dead", "by scale", "revived 0", "decay budget", "to come"):
        assert part in printed.err


def test_a_short_line_says_how_many_features_died_since_the_last_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    network = small_net()
    monitor = SparsityMonitor(network.module)
    monitor.epoch(images())
    with torch.no_grad():
        network.layers[0].norm.weight[:2], network.layers[0].norm.bias[:2] = 0, -1
    monitor.epoch(images())
    rows = monitor.epochs()
    *_, first, second = capsys.readouterr().err.splitlines()
    ever, share = rows["ever_dead"].tolist(), (100 * rows["sparsity_by_activation"]).tolist()
    assert ever[1] > ever[0]
    assert f"epoch 1: {share[0]:.1f} % of" in first
    assert f"({ever[0]} new)" in first
    assert second.startswith(f"epoch 2: {share[1]:.1f} % of")
    assert second.endswith(f"({ever[1] - ever[0]} new), 0 revived")


def test_numbers_go_to_whatever_keeps_them() -> None:
    kept: list[tuple[dict[str, float], int]] = []
    monitor = SparsityMonitor(small_net().module, verbose=False, log=lambda numbers, step: kept.append((numbers, step)))
    monitor.epoch(images())
    ((numbers, step),) = kept
    assert step == 1
    assert numbers["features/sparsity_by_activation"] == monitor.epochs()["sparsity_by_activation"].iloc[0]
    assert sum(name.startswith("sparsity_by_activation/") for name in numbers) == len(monitor.layers())
    assert not any(number != number for number in numbers.values())


def test_without_normalization_only_activations_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    model = Functional(norm=False)
    table = SparsityMonitor(model).epoch(images())
    assert "no normalization with scales" in capsys.readouterr().err
    assert table["scale"].isna().all()
    assert (table["max_activation"] > 0).any()


class Untraceable(Functional):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images) if images.sum() > 0 else None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: SparsityMonitor(Untraceable()), "cannot be found"),
        (lambda: SparsityMonitor(nn.Linear(3, 4)), "no features"),
        (lambda: SparsityMonitor("net"), "not a network"),  # type: ignore[arg-type]
        (lambda: SparsityMonitor(Functional().to(torch.bfloat16)), "half precision"),
        (lambda: SparsityMonitor(Functional(), "adam"), "not a torch.optim.Optimizer"),  # type: ignore[arg-type]
        (lambda: SparsityMonitor(Functional(), optimizer_of("SGD", Functional().parameters())), "none of the model's scales"),
        (lambda: SparsityMonitor(Functional(), most_images=0), "most_images"),
        (lambda: SparsityMonitor(Functional()).epoch(torch.zeros(4, 3, 8, 8)), "does not run on images of shape"),
        (lambda: SparsityMonitor(Functional()).epoch([]), "no images"),
        (lambda: SparsityMonitor(Functional()).epoch(["cat.png"]), "str"),
        (lambda: SparsityMonitor(Functional()).epoch(3), "int"),  # type: ignore[arg-type]
        (lambda: SparsityMonitor(Functional()).layers(), "call epoch"),
        (lambda: SparsityMonitor(Functional()).history, "call epoch"),
    ],
)
def test_bad_input_is_refused_in_one_line(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_model_whose_features_changed_needs_a_new_monitor() -> None:
    model = Functional()
    monitor = SparsityMonitor(model, verbose=False)
    monitor.epoch(images())
    model.conv2, model.norm2, model.head = nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, 3)
    with pytest.raises(UserError, match=r"\(conv2 had 6 and has 5\): make a new SparsityMonitor"):
        monitor.epoch(images())


def test_tensorboard_gets_scalars_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    written: dict[str, list[int]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.setdefault(name, []).append(step)

        flush = close = lambda self: None

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))  # type: ignore[arg-type]
    with SparsityMonitor(Functional(), log_dir=tmp_path, verbose=False) as monitor:
        for _ in range(2):
            monitor.epoch(images())
    assert written["features/sparsity_by_scale"] == [1, 2]
    assert written["sparsity_by_activation/conv2"] == [1, 2]


def test_without_tensorboard_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # type: ignore[arg-type]
    SparsityMonitor(Functional(), log_dir=tmp_path, verbose=False).epoch(images())
    assert "TensorBoard is not installed" in capsys.readouterr().err


def test_wrappers_are_looked_through() -> None:
    network = small_net()
    expected = SparsityMonitor(network.module, verbose=False).epoch(images())
    wrapped: Any = torch.compile(nn.DataParallel(network.module), backend="eager")
    pd.testing.assert_frame_equal(SparsityMonitor(wrapped, verbose=False).epoch(images()), expected)
