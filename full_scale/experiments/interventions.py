"""What kills filters, causally: the same training with one thing changed, in half of the filters or in all.

β2 = 0.99, so that Adam's memory of 100 steps is short against the run. `short` has 1,000 steps on 5,000 photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from full_scale.data.cifar10 import Cifar10Jpeg
from full_scale.data.digits import Digits
from full_scale.experiments.protocols import MOMENTUM, PROTOCOLS
from full_scale.training.spec import TrainSpec
from mechanisms.interventions import (
    AbstractIntervention,
    AbstractSelection,
    All,
    ClampNorm,
    DecayOnly,
    Freeze,
    Gate,
    Random,
    Rescale,
)
from mechanisms.law.regularizers import L2
from mechanisms.law.schedules import Constant
from mechanisms.law.update_rules import Adam
from mechanisms.records.specs import override

Specs = tuple[TrainSpec, ...]
ADAM = Adam(beta2=0.99)
ALTERNATE = All(layers=("conv2", "conv4", "conv6"))
"""Layers of BasicNet that share no weight: what one reads, no other one of them makes."""
FACTORS = {"scale": ("scale", "shift"), "outgoing": ("outgoing",), "incoming": ("incoming",)}
SMALL_PHOTOGRAPHS = Cifar10Jpeg(side=16, train_images=5_000, test_images=1_000)


@dataclass(frozen=True)
class Laws:
    """Of a preset: the base training, under coupled Adam, and the strengths and the rate of its other laws."""

    base: TrainSpec
    decoupled: float
    independent: float
    momentum: float
    momentum_rate: float = 0.1
    factors: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0)
    """Of `rescale`, under the other laws."""
    of_others: tuple[type[AbstractSelection], ...] = (Random, All)
    """Which filters `rescale` treats under the other laws."""

    def adam(self, coupling: str, strength: float) -> TrainSpec:
        """Adam under another coupling."""
        return replace(self.base, regularizer=L2(strength=strength, coupling=coupling))

    def sgd(self) -> TrainSpec:
        """SGD with momentum under coupled L2."""
        return replace(self.base, rule=MOMENTUM, learning_rate=self.momentum_rate, regularizer=L2(strength=self.momentum))

    def others(self) -> tuple[TrainSpec, ...]:
        """Adam decoupled and independent, SGD with momentum coupled."""
        return self.adam("decoupled", self.decoupled), self.adam("independent", self.independent), self.sgd()


def _laws(preset: str) -> Laws:
    protocol = PROTOCOLS[preset]
    base = replace(protocol.base, rule=ADAM, probes=0, measurements=6)
    if preset == "demo":
        return Laws(base, decoupled=1.0, independent=3e-3, momentum=5e-3)
    if preset == "short":
        small = replace(base, data=SMALL_PHOTOGRAPHS, steps=1000, measurements=2, learning_rate=7e-3)
        return Laws(small, decoupled=0.5, independent=3e-3, momentum=5e-3, factors=(0.5, 2.0), of_others=(Random,))
    return Laws(base, decoupled=0.1, independent=protocol.independent, momentum=protocol.momentum[0])


def _with(spec: TrainSpec, *interventions: AbstractIntervention) -> TrainSpec:
    return replace(spec, interventions=interventions)


def _rescaled(spec: TrainSpec, factors: tuple[float, ...], kinds: tuple[type[AbstractSelection], ...] = (Random, All)) -> Specs:
    treatments = [Rescale(factor=factor, filters=kind()) for kind in kinds for factor in factors]
    return tuple(_with(spec, treatment) for treatment in (Rescale(factor=1.0, filters=Random()), *treatments))


def rescale(preset: str = "demo") -> Specs:
    """Half of the filters, or all, made smaller or larger at the start in a network that computes the same function.

    `short` has fewer factors for laws other than coupled Adam, and only halves.
    """
    laws = _laws(preset)
    others = [_rescaled(spec, laws.factors, laws.of_others) for spec in laws.others()]
    return (*_rescaled(laws.base, Laws.factors), *(spec for specs in others for spec in specs))


def gate(preset: str = "demo") -> Specs:
    """The loss gradient of half of the filters let through in 10 or 30 % of the steps: plain, or with its mean restored.

    `short` has the 30 % under coupled Adam alone.
    """
    laws = _laws(preset)
    rare, less_rare = (
        [Gate(filters=Random(), probability=q, mean_restored=restored) for restored in (False, True)] for q in (0.1, 0.3)
    )
    decoupled, _, sgd = laws.others()
    everywhere = [_with(spec, treatment) for spec in (laws.base, decoupled, sgd) for treatment in rare]
    some = (laws.base,) if preset == "short" else (laws.base, decoupled, sgd)
    return (*everywhere, *(_with(spec, treatment) for spec in some for treatment in less_rare))


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
    """Without the region where a ReLU is silent: shifts frozen at 0, or leaky ReLU."""
    base = _laws(preset).base
    frozen = _with(base, Freeze(parts=("shift",), value=0.0))
    return base, frozen, override(base, "network.negative_slope", 0.1)


def full_batch(preset: str = "demo") -> Specs:
    """Without sampling noise: each step on all training images, beside batches of the usual size."""
    base = _laws(preset).base
    return base, replace(base, batch_size=base.data.train_size or base.batch_size)


def responses(preset: str = "demo") -> Specs:
    """What the toy's layer was asked first, by `layer_responses`: one change at a time, under L2 and under AdamW.

    Labels are noisier and filters fewer under L2 alone, and labels on digits alone.
    """
    laws = _laws(preset)
    norms = [ClampNorm(floor=floor, ceiling=None) for floor in (0.03, 0.3)]
    norms += [ClampNorm(floor=level, ceiling=level) for level in (0.5, 1.0, 2.0)]
    specs: list[TrainSpec] = []
    for base in (laws.base, laws.adam("decoupled", laws.decoupled)):
        specs += [base, *(_with(base, norm) for norm in norms)]
        specs += [override(base, "network.norm_epsilon", epsilon) for epsilon in (1e-7, 1e-3, 1e-2)]
        specs += [replace(base, learning_rate=base.learning_rate * times) for times in (1 / 3, 3.0)]
        specs += [override(base, "rule.beta1", beta1) for beta1 in (0.0, 0.99)]
    specs.append(override(laws.base, "network.width", laws.base.network.width / 2))  # type: ignore[attr-defined]
    if isinstance(laws.base.data, Digits):
        specs.append(override(laws.base, "data.label_noise", 0.2))
    return tuple(specs)
