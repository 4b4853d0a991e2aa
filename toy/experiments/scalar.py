"""A scalar without any structure: decay under noise, the floor of its fluctuations, silence."""

from __future__ import annotations

import numpy as np

from mechanisms.law.regularizers import COUPLINGS, L1, L2
from mechanisms.law.update_rules import Adam
from toy.experiments.settings import ADAM, RULES, SGD_MOMENTUM
from toy.features.gradients import Dead, LowGradient
from toy.spec import Axis, ToySpec


def decay() -> tuple[ToySpec, ...]:
    """A scalar under small gradient noise: every rule, coupling and strength (the papers' scalar figure)."""
    axes = (Axis("regularizer.coupling", COUPLINGS), Axis("regularizer.strength", (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)))
    return tuple(ToySpec(rule=rule, learning_rate=rate, axes=axes) for rule, rate in RULES)


def single() -> tuple[ToySpec, ...]:
    """One feature under one law, with every default: set what you like (`python -m figures explore` writes such commands)."""
    return (ToySpec(),)


def floor() -> tuple[ToySpec, ...]:
    """How close to zero noise lets a scale come: the stationary fluctuation under each coupling."""
    axes = (
        Axis("regularizer.coupling", COUPLINGS),
        Axis("regularizer.strength", (1e-4, 1e-3)),
        Axis("gradient.sigma", (1e-5, 1e-4, 1e-3)),
    )
    return tuple(
        ToySpec(
            gradient=LowGradient(initial_steps=0),
            rule=rule,
            learning_rate=rate,
            initial_scale=0.0,
            steps=60_000,
            features=16,
            records=1,
            average_last=0.5,
            axes=axes,
        )
        for rule, rate in (ADAM, SGD_MOMENTUM)
    )


def dead() -> tuple[ToySpec, ...]:
    """A feature that fell silent: how fast each rule and coupling takes it to zero, with and without a loud past."""
    axes = (
        Axis("regularizer.coupling", COUPLINGS),
        Axis("gradient.alive_steps", (0, 3000)),
        Axis("regularizer.strength", (1e-4, 1e-3)),
    )
    return tuple(
        ToySpec(gradient=Dead(), rule=rule, learning_rate=rate, steps=20_000, axes=axes)
        for rule, rate in (ADAM, (Adam(), 1e-3), SGD_MOMENTUM)
    )


def orphan() -> tuple[ToySpec, ...]:
    """A feature that nothing reads any more, so that only L2 or L1 acts on it: SGD, Adam and AdamW's coupling, from the start."""
    axes = (Axis("regularizer.coupling", COUPLINGS), Axis("regularizer.strength", (1e-4, 1e-3)))
    return tuple(
        ToySpec(gradient=Dead(), rule=rule, learning_rate=rate, regularizer=law, steps=3_000, features=1, axes=axes)
        for rule, rate in (SGD_MOMENTUM, ADAM)
        for law in (L2(strength=1e-4), L1(strength=1e-4))
    )


def stability() -> tuple[ToySpec, ...]:
    """A silent feature around the stability bound ηλ/ε = 38 of coupled Adam: decay to nothing below it, regrowth above (P7)."""
    epsilons = tuple(float(1e-7 / ratio) for ratio in (1, 3, 10, 20, 30, 34, 42, 50, 100, 300))
    axes = (Axis("rule.epsilon", epsilons),)
    return (ToySpec(gradient=Dead(), rule=ADAM[0], features=1, steps=30_000, axes=axes),)


def passage() -> tuple[ToySpec, ...]:
    """How many steps coupled Adam takes from 1 to a tenth under noise, for crossovers σ/λ from 0.01 to 3."""
    axes = (Axis("regularizer.strength", (1e-4, 1e-3)), Axis("gradient.sigma", (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)))
    return (ToySpec(gradient=LowGradient(initial_steps=0), rule=ADAM[0], steps=20_000, features=64, records=400, axes=axes),)


def strength_and_noise() -> tuple[ToySpec, ...]:
    """What is left of a scalar after 3,000 steps, by strength and gradient noise, coupled against independent (phase diagram)."""
    axes = (
        Axis("regularizer.coupling", ("coupled", "independent")),
        Axis("regularizer.strength", tuple(float(s) for s in np.geomspace(1e-5, 1e-2, 16).round(8))),
        Axis("gradient.sigma", tuple(float(s) for s in np.geomspace(1e-6, 1e-1, 21).round(9))),
    )
    gradient = LowGradient(initial_steps=0)
    return (ToySpec(gradient=gradient, rule=ADAM[0], steps=3_000, features=16, records=1, axes=axes),)
