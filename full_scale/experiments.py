"""The experiments of this layer: every public function here is one; its first docstring line is its summary."""

from __future__ import annotations

from dataclasses import replace

from full_scale.data.digits import Digits
from full_scale.models.basic_net import BasicNet
from full_scale.spec import DECAYED, TrainSpec
from mechanisms.regularizers import COUPLINGS, L2
from mechanisms.update_rules import SGD, Adam

_COUPLED = TrainSpec(rule=Adam(), regularizer=L2(strength=3e-3), learning_rate=1e-2)


def digits() -> tuple[TrainSpec, ...]:
    """Which combinations of rule and regularizer kill filters: BasicNet at width 1/4 on digits, 464 features, 1,200 steps.

    Adam under coupled L2 of 3e-3; Adam under independent decay of 3e-3 a step; SGD with momentum under coupled L2 of 5e-3; Adam
    without a regularizer. All fit the training set. Rates larger than usual make the effect show within seconds.
    """
    return (
        _COUPLED,
        replace(_COUPLED, regularizer=L2(strength=3e-3, coupling="independent")),
        TrainSpec(rule=SGD(momentum=0.9), regularizer=L2(strength=5e-3), learning_rate=0.1),
        replace(_COUPLED, regularizer=L2(strength=0.0)),
    )


def digits_couplings() -> tuple[TrainSpec, ...]:
    """One strength in the three meanings of weight decay, under Adam."""
    return tuple(replace(_COUPLED, regularizer=L2(strength=3e-3, coupling=coupling)) for coupling in COUPLINGS)


def digits_long() -> tuple[TrainSpec, ...]:
    """Coupled against independent decay in 3,600 steps, long enough for the second to show."""
    return tuple(replace(spec, steps=3600) for spec in digits()[:2])


def digits_strength() -> tuple[TrainSpec, ...]:
    """How many filters coupled L2 under Adam kills, against its strength."""
    return tuple(replace(_COUPLED, regularizer=L2(strength=strength)) for strength in (1e-3, 3e-3, 1e-2))


def digits_batch_steps() -> tuple[TrainSpec, ...]:
    """Batch size at equal steps: the fair comparison, every run makes 1,200 updates."""
    return tuple(replace(_COUPLED, batch_size=size) for size in (20, 40, 80, 160))


def digits_batch_epochs() -> tuple[TrainSpec, ...]:
    """Batch size at equal epochs: larger batches make fewer updates, so this is no evidence for the batch size itself."""
    return tuple(replace(_COUPLED, batch_size=size, steps=48_000 // size) for size in (20, 40, 80, 160))


def digits_width() -> tuple[TrainSpec, ...]:
    """Width of the network: 1/16, 1/8 and 1/4."""
    return tuple(replace(_COUPLED, network=BasicNet(width=width)) for width in (0.0625, 0.125, 0.25))


def digits_decayed() -> tuple[TrainSpec, ...]:
    """Which parameters are decayed: all, all but BatchNorm, only BatchNorm, only convolution weights."""
    return tuple(replace(_COUPLED, decayed=decayed) for decayed in DECAYED)


def digits_memory() -> tuple[TrainSpec, ...]:
    """The memory of Adam's second moment: β2 of 0.9, 0.99 and 0.999."""
    return tuple(replace(_COUPLED, rule=Adam(beta2=beta2)) for beta2 in (0.9, 0.99, 0.999))


def digits_leaky() -> tuple[TrainSpec, ...]:
    """ReLU against leaky ReLU with slopes 0.01 and 0.1 (by scale: a leaky feature is never silent)."""
    return tuple(replace(_COUPLED, network=BasicNet(negative_slope=slope)) for slope in (0.0, 0.01, 0.1))


def digits_difficulty() -> tuple[TrainSpec, ...]:
    """A harder task (20 % wrong training labels) at the demo's rate and at a small one with more steps."""
    gentle = replace(_COUPLED, learning_rate=3e-3, regularizer=L2(strength=5e-3), steps=3600)
    return tuple(replace(spec, data=Digits(label_noise=noise)) for spec in (_COUPLED, gentle) for noise in (0.0, 0.2))
