"""Optimizers of other packages: wrappers are looked through, and a decoupled decay is summed where it is known to be one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from full_scale.measure.probes import FORCES
from full_scale.monitor import SparsityMonitor
from mechanisms.validation import UserError
from tests.full_scale.watched import RATE, STRENGTH, images, optimizer_of, random_gradients, small_net


class Passing(torch.optim.Optimizer):
    """As wrappers of other packages are: of torch's class, without its constructor, every part of it that of the one inside."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.optimizer = inner

    param_groups = property(lambda self: self.optimizer.param_groups)  # type: ignore[assignment]
    state = property(lambda self: self.optimizer.state)  # type: ignore[assignment]

    def step(self, closure: Any = None) -> Any:
        return self.optimizer.step(closure)


class Delegating:
    """No optimizer by its class: what it does not have, the one inside has."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(self, closure: Any = None) -> Any:
        return self._inner.step(closure)


class Several(Delegating):
    """An optimizer for matrices and another for the rest."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner)
        self.parts = [inner, torch.optim.SGD([nn.Parameter(torch.ones(2, 2))], lr=1.0)]


class Derived(torch.optim.AdamW):
    """Made from an optimizer, with the class of it as well as its own, and the same dictionaries."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.__dict__ |= {name: value for name, value in vars(inner).items() if name != "step"}
        self._optimizer = inner

    def step(self, closure: Any = None) -> Any:
        return self._optimizer.step(closure)


class Sharpness(torch.optim.Optimizer):
    """Minimizes at the worst place nearby: an optimizer of its own, which steps another one after a closure."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__([p for group in inner.param_groups for p in group["params"]], {})
        self.base_optimizer = inner

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        return self.base_optimizer.step()


WRAPPERS = [
    Passing,
    Delegating,
    Several,
    Derived,
    Sharpness,
    lambda inner: Passing(Delegating(inner)),  # type: ignore[arg-type]
]


def stepped(optimizer: Any, module: nn.Module, count: int) -> None:
    for number in range(count):
        random_gradients(module, torch.Generator().manual_seed(number))
        optimizer.step()


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrappers_are_looked_through(wrap: Callable[[torch.optim.Optimizer], Any], capsys: pytest.CaptureFixture[str]) -> None:
    network = small_net()
    optimizer = wrap(optimizer_of("AdamW", network.module.parameters()))
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    stepped(optimizer, network.module, 3)
    assert monitor.epoch(images())[list(FORCES)].notna().all().all()
    assert monitor.epochs()["step"].tolist() == [3]
    assert monitor.epochs()["decay_budget"].tolist() == pytest.approx([3 * RATE * STRENGTH])
    assert "forces and budgets are those of the AdamW inside" in capsys.readouterr().err


class Bare(torch.optim.Optimizer):
    """Does not call the constructor of torch's class, and steps by itself."""

    def __init__(self, parameters: Any) -> None:
        self.param_groups = [{"params": list(parameters), "lr": RATE, "weight_decay": STRENGTH}]
        self.state = {}  # type: ignore[assignment]

    def step(self, closure: Any = None) -> Any:
        pass


class Twins(Delegating):
    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner)
        self.parts = [inner, torch.optim.SGD(inner.param_groups[0]["params"], lr=1.0)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (Bare, "the steps of a Bare cannot be followed"),
        (lambda p: Twins(torch.optim.SGD(p, lr=1.0)), "Twins holds 2 optimizers that move the scales"),
        (
            lambda p: torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD(p, lr=1.0)),
            "is a ConstantLR, not a torch.optim.Optimizer",
        ),
        (lambda p: [torch.optim.SGD(p, lr=1.0)], "is a list, not a torch.optim.Optimizer"),
        (lambda p: torch.optim.SGD, "is a type, not a torch.optim.Optimizer"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(make: Callable[[Any], Any], named: str) -> None:
    network = small_net()
    with pytest.raises(UserError, match=named) as caught:
        SparsityMonitor(network.module, make(list(network.module.parameters())))
    assert "\n" not in str(caught.value)


class Signs(torch.optim.Optimizer):
    """A rule without a law here."""

    def __init__(self, parameters: Any, **options: Any) -> None:
        super().__init__(parameters, {"lr": RATE, "weight_decay": STRENGTH} | options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(parameter.grad.sign(), alpha=-group["lr"])


class FusedLion(Signs):
    pass


class Warm(Signs):
    """Sets the rate that it uses in the step, half of `lr`."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["scheduled_lr"] = group["lr"] / 2
        return super().step(closure)


class WarmScheduleFree(Warm):
    pass


@pytest.mark.parametrize(
    ("make", "a_step"),
    [
        (FusedLion, RATE * STRENGTH),
        (lambda p: Signs(p, decoupled_weight_decay=True), RATE * STRENGTH),
        (lambda p: Signs(p, weight_decouple=True), RATE * STRENGTH),
        (lambda p: torch.optim.RAdam(p, lr=RATE, weight_decay=STRENGTH, decoupled_weight_decay=True), RATE * STRENGTH),
        (lambda p: torch.optim.RAdam(p, lr=RATE), 0.0),
        (lambda p: torch.optim.Adafactor(p, lr=RATE, weight_decay=STRENGTH), RATE * STRENGTH),
        (lambda p: FusedLion(p, scale_parameter=True), None),
        (WarmScheduleFree, RATE * STRENGTH / 2),
        (Signs, None),
        (lambda p: Signs(p, decoupled_weight_decay=False), None),
        (lambda p: FusedLion(p, decoupled_weight_decay=False), None),
        (lambda p: Signs(p, decouple=True, d=1e-6), None),
        (lambda p: torch.optim.RAdam(p, lr=RATE, weight_decay=STRENGTH), None),
        (lambda p: torch.optim.ASGD(p, lr=RATE, weight_decay=STRENGTH), None),
    ],
)
def test_the_budget_of_a_rule_without_a_law(
    make: Callable[[Any], torch.optim.Optimizer], a_step: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    network = small_net()
    optimizer = make(network.module.parameters())
    monitor = SparsityMonitor(network.module, optimizer, detailed=True)
    stepped(optimizer, network.module, 3)
    table = monitor.epoch(images())
    assert table[list(FORCES)].isna().all().all()
    budget = monitor.epochs()["decay_budget"].tolist()[0]
    said = capsys.readouterr().err
    assert f"there is no law here of {type(optimizer).__name__}" in said
    assert "nan" not in said
    assert ("decays beside its update" in said) == bool(a_step)
    assert ("scales do not decay" in said) == (a_step == 0)
    assert ("decay budget unknown" in said) == (a_step is None)
    assert budget == pytest.approx(3 * a_step, rel=1e-9) if a_step is not None else budget != budget
