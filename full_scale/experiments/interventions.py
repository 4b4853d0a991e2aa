"""What kills filters, causally: the same training with one thing changed, in half of the filters or in all.

β2 = 0.99, so that Adam's memory of 100 steps is short against the run. `short` has 2,000 steps on 10,000 photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from full_scale.data.cifar10 import Cifar10Jpeg
from full_scale.data.digits import Digits
from full_scale.experiments.protocols import MOMENTUM, PROTOCOLS
from full_scale.interventions import AbstractIntervention, All, ClampNorm, DecayOnly, Freeze, Gate, Random, Rescale
from full_scale.spec import TrainSpec
from mechanisms.experiments.specs import override
from mechanisms.regularizers import L2
from mechanisms.schedules import Constant
from mechanisms.update_rules import Adam

Specs = tuple[TrainSpec, ...]
ADAM = Adam(beta2=0.99)
ALTERNATE = All(layers=("conv2", "conv4", "conv6"))
"""Layers of BasicNet that share no weight: what one reads, no other one of them makes."""
FACTORS = {"scale": ("scale", "shift"), "outgoing": ("outgoing",), "incoming": ("incoming",)}
SMALL_PHOTOGRAPHS = Cifar10Jpeg(side=16, train_images=10_000, test_images=2_000)


@dataclass(frozen=True)
class Laws:
    """The base training of a preset, under coupled Adam, and the strengths and the rate of its other laws."""

    base: TrainSpec
    decoupled: float
    independent: float
    momentum: float
    momentum_rate: float = 0.1

    def all(self) -> Iterator[TrainSpec]:
        """Adam coupled, decoupled and independent, SGD with momentum coupled."""
        yield self.base
        for coupling, strength in (("decoupled", self.decoupled), ("independent", self.independent)):
            yield replace(self.base, regularizer=L2(strength=strength, coupling=coupling))
        yield self.sgd()

    def sgd(self) -> TrainSpec:
        """SGD with momentum under coupled L2."""
        return replace(self.base, rule=MOMENTUM, learning_rate=self.momentum_rate, regularizer=L2(strength=self.momentum))


def _laws(preset: str) -> Laws:
    base = replace(PROTOCOLS[preset].base, rule=ADAM, probes=0, measurements=6)
    if preset == "demo":
        return Laws(base, decoupled=1.0, independent=3e-3, momentum=5e-3)
    if preset == "short":
        return Laws(
            replace(base, data=SMALL_PHOTOGRAPHS, steps=2000, measurements=4), decoupled=0.3, independent=3e-3, momentum=5e-3
        )
    return Laws(base, decoupled=0.1, independent=PROTOCOLS[preset].independent, momentum=PROTOCOLS[preset].momentum[0])


def _with(spec: TrainSpec, *interventions: AbstractIntervention) -> TrainSpec:
    return replace(spec, interventions=interventions)


def rescale(preset: str = "demo") -> Specs:
    """Half of the filters, or all, made smaller or larger at the start in a network that computes the same function."""
    treatments = [
        *(Rescale(factor=factor, filters=Random()) for factor in (0.25, 0.5, 1.0, 2.0, 4.0)),
        *(Rescale(factor=factor) for factor in (0.25, 0.5, 2.0, 4.0)),
    ]
    return tuple(_with(spec, treatment) for spec in _laws(preset).all() for treatment in treatments)


def gate(preset: str = "demo") -> Specs:
    """The loss gradient of half of the filters let through in 10 or 30 % of the steps: plain, or with its mean restored."""
    laws = _laws(preset)
    treatments = [Gate(filters=Random(), probability=q, mean_restored=restored) for q in (0.1, 0.3) for restored in (False, True)]
    decoupled = replace(laws.base, regularizer=L2(strength=laws.decoupled, coupling="decoupled"))
    return tuple(_with(spec, treatment) for spec in (laws.base, decoupled, laws.sgd()) for treatment in treatments)


def factors(preset: str = "demo") -> Specs:
    """Which of scales, outgoing and incoming weights of every other layer are decayed, with incoming norms free or clamped."""
    combinations = (
        *(("scale",), ("outgoing",), ("incoming",)),
        *(("scale", "outgoing"), ("scale", "incoming"), ("outgoing", "incoming"), ("scale", "outgoing", "incoming")),
    )
    specs = []
    for names in combinations:
        decay = DecayOnly(parts=tuple(part for name in names for part in FACTORS[name]), filters=ALTERNATE)
        specs += [_with(_laws(preset).base, decay), _with(_laws(preset).base, decay, ClampNorm(filters=ALTERNATE))]
    return tuple(specs)


def balance(preset: str = "demo") -> Specs:
    """Scales squared against outgoing weights squared over training, at a constant rate: what loss and decay leave of either."""
    laws = _laws(preset)
    free = replace(laws.sgd(), regularizer=L2())
    return tuple(replace(spec, schedule=Constant(), measurements=20) for spec in (laws.sgd(), free, laws.base))


def barrier(preset: str = "demo") -> Specs:
    """Without the region where a ReLU is silent (shifts frozen, leaky ReLU); without sampling noise (full batch, on digits)."""
    base = _laws(preset).base
    no_region = (_with(base, Freeze(parts=("shift",), value=0.0)), override(base, "network.negative_slope", 0.1))
    full_batch = (replace(base, batch_size=Digits.train_size),) if isinstance(base.data, Digits) else ()
    return (base, *no_region, *full_batch)
