"""What is read from a person's own optimizer equals the law, at each step and over many, or is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from full_scale.measure.probes import FORCES, ForceProbe
from full_scale.monitor import SparsityMonitor
from full_scale.monitor.optimizer_forces import OptimizerProbe
from full_scale.training.parameters import group_parameters
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adadelta, Adagrad, Adam, Adamax, AMSGrad, NAdam, RMSProp
from mechanisms.theory.feature import decay_budget
from tests.full_scale.watched import RATE, STRENGTH, images, optimizer_of, random_gradients, small_net

LAW: list[tuple[str, dict[str, Any], Any, str]] = [
    ("SGD", {"momentum": 0.9}, SGD(momentum=0.9), "coupled"),
    ("SGD", {"momentum": 0.9, "nesterov": True}, SGD(momentum=0.9, nesterov=True), "coupled"),
    ("SGD", {}, SGD(), "coupled"),
    ("Adam", {}, Adam(), "coupled"),
    ("Adam", {"decoupled_weight_decay": True, "betas": (0.8, 0.95)}, Adam(beta1=0.8, beta2=0.95), "decoupled"),
    ("AdamW", {"eps": 1e-6}, Adam(epsilon=1e-6), "decoupled"),
    ("AdamW", {"amsgrad": True}, AMSGrad(), "decoupled"),
    ("Adam", {"amsgrad": True, "fused": True}, AMSGrad(), "coupled"),
    ("Adamax", {}, Adamax(), "coupled"),
    ("NAdam", {}, NAdam(), "coupled"),
    ("NAdam", {"decoupled_weight_decay": True}, NAdam(), "decoupled"),
    ("RMSprop", {"momentum": 0.5}, RMSProp(momentum=0.5), "coupled"),
    ("Adagrad", {"initial_accumulator_value": 0.1}, Adagrad(initial_accumulator=0.1), "coupled"),
    ("Adadelta", {}, Adadelta(), "coupled"),
]


@pytest.mark.parametrize(("name", "options", "rule", "coupling"), LAW)
def test_forces_equal_the_law_after_a_few_steps(name: str, options: dict[str, Any], rule: Any, coupling: str) -> None:
    """Against the shadow beside our own runs, which is tested against the change made; the rate changes on the way."""
    network = small_net()
    optimizer = optimizer_of(name, network.module.parameters(), **options)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    regularizer = L2(strength=STRENGTH, coupling=coupling)
    shadow = ForceProbe(network, group_parameters(network.module, "all"), rule, regularizer, RATE)
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1.0, 0.5, 0.25):
        before = torch.cat([layer.norm.weight.detach().clone() for layer in network.layers]).numpy()
        random_gradients(network.module, generator)
        optimizer.param_groups[0]["lr"] = RATE * scale
        shadow.observe(scale)
        optimizer.step()
    table = monitor.epoch(images())
    for force, values in shadow.forces().items():
        np.testing.assert_allclose(table[force], values, rtol=2e-5, atol=1e-9, err_msg=force)
    # The forces are a hundred times smaller than the scales whose difference is the change.
    np.testing.assert_allclose(table["scale"] - before, table["loss_force"] + table["reg_force"], rtol=1e-3, atol=3e-7)
    assert set(table["step"]) == {4}
    assert (table["reg_force"] != 0).all()


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_denominators_are_those_of_the_optimizers_state(name: str) -> None:
    network = small_net()
    optimizer = optimizer_of(name, network.module.parameters())
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    for number in range(3):
        random_gradients(network.module, torch.Generator().manual_seed(number))
        optimizer.step()
    states = [optimizer.state[layer.norm.weight] for layer in network.layers]
    corrected = torch.cat([state["exp_avg_sq"] / (1 - 0.999**3) for state in states]).sqrt() + 1e-8
    np.testing.assert_allclose(monitor.epoch(images())["denominator"], corrected, rtol=1e-5)


@pytest.mark.parametrize(("name", "rule", "coupling"), [("SGD", SGD(momentum=0.9), "coupled"), ("AdamW", Adam(), "decoupled")])
def test_the_decay_budget_is_the_closed_form_at_the_rates_seen(name: str, rule: Any, coupling: str) -> None:
    network = small_net()
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = optimizer_of(name, network.module.parameters(), **options)
    monitor = SparsityMonitor(network.module, optimizer, epochs=5, verbose=False)
    monitor.epoch(images())
    for scale in (1.0, 0.5):
        optimizer.param_groups[0]["lr"] = RATE * scale
        for number in range(3):
            random_gradients(network.module, torch.Generator().manual_seed(number))
            optimizer.step()
        monitor.epoch(images())
    law = {"rule": rule, "regularizer": L2(strength=STRENGTH, coupling=coupling), "learning_rate": RATE}
    found = monitor.epochs()
    assert found["step"].tolist() == [0, 3, 6]
    assert found["decay_budget"].tolist() == pytest.approx([0.0, *(decay_budget(**law, effective_steps=n) for n in (3, 4.5))])
    assert found["decay_budget_to_come"].tolist()[1:] == pytest.approx(
        [decay_budget(**law, effective_steps=n) for n in (12, 4.5)]
    )


def test_under_coupling_a_normalizing_rule_divides_the_decay_by_each_denominator() -> None:
    network = small_net()
    optimizer = optimizer_of("Adam", network.module.parameters())
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    random_gradients(network.module, torch.Generator().manual_seed(0))
    optimizer.step()
    table = monitor.epoch(images())
    assert monitor.epochs()["decay_budget"][0] == pytest.approx((RATE * STRENGTH / table["denominator"]).median(), rel=1e-5)


def test_groups_with_their_own_rate_and_decay() -> None:
    network = small_net()
    scales = [layer.norm.weight for layer in network.layers]
    groups = [{"params": scales[:1], "lr": 0.5, "weight_decay": 0.2}, {"params": scales[1:2], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    before = scales[0].detach().clone().numpy()
    random_gradients(network.module, torch.Generator().manual_seed(0))
    optimizer.step()
    table = monitor.epoch(images())
    parts = [part for _, part in table.groupby("layer", sort=False)]
    np.testing.assert_allclose(parts[0]["reg_force"], -0.5 * 0.2 * before, rtol=1e-6)
    assert (parts[1]["reg_force"] == 0).all()
    assert parts[2]["denominator"].isna().all()
    assert monitor.layers()["decay_budget"].tolist()[:2] == pytest.approx([0.1, 0.0])


def test_an_ascent_has_the_opposite_gradient() -> None:
    network = small_net()
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1, maximize=True)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    random_gradients(network.module, torch.Generator().manual_seed(0))
    optimizer.step()
    gradients = torch.cat([layer.norm.weight.grad for layer in network.layers])
    np.testing.assert_allclose(monitor.epoch(images())["loss_force"], 0.1 * gradients, rtol=1e-6)


def test_what_the_state_does_not_hold_is_missing_until_it_no_longer_matters() -> None:
    """Attached in the middle of a coupled training: half of the momentum is of unknown origin after one step, none after many."""
    network = small_net()
    parameters = list(network.module.parameters())
    coupled = optimizer_of("Adam", parameters, betas=(0.5, 0.9))
    random_gradients(network.module, torch.Generator().manual_seed(0))
    coupled.step()
    monitor = SparsityMonitor(network.module, coupled, verbose=False)
    found = []
    for _ in range(25):
        coupled.step()
        found.append(monitor.epoch(images(2)))
    assert found[0]["step"].unique().tolist() == [2]
    assert found[0]["loss_force"].isna().all()
    assert found[0]["denominator"].notna().all()
    known = [table["loss_force"].notna().all() for table in found]
    assert known == [0.5**steps <= 1e-6 for steps in range(1, 26)]


def test_a_loaded_state_is_followed() -> None:
    network, other = small_net(), small_net()
    optimizers = [optimizer_of("AdamW", list(each.module.parameters())) for each in (network, other)]
    monitor = SparsityMonitor(network.module, optimizers[0], verbose=False)
    for number, (each, optimizer) in enumerate(zip((network, other), optimizers, strict=True)):
        for _ in range(2 + number):
            random_gradients(each.module, torch.Generator().manual_seed(number))
            optimizer.step()
    optimizers[0].load_state_dict(optimizers[1].state_dict())
    optimizers[0].step()
    assert monitor.epoch(images())["loss_force"].notna().all()


def stepped(optimizer: Any, module: torch.nn.Module, numbers: range, closure: bool = False) -> None:
    for number in numbers:
        module.zero_grad()
        if closure:
            optimizer.step(lambda: random_gradients(module, torch.Generator().manual_seed(number)))  # noqa: B023
        else:
            random_gradients(module, torch.Generator().manual_seed(number))
            optimizer.step()


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, *_ in LAW])
def test_a_step_whose_closure_makes_the_gradients_is_followed_like_any_other(name: str, options: dict[str, Any]) -> None:
    found = []
    for closure in (False, True):
        network = small_net()
        optimizer = optimizer_of(name, network.module.parameters(), **options)
        monitor = SparsityMonitor(network.module, optimizer, verbose=False)
        stepped(optimizer, network.module, range(3), closure)
        found.append((monitor.epoch(images()), monitor.epochs()))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    pd.testing.assert_frame_equal(found[0][1], found[1][1])
    assert found[1][0][list(FORCES)].notna().all().all()


class Derived(torch.optim.AdamW):
    """Steps as the class that it is derived from, whose hooks torch calls once more as soon as there is an object of that."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.parametrize("closure", [False, True])
