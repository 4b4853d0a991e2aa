"""Whatever drives a model is the law of `mechanisms.law.dynamics`, for every rule × coupling × regularizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from full_scale.training.optimizer import NATIVE, TorchOptimizer, make_optimizer
from full_scale.training.parameters import ParameterGroups
from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L2, AbstractRegularizer
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.specs import choices

RULES = choices(AbstractUpdateRule)
REGULARIZERS = choices(AbstractRegularizer)
RATE = 0.02
STEPS = 60
every_rule = pytest.mark.parametrize("rule_name", RULES)
every_regularizer = pytest.mark.parametrize("regularizer_name", REGULARIZERS)
every_coupling = pytest.mark.parametrize("coupling", COUPLINGS)


def detuned(rule: Any) -> Any:
    """The rule with no hyperparameter at its default, so that a wrongly wired one shows."""
    values = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule)}
    return dataclasses.replace(rule, **{k: not v if isinstance(v, bool) else 0.7 * v + 0.2 for k, v in values.items()})


def gradients(dtype: torch.dtype = torch.float64) -> Iterator[tuple[torch.Tensor, float]]:
    """(gradient, schedule scale) of each step: a quarter of the entries is 0, and the rate changes from step to step."""
    generator = np.random.default_rng(5)
    for number in range(STEPS):
        gradient = generator.normal(size=(6, 4)) * (generator.random((6, 4)) < 0.75)
        yield torch.from_numpy(gradient).to(dtype), 0.3 + 0.7 * np.cos(number / 20) ** 2


def parameter(dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.from_numpy(np.random.default_rng(1).normal(size=(6, 4))).to(dtype))


def driven(rule: Any, regularizer: Any, *, decayed: bool = True, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    w = parameter(dtype)
    groups = ParameterGroups({"w": w}, {}) if decayed else ParameterGroups({}, {"w": w})
    optimizer = make_optimizer(groups, rule, regularizer, RATE)
    for gradient, scale in gradients(dtype):
        optimizer.zero_grad()
        w.grad = gradient
        optimizer.step(scale)
    return w.detach()


def lawful(rule: Any, regularizer: Any) -> np.ndarray:
    w = parameter().detach().numpy()
    state = init(w, rule=rule, regularizer=regularizer)
    for gradient, scale in gradients():
        after = step(w, gradient.numpy(), state, rule=rule, regularizer=regularizer, learning_rate=RATE, schedule_scale=scale)
        w, state = after.w, after.state
    return np.asarray(w)


def assert_close(actual: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    assert np.abs(actual.double().numpy() - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("tuning", [lambda rule: rule, detuned], ids=["default", "detuned"])
@every_rule
@every_coupling
@every_regularizer
def test_the_optimizer_is_the_law(rule_name: str, coupling: str, regularizer_name: str, tuning: Any) -> None:
    rule = tuning(RULES[rule_name]())
    regularizer = REGULARIZERS[regularizer_name](strength=0.03, coupling=coupling)
    expected = lawful(rule, regularizer)
    assert_close(driven(rule, regularizer), expected)
    # The regularizer mattered, else the agreement would say nothing about it.
    free = lawful(rule, dataclasses.replace(regularizer, strength=0.0))
    assert np.abs(expected - free).max() > 1e-6


@pytest.mark.usefixtures("double_precision")
@every_rule
@every_coupling
@every_regularizer
def test_free_parameters_are_not_decayed(rule_name: str, coupling: str, regularizer_name: str) -> None:
    rule, kind = RULES[rule_name](), REGULARIZERS[regularizer_name]
    strong = kind(strength=0.5, coupling=coupling)
    assert_close(driven(rule, strong, decayed=False), lawful(rule, kind(strength=0.0, coupling=coupling)))


@every_rule
@every_regularizer
def test_independent_is_decoupled_at_strength_over_base_rate(rule_name: str, regularizer_name: str) -> None:
    rule, kind = RULES[rule_name](), REGULARIZERS[regularizer_name]
    independent = driven(rule, kind(strength=1e-3, coupling="independent"))
    decoupled = driven(rule, kind(strength=1e-3 / RATE, coupling="decoupled"))
    assert_close(independent, decoupled.numpy())


@every_rule
@every_coupling
@every_regularizer
def test_single_precision_stays_single(rule_name: str, coupling: str, regularizer_name: str) -> None:
    rule, regularizer = RULES[rule_name](), REGULARIZERS[regularizer_name](strength=0.03, coupling=coupling)
    moved = driven(rule, regularizer, dtype=torch.float32)
    assert moved.dtype == torch.float32
    # Signs near 0 and tiny denominators amplify rounding; a wrong law is off by far more.
    assert_close(moved, lawful(rule, regularizer), tolerance=1e-2)


@every_rule
@every_coupling
@every_regularizer
def test_a_parameter_without_gradient_stays(rule_name: str, coupling: str, regularizer_name: str) -> None:
    used, unused = parameter(), parameter()
    regularizer = REGULARIZERS[regularizer_name](strength=0.5, coupling=coupling)
    optimizer = make_optimizer(ParameterGroups({"a": used, "b": unused}, {}), RULES[rule_name](), regularizer, RATE)
    used.grad = torch.ones_like(used)
    optimizer.step(1.0)
    assert torch.equal(unused, parameter())
    assert not torch.equal(used, parameter())


@every_rule
def test_zero_grad_forgets(rule_name: str) -> None:
    w = parameter()
    optimizer = make_optimizer(ParameterGroups({"w": w}, {}), RULES[rule_name](), L2(), RATE)
    w.grad = torch.ones_like(w)
    optimizer.zero_grad()
    assert w.grad is None


def test_torch_makes_the_step_where_it_can_and_with_its_fused_kernel() -> None:
    for rule in (Adam(), SGD(momentum=0.9)):
        optimizer = make_optimizer(ParameterGroups({"w": parameter()}, {}), rule, L2(), RATE)
        assert isinstance(optimizer, TorchOptimizer)
        assert optimizer.inner.defaults["fused"] is True
    assert set(NATIVE) < set(RULES.values())


def test_a_rule_that_torch_lacks_is_driven_by_the_law() -> None:
    lacking = [rule for rule in RULES.values() if rule not in NATIVE]
    optimizer = make_optimizer(ParameterGroups({"w": parameter()}, {}), lacking[0](), L2(), RATE)
    assert not isinstance(optimizer, TorchOptimizer)
