"""Named experiments of the toy layer: each public function returns the specs of one."""

from __future__ import annotations

import numpy as np

from mechanisms.regularizers import COUPLINGS, L2
from mechanisms.update_rules import (
    SGD,
    AbstractUpdateRule,
    AdaBelief,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AMSGrad,
    NAdam,
    RMSProp,
)
from toy.gradients import AbstractGradient, Dead, LowGradient, Product, Selective
from toy.spec import Axis, ToySpec

_RULES: tuple[tuple[AbstractUpdateRule, float], ...] = (
    (SGD(momentum=0.9), 0.1),
    (Adam(beta2=0.99), 1e-3),
    (AMSGrad(beta2=0.99), 1e-3),
    (Adamax(), 2e-3),
    (RMSProp(), 1e-3),
    (Adagrad(), 1e-2),
    (Adadelta(), 1.0),
    (NAdam(beta2=0.99), 1e-3),
    (AdaBelief(beta2=0.99), 1e-3),
)
"""Rules with the learning rates of Mehta et al. 2019 (full text of the 2019 Deep Phenomena paper); NAdam and AdaBelief as
Adam."""

_ADAM, _SGD = (Adam(beta2=0.99), 1e-3), (SGD(momentum=0.9), 0.1)
_RARE = tuple(float(p) for p in np.geomspace(1e-3, 1, 19).round(6))


def decay() -> tuple[ToySpec, ...]:
    """A scalar under small gradient noise: every rule, coupling and strength (the papers' scalar figure)."""
    axes = (Axis("regularizer.coupling", COUPLINGS), Axis("regularizer.strength", (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)))
    return tuple(ToySpec(rule=rule, learning_rate=rate, axes=axes) for rule, rate in _RULES)


def selectivity() -> tuple[ToySpec, ...]:
    """Where a feature settles against the fraction of exemplars that use it, alone and inside a product.

    Both models have the same λ/k = 0.01, so that the equilibrium of the first and the threshold of the second share one axis.
    """
    return tuple(
        ToySpec(
            gradient=gradient,
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=strength, coupling=coupling),
            initial_scale=0.7,
            steps=40_000,
            features=16,
            records=1,
            average_last=0.2,
            axes=(Axis("gradient.p", _RARE),),
        )
        for gradient, strength in ((Selective(curvature=1e-2), 1e-4), (Product(curvature=0.1), 1e-3))
        for (rule, rate), coupling in ((_SGD, "coupled"), *((_ADAM, coupling) for coupling in COUPLINGS))
    )


def product() -> tuple[ToySpec, ...]:
    """Scale × outgoing weight over time, for features above and below the threshold p = λ/(k·a) = 0.01."""
    return tuple(
        ToySpec(
            gradient=Product(curvature=0.1),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=1e-3, coupling=coupling),
            initial_scale=0.7,
            steps=40_000,
            features=16,
            axes=(Axis("gradient.p", (0.5, 0.1, 0.03, 0.015, 0.01, 0.006, 0.002)),),
        )
        for (rule, rate), coupling in ((_SGD, "coupled"), (_ADAM, "coupled"), (_ADAM, "independent"))
    )


def batch_size() -> tuple[ToySpec, ...]:
    """Batch size against selectivity at equal steps: smaller batches visit a rare feature less often than memory lasts."""
    axes = (Axis("gradient.batch_size", (5, 10, 20, 40, 80, 160, 320)), Axis("gradient.p", _RARE))
    return (_rare_feature(Selective(), Adam(beta2=0.99), axes),)


def memory() -> tuple[ToySpec, ...]:
    """The memory of the second moment (β2) against selectivity, with AMSGrad, which never forgets, as the control."""
    rare = Axis("gradient.p", _RARE)
    remembered = Axis("rule.beta2", (0.9, 0.97, 0.99, 0.997, 0.999))
    return (
        _rare_feature(Selective(batch_size=20), Adam(), (remembered, rare)),
        _rare_feature(Selective(batch_size=20), AMSGrad(), (remembered, rare)),
    )


def _rare_feature(gradient: AbstractGradient, rule: AbstractUpdateRule, axes: tuple[Axis, ...]) -> ToySpec:
    return ToySpec(gradient=gradient, rule=rule, axes=axes, steps=20_000, features=16, records=1, average_last=0.25)


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
        for rule, rate in (_ADAM, _SGD)
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
        for rule, rate in (_ADAM, (Adam(), 1e-3), _SGD)
    )