def test_a_step_within_a_step_is_followed_once(closure: bool) -> None:
    network = small_net()
    optimizer_of("AdamW", [torch.nn.Parameter(torch.ones(1))])
    optimizer = Derived(network.module.parameters(), lr=RATE, weight_decay=STRENGTH)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)

    def broken() -> float:
        raise MemoryError

    with pytest.raises(MemoryError):
        optimizer.step(broken)
    stepped(optimizer, network.module, range(3), closure)
    assert monitor.epoch(images())[list(FORCES)].notna().all().all()
    assert monitor.epochs()["decay_budget"].tolist() == pytest.approx([3 * RATE * STRENGTH])


def test_a_closure_that_is_called_often_makes_one_step_and_gives_its_loss() -> None:
    network = small_net()
    optimizer = torch.optim.LBFGS(network.module.parameters(), lr=1e-6)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    calls = []

    def closure() -> torch.Tensor:
        calls.append(1)
        optimizer.zero_grad()
        loss = network.module(images()).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure=closure) > 0  # type: ignore[arg-type]
    monitor.epoch(images())
    assert len(calls) > 1
    assert monitor.epochs()["step"].tolist() == [1]
    assert monitor.epochs()["decay_budget"].tolist() == [0.0]  # LBFGS has no weight decay


