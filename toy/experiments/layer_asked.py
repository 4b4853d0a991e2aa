"""What claims about layers of competing features ask (`mechanisms.claims.layer_model`), each in one experiment."""

from __future__ import annotations

from dataclasses import replace

from mechanisms.interventions import ClampNorm, Gate, Random
from toy.layer.settings import BOTH, STANDARD, Specs, over, treated

FLOOR = ClampNorm(floor=0.03, ceiling=None)
INCOMING_FREE, OUTGOING_FREE = ("scale", "outgoing"), ("incoming", "scale")


def layer_two_ways() -> Specs:
    """Which decay kills, under L2 and under AdamW: all; with a floor under incoming norms, norms held, or one part free."""
    return tuple(
        spec
        for base in BOTH
        for spec in (
            base,
            treated(base, FLOOR),
            treated(base, ClampNorm()),
            replace(base, decayed=INCOMING_FREE),
            replace(base, decayed=OUTGOING_FREE),
            treated(replace(base, decayed=OUTGOING_FREE), FLOOR),
        )
    )


def layer_runaway() -> Specs:
    """Incoming norms against their equilibrium: two rates at equal rate × steps, under L2 and under AdamW; more inputs."""
    slow = tuple(replace(base, learning_rate=2.5e-3, steps=6000) for base in BOTH)
    wide = over("inputs", (16, 64), STANDARD, replace(STANDARD, decayed=INCOMING_FREE))
    return (BOTH[1], *slow, *wide)


def layer_noise() -> Specs:
    """With the noise of batches, without it, with that of gates in place of it; and at smaller rates."""
    full = over("batch_size", (STANDARD.exemplars,), *BOTH)
    gated = [treated(full[0], Gate(probability=probability, mean_restored=True)) for probability in (0.1, 0.3)]
    return (*BOTH, *full, *gated, *over("learning_rate", (1e-3, 3e-3), *BOTH))


def layer_gate_parts() -> Specs:
    """The restored gate on half of the features, on one part of them at a time: what about rarity kills or protects."""
    parts = ("scale", "shift", "incoming", "outgoing"), ("scale", "shift"), ("incoming",), ("outgoing",)
    rare = [treated(STANDARD, Gate(mean_restored=True, filters=Random(), parts=names)) for names in parts]
    return (STANDARD, *rare, treated(STANDARD, Gate(probability=0.3, mean_restored=True, filters=Random())))


def layer_survivors() -> Specs:
    """How many survive: by the number of features, by what the task needs, by strength, and by all three at once."""
    field = "regularizer.strength"
    together = (
        *over("teacher_features", (3,), replace(STANDARD, features=64)),
        *over(field, (6e-3,), replace(STANDARD, features=64), replace(STANDARD, teacher_features=12)),
        *over(field, (12e-3,), replace(STANDARD, features=128)),
    )
    alone = *over("features", (16, 32, 128)), *over("teacher_features", (2, 16)), *over(field, (1.5e-3, 6e-3))
    return (*alone, *together)


def layer_responses() -> Specs:
    """What networks are asked too, by the experiment `responses`: one change at a time, under L2 and under AdamW."""
    norms = [ClampNorm(floor=floor, ceiling=None) for floor in (0.03, 0.3)]
    norms += [ClampNorm(floor=level, ceiling=level) for level in (0.5, 1.0, 2.0)]
    return tuple(
        spec
        for base in BOTH
        for spec in (
            base,
            *(treated(base, norm) for norm in norms),
            *over("batchnorm_epsilon", (1e-7, 1e-3, 1e-2), base),
            *(replace(base, learning_rate=base.learning_rate * times) for times in (1 / 3, 3.0)),
            *over("rule.beta1", (0.0, 0.99), base),
            *over("label_noise", (1.0,), base),
            *over("features", (16,), base),
        )
    )
