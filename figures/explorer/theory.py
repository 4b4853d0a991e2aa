"""What the closed forms say of the state of the explorer: lines over time, and where the state lies among its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from figures.explorer.state import RANGES, State
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam, NAdam
from mechanisms.theory import conditions
from mechanisms.theory.conditions import Validity
from mechanisms.theory.feature import (
    critical_activity,
    critical_selectivity,
    dead_time,
    decay_rate,
    decay_time,
    fluctuation_floor,
    selective_equilibrium,
    sgd_relaxation,
    stability_bound,
)
from toy.features.gradients import Dead, Product, Selective
from toy.spec import ToySpec

Points = tuple[np.ndarray, np.ndarray]
CELLS = 28
"""Cells of a phase diagram along each axis."""


@dataclass(frozen=True)
class Plane:
    """A phase diagram: the point where the state lies, lines, and maybe what is left of a feature over the plane."""

    x_label: str
    y_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    point: tuple[float, float]
    lines: dict[str, Points] = field(default_factory=dict)
    left: np.ndarray | None = None


def curves(spec: ToySpec) -> dict[str, Points]:
    """Label → (steps, values) of what the theory says of |w|, or of the product, over time; empty where it says nothing."""
    steps = np.geomspace(1, spec.steps, 200)
    if isinstance(spec.gradient, Selective | Product):
        return _selective(spec, steps)
    return _silent(spec, steps) if isinstance(spec.gradient, Dead) else _noisy(spec, steps)


def _fields(spec: ToySpec) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in vars(spec.gradient).items()
        if name in ("batch_size", "curvature", "noise", "target")
    }


def _settles(spec: ToySpec, p: float, strength: float) -> float:
    regularizer = L2(strength=strength, coupling=spec.regularizer.coupling)
    factors = len(type(spec.gradient).parameters)
    return selective_equilibrium(spec.rule, regularizer, learning_rate=spec.learning_rate, p=p, factors=factors, **_fields(spec))


def _selective(spec: ToySpec, steps: np.ndarray) -> dict[str, Points]:
    p = float(vars(spec.gradient)["p"])
    strength, end = spec.regularizer.strength, _settles(spec, p, spec.regularizer.strength)
    found = {f"settles at {end:.3g}": (steps, np.full_like(steps, end))}
    if isinstance(spec.rule, SGD) and spec.regularizer.coupling == "coupled" and isinstance(spec.gradient, Selective):
        law = {"learning_rate": spec.learning_rate, "momentum": spec.rule.momentum, "curvature": spec.gradient.curvature}
        found["relaxation"] = (steps, np.asarray(sgd_relaxation(spec.initial_scale, steps, strength, p=p, **law)))
    return found


def _fades(spec: ToySpec, steps: np.ndarray, since: float) -> dict[str, Points]:
    """Exponential decay, where the denominator does not matter."""
    rate = float(decay_rate(spec.rule, spec.regularizer, learning_rate=spec.learning_rate))
    return {f"decay at {rate:.2g} a step": (steps, np.exp(-rate * np.maximum(0.0, steps - since)))}


def _denominator_matters(spec: ToySpec) -> bool:
    return spec.rule.normalizing and spec.regularizer.coupling == "coupled"


def _noisy(spec: ToySpec, steps: np.ndarray) -> dict[str, Points]:
    sigma = float(vars(spec.gradient)["sigma"])
    found = {} if _denominator_matters(spec) else _fades(spec, steps, 0.0)
    if _denominator_matters(spec) and not isinstance(spec.rule, Adam | NAdam):
        return found
    floor = float(fluctuation_floor(spec.rule, spec.regularizer, learning_rate=spec.learning_rate, sigma=sigma))
    if _denominator_matters(spec) and floor < 1:
        values = np.geomspace(max(floor, 1e-6), 1.0, 100)
        law = {"learning_rate": spec.learning_rate, "strength": spec.regularizer.strength, "sigma": sigma}
        found["quasi-static decay"] = (np.asarray(decay_time(1.0, values, **law)), values)
    return found | {f"floor of the noise, {floor:.2g}": (steps, np.full_like(steps, floor))}


def _silent(spec: ToySpec, steps: np.ndarray) -> dict[str, Points]:
    gradient = spec.gradient
    assert isinstance(gradient, Dead)
    if not _denominator_matters(spec):
        return _fades(spec, steps, gradient.alive_steps)
    if not isinstance(spec.rule, Adam):
        return {}
    law = {"learning_rate": spec.learning_rate, "strength": spec.regularizer.strength, "beta2": spec.rule.beta2}
    when = gradient.alive_steps + dead_time(1.0, past=gradient.sigma, **law)
    return {f"predicted death, step {when:.0f}": (np.array([when, when]), np.array([1e-12, 10.0]))}


def outside(spec: ToySpec) -> Validity:
    """What is outside the conditions of the closed forms that `curves` draws."""
    law = {"learning_rate": spec.learning_rate}
    rule = spec.rule
    regularizer = spec.regularizer
    gradient = spec.gradient
    if isinstance(gradient, Selective | Product):
        factors, p = len(type(gradient).parameters), float(vars(gradient)["p"])
        return conditions.selective_equilibrium(rule, regularizer, p=p, factors=factors, **law, **_fields(spec))
    if not _denominator_matters(spec):
        return conditions.decay_rate(rule, regularizer, **law)
    if not isinstance(rule, Adam):
        return Validity()
    adam = {"strength": regularizer.strength, "beta2": rule.beta2, **law}
    if isinstance(gradient, Dead):
        return conditions.dead_time(1.0, past=gradient.sigma, beta1=rule.beta1, epsilon=rule.epsilon, **adam)
    return conditions.decay_time(1.0, 0.1, sigma=float(vars(gradient)["sigma"]), **adam)


def plane(state: State) -> Plane:
    """The phase diagram that the state lies in: strength against selectivity, noise, or ε."""
    strengths = np.geomspace(*RANGES["strength"], CELLS)
    if state.model in ("selective", "product"):
        return _by_activity(state, strengths)
    if state.model == "dead":
        return _by_epsilon(state)
    noises = np.geomspace(*RANGES["noise"], CELLS)
    lines = {"D = η": (np.full(CELLS, state.learning_rate), strengths), "σ = λ": (noises, noises)}
    point = (state.noise, state.strength)
    return Plane("gradient noise σ", "strength λ", RANGES["noise"], RANGES["strength"], point, lines)


def _by_activity(state: State, strengths: np.ndarray) -> Plane:
    spec, activities = state.spec(), np.geomspace(1e-4, 1.0, CELLS)
    left = np.array([[_settles(spec, p, strength) for p in activities] for strength in strengths])
    lines: dict[str, Points] = {}
    if isinstance(spec.gradient, Product) and state.coupling == "coupled":
        threshold = np.asarray(critical_activity(strengths, curvature=spec.gradient.curvature, target=spec.gradient.target))
        lines["p = λ/(ka), death below"] = (threshold, strengths)
    if forgets(state):
        edge = float(critical_selectivity(batch_size=state.batch_size, beta2=state.beta2))
        lines["one visit per memory"] = (np.full(CELLS, edge), strengths)
    return Plane("p = 1 − selectivity", "strength λ", (1e-4, 1.0), RANGES["strength"], (state.p, state.strength), lines, left)


def _by_epsilon(state: State) -> Plane:
    epsilons, lines = np.geomspace(*RANGES["epsilon"], CELLS), {}
    if state.coupling == "coupled" and state.rule == "adam":
        rule = state.spec().rule
        assert isinstance(rule, Adam)
        lines["ηλ/ε = 38: regrowth above"] = (epsilons, stability_bound(rule.beta1) * epsilons / state.learning_rate)
    return Plane("ε", "strength λ", RANGES["epsilon"], RANGES["strength"], (state.epsilon, state.strength), lines)


def forgets(state: State) -> bool:
    """Whether the rule's memory of gradients fades at rate 1 − β2."""
    return state.matters("beta2") and state.rule != "amsgrad"


def remarks(state: State) -> list[str]:
    """Sentences about where the closed forms hold, for this state."""
    told = []
    if not curves(state.spec()):
        told.append("No closed form is known for this rule here: only the simulation is shown.")
    elif (found := outside(state.spec())).reasons:
        told.append(f"Outside the conditions of the closed form: {found}.")
    if state.model == "low_gradient" and state.coupling == "coupled":
        told.append("The theory leaves out the first 100 steps, whose gradients are louder, and the memory of them.")
    if state.model == "dead" and state.coupling == "coupled":
        told.append(f"ηλ/ε = {state.learning_rate * state.strength / state.epsilon:.3g}; Adam's stability bound is 38.")
    return told
