"""A feature that some exemplars use: equilibrium, arrival, batch size and memory."""

from __future__ import annotations

import numpy as np

from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam, AMSGrad
from toy.experiments.settings import ADAM, RARE, SGD_MOMENTUM
from toy.features.gradients import AbstractGradient, Product, Selective
from toy.spec import Axis, ToySpec


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
            axes=(Axis("gradient.p", RARE),),
        )
        for gradient, strength in ((Selective(curvature=1e-2), 1e-4), (Product(curvature=0.1), 1e-3))
        for (rule, rate), coupling in ((SGD_MOMENTUM, "coupled"), *((ADAM, coupling) for coupling in COUPLINGS))
    )


def arrival() -> tuple[ToySpec, ...]:
    """How fast a feature reaches the equilibrium that SGD and Adam share under coupled L2 (P1)."""
    return tuple(
        ToySpec(
            gradient=Selective(p=0.1),
            rule=rule,
            learning_rate=rate,
            initial_scale=0.8,
            steps=8_000,
            features=256,
        )
        for rule, rate in ((Adam(beta2=0.99), 1e-4), (SGD(momentum=0.9), 0.1))
    )


def crossing() -> tuple[ToySpec, ...]:
    """Coupled against independent decay around the selectivity at which the denominator is the learning rate (P2)."""
    activities = tuple(float(p) for p in np.geomspace(0.1, 1.0, 13).round(6))
    axes = (Axis("regularizer.coupling", ("coupled", "independent")), Axis("gradient.p", activities))
    strong = L2(strength=1e-3)
    return (
        ToySpec(
            gradient=Selective(),
            rule=ADAM[0],
            regularizer=strong,
            steps=20_000,
            features=64,
            records=1,
            average_last=0.5,
            axes=axes,
        ),
    )


def batch_size() -> tuple[ToySpec, ...]:
    """Batch size against selectivity at equal steps: smaller batches visit a rare feature less often than memory lasts."""
    axes = (Axis("gradient.batch_size", (5, 10, 20, 40, 80, 160, 320)), Axis("gradient.p", RARE))
    return (_rare_feature(Selective(), Adam(beta2=0.99), axes),)


def memory() -> tuple[ToySpec, ...]:
    """The memory of the second moment (β2) against selectivity, with AMSGrad, which never forgets, as the control."""
    rare = Axis("gradient.p", RARE)
    remembered = Axis("rule.beta2", (0.9, 0.97, 0.99, 0.997, 0.999))
    return (
        _rare_feature(Selective(batch_size=20), Adam(), (remembered, rare)),
        _rare_feature(Selective(batch_size=20), AMSGrad(), (remembered, rare)),
    )


def edge() -> tuple[ToySpec, ...]:
    """Where rare features fall off the closed form, by β2 and batch size: the critical selectivity (P6)."""
    axes = (
        Axis("rule.beta2", (0.9, 0.97, 0.99)),
        Axis("gradient.batch_size", (5, 20, 80)),
        Axis("gradient.p", tuple(float(p) for p in np.geomspace(3e-5, 0.1, 22).round(8))),
    )
    gradient, regularizer = Selective(curvature=0.1), L2(strength=1e-4)
    return (
        ToySpec(
            gradient=gradient,
            rule=Adam(),
            regularizer=regularizer,
            steps=40_000,
            features=16,
            records=1,
            average_last=0.5,
            axes=axes,
        ),
    )


def _rare_feature(gradient: AbstractGradient, rule: AbstractUpdateRule, axes: tuple[Axis, ...]) -> ToySpec:
    return ToySpec(gradient=gradient, rule=rule, axes=axes, steps=20_000, features=16, records=1, average_last=0.25)