def test_a_step_without_gradients_is_none() -> None:
    network = small_net()
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    optimizer.step(lambda: 0.0)
    monitor.epoch(images())
    assert monitor.epochs()["step"].tolist() == [0]


@pytest.mark.parametrize("loaded_first", [True, False])
def test_steps_after_a_loaded_state_are_the_optimizers(loaded_first: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Four steps, saved; then two more in a process of their own, of ten epochs with two steps each."""
    network = small_net()
    optimizer = optimizer_of("AdamW", network.module.parameters())
    stepped(optimizer, network.module, range(4))
    states = network.module.state_dict(), optimizer.state_dict()
    resumed = small_net()
    other = optimizer_of("AdamW", resumed.module.parameters())
    monitor = None if loaded_first else SparsityMonitor(resumed.module, other, epochs=10)
    resumed.module.load_state_dict(states[0])
    other.load_state_dict(states[1])
    monitor = monitor or SparsityMonitor(resumed.module, other, epochs=10)
    stepped(other, resumed.module, range(4, 6))
    assert monitor.epoch(images())[list(FORCES)].notna().all().all()
    row = monitor.epochs().iloc[0]
    assert row["step"] == 6
    assert row["decay_budget"] == pytest.approx(2 * RATE * STRENGTH)
    assert row["decay_budget_to_come"] == pytest.approx(14 * RATE * STRENGTH)
    assert "followed 2 of 6 steps" in capsys.readouterr().err


def test_an_optimizer_that_counts_nothing_is_said_to_have_a_past(capsys: pytest.CaptureFixture[str]) -> None:
    network = small_net()
    optimizer = optimizer_of("SGD", network.module.parameters(), momentum=0.9)
    stepped(optimizer, network.module, range(2))
    monitor = SparsityMonitor(network.module, optimizer)
    stepped(optimizer, network.module, range(1))
    monitor.epoch(images())
    said = capsys.readouterr().err
    assert "SGD keeps no count" in said
    assert "a momentum from before the first step followed still matters" in said
    assert "nan" not in said


def test_each_unknown_force_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A scale that is frozen, one that is clamped after the step, one that the optimizer does not hold."""
    network = small_net()
    scales = [layer.norm.weight for layer in network.layers]
    optimizer = torch.optim.Adam(scales[:2] + scales[3:], lr=0.1)
    monitor = SparsityMonitor(network.module, optimizer)
    random_gradients(network.module, torch.Generator().manual_seed(0))
    scales[0].grad = None
    monitor.epoch(images())
    assert "nan" not in (said := capsys.readouterr().err)
    assert "no step with a gradient of it was followed yet" in said
    optimizer.step()
    with torch.no_grad():
        scales[1].fill_(0.5)
    for _ in range(2):  # the reason is the same when it is asked for again
        monitor.epoch(images())
        reasons = monitor.layers()["unknown"].tolist()
        assert [reasons[n].split(" followed")[0].split(":")[0] for n in range(3)] == [
            "no step with a gradient of it was",
            "it did not move as Adam says",
            "Adam does not move it",
        ]
        assert set(reasons[3:]) == {""}


def test_budgets_are_summed_in_double_precision() -> None:
    """In bfloat16 a sum of 2e-5 stops at 0.0039, where half a unit in the last place is as large as a term."""
    scale = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = torch.optim.AdamW([scale], lr=1e-3, weight_decay=2e-2)
    probe = OptimizerProbe(optimizer, [scale])
    for _ in range(1000):
        scale.grad = torch.ones_like(scale)
        optimizer.step()
    assert probe.decay(scale)["decay_budget"].tolist() == pytest.approx([0.02] * 3, rel=1e-9)


@pytest.mark.parametrize(
    ("strength", "said"),
    [(0.1, ""), (1.0, "by 0 a step: it removes them"), (1.5, "by -0.5 a step: it turns"), (2.5, "they diverge")],
)
def test_a_decay_that_shrinks_nothing_gradually_is_said(strength: float, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = small_net()
    optimizer = torch.optim.AdamW(network.module.parameters(), lr=1.0, weight_decay=strength)
    SparsityMonitor(network.module, optimizer).epoch(images())
    found = capsys.readouterr().err
    assert said in found
    assert ("decay alone multiplies scales" in found) == bool(said)


class Halving(torch.optim.SGD):
    """A law of its own: half of each step."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(parameter.grad, alpha=-0.5 * group["lr"])


@pytest.mark.parametrize("make", [Halving, torch.optim.RAdam, torch.optim.ASGD])
def test_laws_that_are_not_ours_give_no_forces(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    network = small_net()
    optimizer = make(network.module.parameters(), lr=RATE)
    monitor = SparsityMonitor(network.module, optimizer)
    random_gradients(network.module, torch.Generator().manual_seed(0))
    optimizer.step()
    table = monitor.epoch(images())
    assert table[list(FORCES)].isna().all().all()
    assert ("forces and denominators stay unknown" in capsys.readouterr().err) == (make is not Halving)


def test_scaled_losses_of_mixed_precision() -> None:
    """The fused kernel gets gradients of the scaled loss, and skips a step where they overflow."""
    network = small_net()
    optimizer = optimizer_of("Adam", network.module.parameters(), fused=True)
    monitor = SparsityMonitor(network.module, optimizer, verbose=False)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for value in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scores = network.module.train()(images())
        scaler.scale(scores.square().sum() * value).backward()
        scaler.step(optimizer)
        scaler.update()
    table = monitor.epoch(images())
    assert set(table["step"]) == {2}
    assert table["loss_force"].notna().all()
