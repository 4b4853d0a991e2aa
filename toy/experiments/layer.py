"""A layer of competing features between two normalizations: what kills them, one question an experiment.

The standard setting is that of `LayerSpec`: Adam under coupled L2 at a rate large enough that features die within 1,500 steps.
"""

from __future__ import annotations

from dataclasses import replace

from mechanisms.interventions import Random, Rescale
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from toy.layer.settings import BOTH, MOMENTUM, STANDARD, Specs, over, treated
from toy.layer.spec import LayerSpec


def layer() -> Specs:
    """One layer of competing features, with every default: set what you like."""
    return (LayerSpec(),)


def layer_laws() -> Specs:
    """Adam under coupled L2, under independent decay, SGD with momentum under coupled L2, Adam without a regularizer."""
    four = (
        LayerSpec(),
        LayerSpec(regularizer=L2(strength=3e-3, coupling="independent")),
        LayerSpec(rule=MOMENTUM, learning_rate=0.1, regularizer=L2(strength=5e-3)),
        LayerSpec(regularizer=L2()),
    )
    return tuple(replace(spec, steps=2000) for spec in four)


def layer_strength() -> Specs:
    """How many features die, and what the decay costs in loss, by strength: each coupling of Adam, and SGD with momentum."""
    adam = Adam(beta2=0.99)
    curves: tuple[tuple[AbstractUpdateRule, float, str, tuple[float, ...]], ...] = (
        (adam, 1e-2, "coupled", (0.0, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3)),
        (adam, 1e-2, "decoupled", (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (adam, 1e-2, "independent", (1e-3, 2e-3, 3e-3, 4e-3, 6e-3, 1e-2)),
        (MOMENTUM, 0.1, "coupled", (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2)),
    )
    return tuple(
        LayerSpec(rule=rule, learning_rate=rate, regularizer=L2(strength=strength, coupling=coupling))
        for rule, rate, coupling, strengths in curves
        for strength in strengths
    )


def layer_decayed() -> Specs:
    """Which factors are decayed, under coupled L2 and under AdamW's decoupled decay."""
    chosen = ("scale",), ("scale", "outgoing"), ("incoming", "scale"), ("incoming", "scale", "outgoing")
    others = ("incoming",), ("outgoing",), ("incoming", "outgoing")
    return over("decayed", (*chosen, *others), *BOTH)


def layer_epsilon() -> Specs:
    """The ε of the normalizations, under coupled L2 and under AdamW's decoupled decay."""
    return over("batchnorm_epsilon", (1e-10, 1e-7, 1e-5, 1e-3, 1e-2), *BOTH)


def layer_normalization() -> Specs:
    """With and without the normalization of features, and of outputs; and half of the features halved without the latter."""
    alone = replace(STANDARD, output_normalization=False)
    halved = treated(alone, Rescale(factor=0.5, filters=Random()))
    return (*over("output_normalization", (True, False), *over("feature_normalization", (True, False))), halved)


def layer_batch() -> Specs:
    """Batches of 10 to 320 exemplars at equal steps: what the noise of a batch has to do with it."""
    return over("batch_size", (10, 20, 40, 80, 160, 320))


def layer_epochs() -> Specs:
    """Batches of 10 to 320 exemplars at equal epochs: fewer steps where there is less noise."""
    return tuple(replace(STANDARD, batch_size=size, steps=60_000 // size) for size in (10, 20, 40, 80, 160, 320))


def layer_full_batch() -> Specs:
    """Without the noise of batches: every step sees all 1,000 exemplars, under each law that kills with it."""
    return over("batch_size", (1000,), *BOTH)


def layer_width() -> Specs:
    """How many features there are for the same task."""
    return over("features", (8, 16, 32, 64, 128))


def layer_difficulty() -> Specs:
    """How many features the task needs (units of the teacher), and how noisy its labels are."""
    return (*over("teacher_features", (2, 4, 6, 10, 16)), *over("label_noise", (0.0, 0.1, 1.0)))


def layer_inputs() -> Specs:
    """How many inputs a feature has: all decayed, or all but the incoming weights; 1,200 steps."""
    short = replace(STANDARD, steps=1200)
    return over("inputs", (16, 64, 256), short, replace(short, decayed=("scale", "outgoing")))


def layer_rate() -> Specs:
    """The learning rate at equal rate × steps, under coupled L2 and under AdamW's decoupled decay; and at a third for longer."""
    equal = [
        replace(base, learning_rate=1e-2 / times, steps=round(1500 * times)) for base in BOTH for times in (0.5, 1.0, 2.0, 4.0)
    ]
    return (*equal, replace(STANDARD, learning_rate=3e-3, steps=5000))


def layer_rate_alone() -> Specs:
    """The learning rate at equal steps, under coupled L2 and under AdamW's decoupled decay."""
    return over("learning_rate", (1e-3, 3e-3, 1e-2, 3e-2), *BOTH)


def layer_memory() -> Specs:
    """The memories of Adam: of the second moment (β2), and of the first (β1)."""
    return (*over("rule.beta2", (0.9, 0.97, 0.99, 0.997, 0.999)), *over("rule.beta1", (0.0, 0.5, 0.99)))


def layer_horizon() -> Specs:
    """How long the training is, with its schedule stretched along, under coupled L2 and under AdamW's decoupled decay."""
    return over("steps", (500, 1500, 3000, 6000), *BOTH)
