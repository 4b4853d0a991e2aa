"""What the presets of the experiments have in common: data, network, budget and rates, apart from what an experiment varies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from full_scale.data.cifar10 import Cifar10, Cifar10Jpeg
from full_scale.models.basic_net import BasicNet
from full_scale.training.augmentation import Flip
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.schedules import Stepwise
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adadelta, Adagrad, Adam, Adamax, AMSGrad, RMSProp

MOMENTUM = SGD(momentum=0.9)
DROP_AFTER_250_OF_325_EPOCHS = Stepwise(milestones=(250 / 325,))


@dataclass(frozen=True)
class Protocol:
    """One preset: coupled Adam in it, and the base rates of the other rules and strengths at which effects show."""

    base: TrainSpec
    rates: dict[AbstractUpdateRule, float]
    strengths: tuple[float, ...]
    """Of coupled Adam; the middle one is that of `base`."""
    independent: float
    momentum: tuple[float, ...]
    """Of SGD under coupled L2."""
    ladders: dict[tuple[str, str], tuple[float, ...]]
    """(rule, coupling) → the strengths of its curve in a comparison at matched loss."""
    width: float = 0.25
    batch_sizes: tuple[int, ...] = (20, 40, 80, 160)

    def with_rule(self, rule: AbstractUpdateRule, strength: float, coupling: str = "coupled") -> TrainSpec:
        """The base with another rule, at its own rate, and another L2."""
        return replace(self.base, rule=rule, learning_rate=self.rates[rule], regularizer=L2(strength=strength, coupling=coupling))

    def four(self) -> tuple[TrainSpec, ...]:
        """Adam under coupled L2, under independent decay, SGD with momentum under coupled L2, Adam without a regularizer."""
        return (
            self.base,
            self.with_rule(self.base.rule, self.independent, "independent"),
            self.with_rule(MOMENTUM, self.momentum[0]),
            self.with_rule(self.base.rule, 0.0),
        )


DEMO = Protocol(
    TrainSpec(network=BasicNet(), rule=Adam(), regularizer=L2(strength=3e-3), learning_rate=1e-2),
    {MOMENTUM: 0.1, Adam(): 1e-2, AMSGrad(): 1e-2, Adamax(): 2e-2, RMSProp(): 1e-2, Adagrad(): 3e-2, Adadelta(): 1.0},
    strengths=(1e-3, 3e-3, 1e-2),
    independent=3e-3,
    momentum=(5e-3,),
    ladders={
        ("adam", "coupled"): (3e-4, 1e-3, 2e-3, 3e-3, 6e-3, 1e-2),
        ("adam", "decoupled"): (0.1, 0.3, 0.6, 1.0, 1.5, 3.0),
        ("adam", "independent"): (5e-4, 2e-3, 4.5e-3, 8e-3, 1.2e-2, 2e-2),
        ("sgd", "coupled"): (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 4e-2),
        ("sgd", "decoupled"): (1e-2, 3e-2, 5e-2, 0.1, 0.2, 0.4),
    },
)
"""Digits, width 1/4, 1,200 steps: rates larger than usual make the effect show within seconds."""

SHORT = Protocol(
    TrainSpec(
        data=Cifar10Jpeg(side=16, train_images=20_000, test_images=5_000),
        network=BasicNet(width=0.25, pools_after=(1, 3, 5)),
        rule=Adam(),
        regularizer=L2(strength=1e-3),
        learning_rate=5e-3,
        augmentation=Flip(),
        steps=6000,
        measurements=10,
        probes=20,
    ),
    {MOMENTUM: 0.1, Adam(): 5e-3, AMSGrad(): 5e-3, Adamax(): 1e-2, RMSProp(): 5e-3, Adagrad(): 2e-2, Adadelta(): 1.0},
    strengths=(3e-4, 1e-3, 3e-3),
    independent=1e-3,
    momentum=(2e-3, 5e-3),
    ladders={
        ("adam", "coupled"): (2e-4, 5e-4, 1e-3, 2e-3, 4e-3),
        ("adam", "decoupled"): (0.1, 0.3, 0.6, 1.0, 2.0),
        ("adam", "independent"): (3e-4, 1e-3, 2.3e-3),
        ("sgd", "coupled"): (1e-3, 2e-3, 5e-3),
        ("sgd", "decoupled"): (5e-2, 0.1),
    },
    batch_sizes=(20, 40, 80),
)
"""20,000 photographs at 16 × 16 pixels, width 1/4, 12 epochs."""

PAPER = Protocol(
    TrainSpec(
        data=Cifar10(),
        network=BasicNet(width=1.0, first_kernel=5, initialization="xavier"),
        rule=Adam(beta2=0.99),
        regularizer=L2(strength=1e-4),
        learning_rate=1e-3,
        schedule=DROP_AFTER_250_OF_325_EPOCHS,
        augmentation=Flip(),
        steps=325 * 1250,
        measurements=10,
        probes=325,
    ),
    {
        MOMENTUM: 0.1,
        Adam(beta2=0.99): 1e-3,
        AMSGrad(): 1e-3,
        Adamax(): 2e-3,
        RMSProp(): 1e-3,
        Adagrad(): 1e-2,
        Adadelta(beta2=0.9, epsilon=1e-6): 1.0,
    },
    strengths=(1e-5, 1e-4, 1e-3),
    independent=1e-4,
    momentum=(5e-4, 1e-3),
    ladders={
        ("adam", "coupled"): (3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
        ("adam", "decoupled"): (0.03, 0.1, 0.3, 1.0, 3.0),
        ("adam", "independent"): (3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
        ("sgd", "coupled"): (1e-4, 5e-4, 1e-3, 2e-3, 5e-3),
        ("sgd", "decoupled"): (1e-3, 5e-3, 1e-2, 2e-2, 5e-2),
    },
    width=1.0,
)
"""CIFAR-10 for 325 epochs, batch 40, rate divided by ten after 250.

Source: Mehta, Kim and Theobalt, Deep Phenomena 2019 (rates, batch and epochs); widths, kernels, pools and initialization are
recollections and this package's choices, see `BasicNet`.
"""

PROTOCOLS = {"demo": DEMO, "short": SHORT, "paper": PAPER}
