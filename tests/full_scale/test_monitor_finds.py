"""What the monitor finds in networks of other packages is what removal finds, and what it does not follow it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from full_scale.measure.probes import FORCES
from full_scale.models.discovery import HIDDEN, OUTPUT
from full_scale.monitor import SparsityMonitor
from full_scale.removal import audit, shrink
from mechanisms.validation import UserError
from tests.full_scale.models.foreign import Attention, Frozen, NormAct, Padded, Tokens
from tests.full_scale.watched import images, optimizer_of


def block(before: int, after: int, norm: Any = nn.BatchNorm2d, conv: Any = nn.Conv2d, **options: Any) -> nn.Sequential:
    made = conv(before, after, 3, bias=False, **options)
    return nn.Sequential(made, norm(after), *([] if norm is NormAct else [nn.ReLU()]))


def net(**kinds: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(block(1, 6, **kinds), block(6, 4, **kinds), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def one_axis() -> nn.Sequential:
    torch.manual_seed(0)
    parts = (nn.Flatten(2), nn.Conv1d(1, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 4, 3), nn.GELU())
    return nn.Sequential(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))


def hidden() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(block(1, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "torch's own": net,
    "activation inside": lambda: net(norm=NormAct),
    "frozen": lambda: net(norm=Frozen),
    "padding inside": lambda: net(conv=Padded),
    "no running statistics": lambda: net(norm=lambda n: nn.BatchNorm2d(n, track_running_stats=False)),
    "one axis": one_axis,
    "hidden units": hidden,
    "attention": Attention,
    "transposed": lambda: net(conv=nn.ConvTranspose2d),
    "instances": lambda: net(norm=lambda n: nn.InstanceNorm2d(n, affine=True)),
    "groups": lambda: net(norm=lambda n: nn.GroupNorm(2, n)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_features_are_those_of_removal_less_what_is_named(name: str) -> None:
    model = MODELS[name]().eval()
    monitor = SparsityMonitor(model, verbose=False)
    watched = monitor.epoch(images()).groupby("layer").size()
    normed = {layer.conv: layer.norm for layer in monitor_layers(model)}
    by_module = {part: path for path, part in model.named_modules()}
    audited = audit(model, images()).features.groupby("layer").size().to_dict()
    for layer, features in watched.items():
        conv: Any = model.get_submodule(str(layer))
        norm = normed[conv]
        named = by_module[norm] if isinstance(norm, nn.Module) and by_module[norm] in audited else layer
        assert audited.pop(named) == features
    assert {layer for layer in audited if layer != "attention.out_proj"} <= set(monitor.left_out["layer"])


def monitor_layers(model: nn.Module) -> Any:
    from full_scale.monitor.inspection import observable

    return observable(model).network.layers


def test_an_activation_inside_is_seen_and_its_scales_are_followed() -> None:
    """By hand: nothing is negative after it, and a scale and a shift of a dead filter are seen as dead."""
    model = net(norm=NormAct)
    optimizer = optimizer_of("AdamW", model.parameters())
    monitor = SparsityMonitor(model, optimizer, verbose=False)
    model(images()).square().sum().backward()
    optimizer.step()
    assert monitor.epoch(images())[list(FORCES)].notna().all().all()
    with torch.no_grad():
        model[0][1].weight[2], model[0][1].bias[2] = 0, -1
    table = monitor.epoch(images())
    kept = model.eval()[0](images())
    np.testing.assert_allclose(table["max_activation"][:6], kept.amax((0, 2, 3)).detach(), rtol=1e-5)
    assert table["max_activation"][2] == 0


def test_frozen_scales_are_read_and_have_no_forces(capsys: pytest.CaptureFixture[str]) -> None:
    model = net(norm=Frozen)
    model[0][1].weight[:2] = 0.0
    optimizer = optimizer_of("Adam", model.parameters())
    monitor = SparsityMonitor(model, optimizer)
    model(images()).square().sum().backward()
    optimizer.step()
    table = monitor.epoch(images())
    assert table["scale"].tolist() == [0.0] * 2 + [1.0] * 8
    assert table[list(FORCES)].isna().all().all()
    assert set(monitor.layers()["unknown"]) == {"Adam does not move it"}
    said = capsys.readouterr().err
    assert "forces unknown on 10 features: Adam does not move it" in said
    assert "no normalization" not in said
    assert "nan" not in said


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.GELU()])
def test_hidden_units_of_tokens_are_features(activation: nn.Module, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: the largest over images and tokens; a bias far below 0 is death."""
    model = Tokens(activation)
    with torch.no_grad():
        model.a.bias[:20] = -100.0
    tokens = torch.randn(50, 7, 8, generator=torch.Generator().manual_seed(0))
    monitor = SparsityMonitor(model)
    table = monitor.epoch(tokens)
    features = activation(model.a(model.norm(tokens))).abs().detach()
    assert len(table) == 32
    np.testing.assert_allclose(table["max_activation"], features.amax((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(table["mean_activation"], features.amax(1).mean(0), rtol=1e-5)
    assert (table["max_activation"] < 1e-12).tolist() == [True] * 20 + [False] * 12
    np.testing.assert_allclose(table["outgoing"], model.b.weight.norm(dim=0).detach(), rtol=1e-5)
    said = capsys.readouterr().err
    assert "1 LayerNorm (it normalizes no layer of features)" in said
    assert "has, on its watched layers, no normalization with scales" in said


def test_what_is_not_watched_is_named_and_what_is_whole_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    SparsityMonitor(net())
    assert capsys.readouterr().err == ""
    monitor = SparsityMonitor(Attention())
    said = capsys.readouterr().err
    assert "1 layers of Attention are watched" in said
    assert "1 MultiheadAttention (not looked into)" in said
    assert monitor.left_out["layer"].tolist() == ["head", "attention"]
    assert monitor.left_out["reason"].tolist()[0] == OUTPUT


def test_hidden_units_behind_filters_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(SparsityMonitor(hidden(), verbose=False).epoch(images())["layer"]) == {"0.0"}
    assert f"1 Linear ({HIDDEN})" in capsys.readouterr().err


class Folded(nn.Module):
    """Tokens as images of their own: the first axis is no longer that of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.act, self.end = nn.Linear(8, 6), nn.Linear(8, 4), nn.Linear(4, 2), nn.ReLU(), nn.ReLU()

    def forward(self, tokens: Tensor) -> Any:
        return self.act(self.a(tokens.reshape(-1, 8))).sum() + self.c(self.end(self.b(tokens)))


def test_outputs_that_are_not_of_images_are_left_out_and_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = SparsityMonitor(Folded(), verbose=False)
    for _ in range(2):
        assert set(monitor.epoch(torch.randn(5, 3, 8))["layer"]) == {"b"}
    assert capsys.readouterr().err.count("not watched: 1 Linear (its outputs are no features of images)") == 1


def test_without_running_statistics_it_is_said_that_batches_matter(capsys: pytest.CaptureFixture[str]) -> None:
    SparsityMonitor(MODELS["no running statistics"]())
    assert "2 BatchNorm2d of Sequential keep no running statistics" in capsys.readouterr().err


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return (self.norm(self.conv(images)).clamp(min=0) * 2).mean((2, 3))


class Holder:
    def __init__(self) -> None:
        self.ema = net()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (Bare, r"no features to look at.*1 Conv2d \(read by clamp, which is not known here\)"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()), "0.weight has no shape yet"),
        (lambda: net().to("meta"), "0.0.weight has no numbers"),
        (lambda: torch.jit.trace(net().eval(), images()), "compiled by torch.jit"),
        (lambda: torch.export.export(net().eval(), (images(),)).module(), "no evaluation mode"),
        (Holder, "is a Holder, not a network: give a torch.nn.Module, such as its .ema"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_looked_at_is_refused_in_one_line(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        SparsityMonitor(make())
    assert "\n" not in str(caught.value)


class Within(nn.Module):
    """A network around another one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = inner, nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.inner(images).sigmoid() * 2)  # type: ignore[no-any-return]


class Doubled(nn.Module):
    """Something done to the images before a `module`: no wrapper."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        return self.module(2 * images)  # type: ignore[no-any-return]


class Engine(nn.Module):
    """Passes anything on."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *given: Any, **named: Any) -> Any:
        return self.module(*given, **named)


def never(graph: Any, example: Any) -> Any:
    raise AssertionError("compiled")


def in_place(model: nn.Module) -> nn.Module:
    model.compile(backend=never)
    return model


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend=never)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "wrap",
    [compiled, in_place, Engine, nn.DataParallel, torch.optim.swa_utils.AveragedModel, lambda m: Engine(compiled(Engine(m)))],
)
def test_wrappers_of_models_are_looked_through(wrap: Callable[[nn.Module], nn.Module]) -> None:
    expected = SparsityMonitor(net(), verbose=False).epoch(images())
    found = SparsityMonitor(wrap(net()), verbose=False).epoch(images())
    assert found["layer"].tolist() == expected["layer"].tolist()
    np.testing.assert_array_equal(found["max_activation"], expected["max_activation"])


