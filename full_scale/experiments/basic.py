"""BasicNet: what makes its filters die. The papers' claims, one experiment each."""

from __future__ import annotations

from dataclasses import replace

from full_scale.experiments.protocols import MOMENTUM, PROTOCOLS
from full_scale.training.spec import DECAYED, TrainSpec
from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.records.specs import override

Specs = tuple[TrainSpec, ...]


def digits() -> Specs:
    """Which combinations of rule and regularizer kill filters: BasicNet at width 1/4 on digits, 464 features, 1,200 steps.

    Adam under coupled L2 of 3e-3; Adam under independent decay of 3e-3 a step; SGD with momentum under coupled L2 of 5e-3; Adam
    without a regularizer. All fit the training set. Rates larger than usual make the effect show within seconds.
    """
    return optimizers("demo")


def optimizers(preset: str = "demo") -> Specs:
    """Adam under coupled L2 against independent decay, SGD and no regularizer: the four settings of the main claim."""
    return PROTOCOLS[preset].four()


def table1(preset: str = "demo") -> Specs:
    """Rule × coupling × strength, as in the first table of the papers.

    Adam under coupled L2 of three strengths, under independent and decoupled decay, and without a regularizer; SGD with
    momentum under coupled L2; the other adaptive rules under the middle strength. The demo has AMSGrad and Adamax of these.
    """
    protocol = PROTOCOLS[preset]
    adam, middle = protocol.base.rule, protocol.base.regularizer.strength
    others = [rule for rule in protocol.rates if rule not in (adam, MOMENTUM)]
    return (
        *(protocol.with_rule(adam, strength) for strength in protocol.strengths),
        protocol.with_rule(adam, protocol.independent, "independent"),
        protocol.with_rule(adam, middle, "decoupled"),
        protocol.with_rule(adam, 0.0),
        *(protocol.with_rule(MOMENTUM, strength) for strength in protocol.momentum),
        *(protocol.with_rule(rule, middle) for rule in (others[:2] if preset == "demo" else others)),
    )


def couplings(preset: str = "demo") -> Specs:
    """One strength in the three meanings of weight decay, under Adam."""
    base = PROTOCOLS[preset].base
    laws = [L2(strength=base.regularizer.strength, coupling=coupling) for coupling in COUPLINGS]
    return tuple(replace(base, regularizer=law) for law in laws)


def matched_coupling(preset: str = "demo") -> Specs:
    """Each meaning of weight decay at two to six strengths, under Adam and SGD with momentum, to compare at equal training loss.

    Two settings without decay stand beside them. Independent decay of λ is decoupled decay of λ/η: its strengths lie between
    those of decoupled decay.
    """
    protocol = PROTOCOLS[preset]
    rules = {"adam": protocol.base.rule, "sgd": MOMENTUM}
    curves = (
        protocol.with_rule(rules[rule], strength, coupling)
        for (rule, coupling), strengths in protocol.ladders.items()
        for strength in strengths
    )
    return (*curves, *(protocol.with_rule(rule, 0.0) for rule in rules.values()))


def horizon(preset: str = "demo") -> Specs:
    """Coupled against independent decay in three times as many steps, long enough for the second to show."""
    protocol = PROTOCOLS[preset]
    both = (protocol.base, protocol.with_rule(protocol.base.rule, protocol.independent, "independent"))
    return tuple(replace(spec, steps=3 * spec.steps) for spec in both)


def strength(preset: str = "demo") -> Specs:
    """How many filters coupled L2 under Adam kills, against its strength."""
    protocol = PROTOCOLS[preset]
    return tuple(protocol.with_rule(protocol.base.rule, strength) for strength in protocol.strengths)


def batch_size(preset: str = "demo") -> Specs:
    """Batches of 20 to 160 images (80 in the preset `short`), at equal steps and at equal epochs.

    At equal steps every run makes as many updates: the fair comparison. At equal epochs larger batches make fewer updates, so
    that is no evidence for the batch size itself.
    """
    base, sizes = PROTOCOLS[preset].base, PROTOCOLS[preset].batch_sizes
    steps = [replace(base, batch_size=size) for size in sizes]
    epochs = [replace(base, batch_size=size, steps=base.steps * base.batch_size // size) for size in sizes]
    return (*steps, *epochs)


def width(preset: str = "demo") -> Specs:
    """Width of the network: a quarter of the protocol's, a half, and all of it."""
    base = PROTOCOLS[preset].base
    return tuple(override(base, "network.width", PROTOCOLS[preset].width * part) for part in (0.25, 0.5, 1.0))


def decayed_parameters(preset: str = "demo") -> Specs:
    """Which parameters are decayed: all, all but BatchNorm, only BatchNorm, only convolution weights."""
    return tuple(replace(PROTOCOLS[preset].base, decayed=decayed) for decayed in DECAYED)


def beta2(preset: str = "demo") -> Specs:
    """The memory of Adam's second moment: β2 of 0.9, 0.99 and 0.999."""
    base = PROTOCOLS[preset].base
    return tuple(override(base, "rule.beta2", value) for value in (0.9, 0.99, 0.999))


def leaky(preset: str = "demo") -> Specs:
    """ReLU against leaky ReLU with slopes 0.01 and 0.1 (by scale: a leaky feature is never silent)."""
    base = PROTOCOLS[preset].base
    return tuple(override(base, "network.negative_slope", slope) for slope in (0.0, 0.01, 0.1))


def difficulty(preset: str = "demo") -> Specs:
    """A harder task (20 % wrong training labels) at the protocol's rate, and at a smaller one with more steps.

    Three tenths of the rate, three times the steps, and five thirds of the strength, so that the effect shows there too.
    """
    base = PROTOCOLS[preset].base
    regularizer = L2(strength=base.regularizer.strength * 5 / 3)
    gentle = replace(base, learning_rate=0.3 * base.learning_rate, regularizer=regularizer, steps=3 * base.steps)
    return tuple(override(spec, "data.label_noise", noise) for spec in (base, gentle) for noise in (0.0, 0.2))
