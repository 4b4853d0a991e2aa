"""Features of several parameters: the product, its shift, a barrier, competition."""

from __future__ import annotations

import numpy as np

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from toy.experiments.settings import ADAM, SGD_MOMENTUM
from toy.features.conjectures import Barrier, Competition, ShiftedProduct
from toy.features.gradients import Product
from toy.spec import Axis, ToySpec


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
        for (rule, rate), coupling in ((SGD_MOMENTUM, "coupled"), (ADAM, "coupled"), (ADAM, "independent"))
    )


def factors() -> tuple[ToySpec, ...]:
    """Which factor of the product is decayed, for features below and above the threshold (P9b)."""
    return tuple(
        ToySpec(
            gradient=Product(),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=1e-3),
            decayed=decayed,
            initial_scale=0.7,
            steps=40_000,
            features=16,
            records=1,
            average_last=0.2,
            axes=(Axis("gradient.p", (0.03, 0.006, 0.002)),),
        )
        for rule, rate in (ADAM, SGD_MOMENTUM)
        for decayed in ("all", "scale", "outgoing")
    )


def shifted_product() -> tuple[ToySpec, ...]:
    """The product with the shift included: the same threshold, on the length of (v·scale, v·shift)."""
    return tuple(
        ToySpec(
            gradient=ShiftedProduct(),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=1e-3, coupling=coupling),
            initial_scale=0.6,
            steps=40_000,
            features=16,
            records=1,
            average_last=0.2,
            axes=(Axis("gradient.p", (0.1, 0.03, 0.015, 0.006, 0.002)),),
        )
        for (rule, rate), coupling in ((ADAM, "coupled"), (SGD_MOMENTUM, "coupled"), (ADAM, "independent"))
    )


def balance() -> tuple[ToySpec, ...]:
    """scale² − outgoing² under SGD without noise: conserved by the loss, shrunk by L2 (P9c)."""
    axes = (Axis("regularizer.strength", (1e-4, 1e-3, 1e-2)),)
    gradient = Product(p=1.0, noise=0.0, initial_outgoing=0.5)
    return (ToySpec(gradient=gradient, rule=SGD(), learning_rate=0.01, features=1, axes=axes),)


def death() -> tuple[ToySpec, ...]:
    """Which products are alive at the end, by selectivity and strength, coupled against independent (phase diagram)."""
    axes = (
        Axis("regularizer.coupling", ("coupled", "independent")),
        Axis("regularizer.strength", tuple(float(s) for s in np.geomspace(1e-4, 1e-2, 13).round(8))),
        Axis("gradient.p", tuple(float(p) for p in np.geomspace(1e-3, 0.3, 16).round(6))),
    )
    return (
        ToySpec(
            gradient=Product(), rule=ADAM[0], initial_scale=0.7, steps=20_000, features=8, records=1, average_last=0.2, axes=axes
        ),
    )


def gate() -> tuple[ToySpec, ...]:
    """A product whose gradient comes ten times more rarely: plain, and with its mean restored by a ten times larger curvature."""
    settings = ((0.05, 0.1), (0.005, 0.1), (0.005, 1.0))
    return tuple(
        ToySpec(
            gradient=Product(p=p, curvature=curvature),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=1e-3, coupling=coupling),
            initial_scale=0.7,
            steps=40_000,
            features=16,
            records=1,
            average_last=0.2,
        )
        for (rule, rate), coupling in ((ADAM, "coupled"), (SGD_MOMENTUM, "coupled"), (ADAM, "independent"))
        for p, curvature in settings
    )


def exponent() -> tuple[ToySpec, ...]:
    """Where products with different targets settle: the exponent of the penalty that a rule and coupling put on them.

    Run it with `rule=torch:PACKAGE.CLASS(…)` for an optimizer of your own.
    """
    targets = tuple(float(a) for a in np.linspace(0.3, 1.5, 9).round(6))
    return tuple(
        ToySpec(
            gradient=Product(noise=3.0),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=strength, coupling=coupling),
            initial_scale=0.7,
            steps=60_000,
            features=32,
            records=1,
            average_last=0.5,
            axes=(Axis("gradient.target", targets),),
        )
        for (rule, rate), coupling, strength in (
            (ADAM, "coupled", 1e-3),
            (SGD_MOMENTUM, "coupled", 1e-3),
            (ADAM, "independent", 1e-4),
            (SGD_MOMENTUM, "independent", 1e-3),
        )
    )


def barrier() -> tuple[ToySpec, ...]:
    """Scale and shift before an absorbing ReLU barrier, by learning rate and gradient noise (P8)."""
    axes = (Axis("learning_rate", (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)), Axis("gradient.noise", (1.0, 3.0, 10.0, 30.0, 100.0)))
    return tuple(
        ToySpec(
            gradient=Barrier(), rule=ADAM[0], regularizer=L2(strength=strength), steps=20_000, features=64, records=1, axes=axes
        )
        for strength in (1e-3, 0.0)
    )


def competition() -> tuple[ToySpec, ...]:
    """Two features that share a normalized sum, after one was made smaller or larger without changing the function (P10)."""
    axes = (Axis("gradient.rescale", (0.25, 0.5, 1.0, 2.0, 4.0)),)
    noisy = tuple(
        ToySpec(
            gradient=Competition(),
            rule=rule,
            learning_rate=rate,
            regularizer=L2(strength=1e-3, coupling=coupling),
            steps=20_000,
            features=32,
            average_last=0.2,
            axes=axes,
        )
        for (rule, rate), coupling in ((ADAM, "coupled"), (ADAM, "independent"), (SGD_MOMENTUM, "coupled"))
    )
    flow = ToySpec(
        gradient=Competition(noise=0.0), rule=SGD(), learning_rate=0.01, regularizer=L2(strength=1e-3), features=1, axes=axes
    )
    return *noisy, flow