def test_what_is_done_before_a_module_is_kept() -> None:
    expected = SparsityMonitor(net(), verbose=False).epoch(2 * images())
    found = SparsityMonitor(Doubled(net()), verbose=False).epoch(images())
    np.testing.assert_array_equal(found["max_activation"], expected["max_activation"])


@pytest.mark.parametrize("wrap", [compiled, in_place])
def test_compiled_parts_run_as_they_were_written(wrap: Callable[[nn.Module], nn.Module]) -> None:
    """Compilation would raise here: it costs minutes for networks that run a few times."""
    torch.manual_seed(0)
    inner = net()
    with torch.no_grad():
        inner[0][1].weight[:2], inner[0][1].bias[:2] = 0, -1
    model = Within(wrap(inner)).eval()
    assert len(SparsityMonitor(model, verbose=False).epoch(images())) == 10
    assert (audit(model, images()).features["kind"] != "alive").sum() == 2
    smaller, report = shrink(model, images())
    assert report.is_exact
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())


def test_of_a_compiled_network_removal_takes_what_was_compiled() -> None:
    smaller, _ = shrink(compiled(net().eval()), images())
    assert type(smaller) is nn.Sequential
    assert "_orig_mod" not in "".join(audit(compiled(net().eval()), images()).features["layer"])


def test_an_average_of_weights_needs_no_optimizer() -> None:
    model = net()
    average = torch.optim.swa_utils.AveragedModel(model)
    with pytest.raises(UserError, match="none, for an average of weights"):
        SparsityMonitor(average, optimizer_of("SGD", model.parameters()))
