"""Which of the things in a checkpoint are the weights: found by the names of the network, said in one line, or asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from full_scale.commands.parts.weights import with_weights
from mechanisms.validation import UserError


def network(fill: float = 0.0) -> nn.Sequential:
    """A small network whose numbers are all the same."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Flatten(), nn.Linear(2, 2)))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(fill)
    return net


def weights(prefix: str = "", fill: float = 3.0) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in network(fill).state_dict().items()}


def training() -> dict[str, Any]:
    """What stands beside the weights in a checkpoint: tensors among it."""
    net = network()
    steps = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, 1, 3, 3)).sum().backward()
    steps.step()
    return {"epoch": 3, "optimizer": steps.state_dict(), "best_prec1": torch.tensor(93.4)}


def value(content: Any, path: Path, key: str | None = None) -> float:
    """The number with which a network is filled by a file."""
    torch.save(content, path / "kept.ckpt")
    values = {parameter.mean().item() for parameter in with_weights(network(), path / "kept.ckpt", key).parameters()}
    (only,) = values
    return only


def features_in_parallel(names: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("2.1.", "2.module.1."): tensor for name, tensor in names.items()}


SINGLE: dict[str, tuple[Callable[[], Any], str]] = {
    "state_dict": (
        lambda: training() | {"state_dict": weights()},
        "under state_dict; left out beside them: best_prec1, op",
    ),
    "parallel": (lambda: training() | {"state_dict": weights("module.")}, "under state_dict.module; left out"),
    "lightning": (lambda: training() | {"state_dict": weights("net.")}, "under state_dict.net; left out"),
    "criterion": (
        lambda: {"state_dict": weights("model.") | {"criterion.weight": torch.ones(1)}},
        "under state_dict.model; left out beside them: state_dict.criterion",
    ),
    "prefix": (lambda: weights("model._orig_mod."), "under model._orig_mod"),
    "backbone": (lambda: weights("backbone.") | {"head.weight": torch.ones(1)}, "under backbone; left out beside them: head"),
    "unheard of": (lambda: {"nets": {"student": weights()}}, "under nets.student"),
    "pair": (lambda: (7, weights(), training()), "under 1; left out beside them: 2"),
    "inner wrapper": (lambda: {"model": features_in_parallel(weights())}, "under model"),
    "same twice": (lambda: dict.fromkeys(["model", "net"], weights()), "under model"),
    "other average": (lambda: {"model": weights(), "model_ema": {"decay": torch.tensor(0.9)}}, "left out beside them: model_ema"),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_the_weights_are_found_and_what_was_read_is_said(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, said = SINGLE[kind]
    assert value(make(), tmp_path) == 3.0
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_plain_weights_need_no_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert value(weights(), tmp_path) == 3.0
    assert capsys.readouterr().err == ""


def test_a_prefix_in_safetensors_is_removed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(weights("model."), tmp_path / "kept.safetensors")
    assert with_weights(network(), tmp_path / "kept.safetensors")[0].bias[0].item() == 3.0  # type: ignore[index]
    assert "under model" in capsys.readouterr().err


def test_a_wrapped_network_takes_the_weights_of_a_plain_one(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "kept.pt")
    wrapped = nn.Module()
    wrapped.module = network()
    assert next(with_weights(wrapped, tmp_path / "kept.pt").parameters()).mean().item() == 3.0


DOUBLE: dict[str, tuple[Callable[[], Any], dict[str, float]]] = {
    "average": (lambda: {"model": weights(), "model_ema": weights(fill=5)}, {"model": 3, "model_ema": 5}),
    "wrapped average": (
        lambda: {"model": weights(), "ema": {"module": weights(fill=5)}},
        {"model": 3, "ema.module": 5},
    ),
    "parallel average": (lambda: {"model": features_in_parallel(weights()), "ema": weights(fill=5)}, {"model": 3, "ema": 5}),
    "prefixes": (
        lambda: {"state_dict": weights("net.") | weights("teacher.", 5)},
        {"state_dict.net": 3, "state_dict.teacher.": 5},
    ),
    "top": (lambda: weights() | {"ema": weights(fill=5)}, {".": 3, "ema": 5}),
}


@pytest.mark.parametrize("kind", DOUBLE)
def test_two_that_fit_are_a_question_that_an_option_answers(kind: str, tmp_path: Path) -> None:
    make, answers = DOUBLE[kind]
    with pytest.raises(UserError, match=r"weights of this network 2 times, under .*: choose by --weights-key") as asked:
        value(make(), tmp_path)
    assert all(key.removesuffix(".") or key in str(asked.value) for key in answers)
    for key, filled in answers.items():
        assert value(make(), tmp_path, key) == filled


def test_a_key_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--weights-key ema is not in .*: it holds epoch, best_prec1, model and 1 more"):
        value(training() | {"model": weights()}, tmp_path, "ema")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"state_dict": {"a.kernel": torch.ones(1)}, "epoch": 3}, ["0.weight is not in the file", "file alone: a.kernel"]),
        ({"enc.w": torch.ones(1), "enc.b": torch.ones(1)}, ["alone: 0.weight, 0.bias, 1.weight and", "alone: enc.w, enc.b"]),
        ({"model": weights() | {"tail.bias": torch.ones(1)}}, ["tail.bias is not in the network", "alone: nothing; in the file"]),
        ({"model": {k: v for k, v in weights("m.").items() if k != "m.1.bias"}}, ["1.bias is not in the file", "under model.m"]),
        (weights("m.") | {"m.0.bias": torch.ones(7)}, ["0.bias has shape (7,) in the file and (2,) in the network", "under m)"]),
        ({"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}, ["the file has a.b twice"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_the_names_of_both_sides(content: Any, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        value(content, tmp_path)
    assert [part for part in parts if part not in str(refused.value)] == []
    assert "\n" not in str(refused.value)


def test_a_layer_of_another_network_is_not_taken_silently(tmp_path: Path) -> None:
    torch.save({f"{name}.{kind}": torch.ones(2) for name in "ab" for kind in ("weight", "bias")}, tmp_path / "kept.pt")
    with pytest.raises(UserError, match="2 times, under a, b"):
        with_weights(nn.LayerNorm(2), tmp_path / "kept.pt")
