"""Interventions on a layer of competing features, as on networks (`full_scale.experiments.interventions`)."""

from __future__ import annotations

from dataclasses import replace

from mechanisms.interventions import All, ClampNorm, Freeze, Gate, Random, Rescale, Slow, Switch
from mechanisms.law.regularizers import L2
from toy.layer.settings import ADAMW, BOTH, MOMENTUM, STANDARD, Specs, treated
from toy.layer.spec import LayerSpec

INDEPENDENT = LayerSpec(regularizer=L2(strength=3e-3, coupling="independent"))
SGD = LayerSpec(rule=MOMENTUM, learning_rate=0.1, regularizer=L2(strength=2e-2))


def layer_rescale() -> Specs:
    """Half of the features, or all, made smaller or larger at the start in a layer that computes the same function."""
    factors = (0.25, 0.5, 2.0, 4.0)
    bases = STANDARD, ADAMW, INDEPENDENT, SGD
    untouched = [treated(base, Rescale(factor=1.0, filters=Random())) for base in bases]
    rescaled = [
        treated(base, Rescale(factor=factor, filters=filters))
        for base in bases
        for filters in (Random(), All())
        for factor in (factors if base is STANDARD else (0.5, 2.0))
    ]
    return (*untouched, *rescaled)


def layer_gate() -> Specs:
    """The loss gradient of half of the features let through in 10 or 30 % of the steps: plain, or with its mean restored."""
    return tuple(
        treated(base, Gate(probability=probability, mean_restored=restored, filters=Random()))
        for base in (STANDARD, ADAMW, INDEPENDENT, SGD)
        for probability in ((0.1, 0.3) if base is STANDARD else (0.1,))
        for restored in (False, True)
    )


def layer_clamp() -> Specs:
    """Incoming norms held: at their start, whatever is decayed; and at multiples of it, with incoming weights not decayed."""
    held = [
        treated(replace(base, decayed=decayed), ClampNorm())
        for base in BOTH
        for decayed in (("scale",), ("incoming", "scale"), ("scale", "outgoing"), ("incoming", "scale", "outgoing"))
    ]
    free = replace(STANDARD, decayed=("scale", "outgoing"))
    levels = (4.0, 2.0, 0.5, 0.25, 0.125, 0.0625)
    return (*held, *(treated(free, ClampNorm(floor=level, ceiling=level)) for level in levels))


def layer_floor() -> Specs:
    """Only a floor under the incoming norms, as a multiple of their start: with it no norm can collapse; and only a ceiling."""
    floors = [treated(base, ClampNorm(floor=floor, ceiling=None)) for base in BOTH for floor in (0.01, 0.03, 0.1, 0.3)]
    ceilings = [treated(base, ClampNorm(floor=0.0, ceiling=ceiling)) for base in BOTH for ceiling in (1.0, 2.0)]
    slower = [
        treated(replace(STANDARD, learning_rate=1e-2 / times, steps=round(1500 * times)), ClampNorm(floor=0.03, ceiling=None))
        for times in (0.5, 2.0, 4.0)
    ]
    return (*floors, *ceilings, *slower)


def layer_part_rates() -> Specs:
    """One part of the features at a tenth to three times the learning rate of the others."""
    parts = ("incoming",), ("scale", "shift"), ("outgoing",)
    slowed = [treated(base, Slow(parts=names, factor=factor)) for base in BOTH for names in parts for factor in (0.1, 0.3, 3.0)]
    return tuple(slowed)


def layer_barrier() -> Specs:
    """Without the region where a ReLU is silent: shifts frozen at 0, or leaky ReLU."""
    leaky = replace(STANDARD, activation="leaky_relu")
    return STANDARD, treated(STANDARD, Freeze(parts=("shift",), value=0.0)), leaky


def layer_switch() -> Specs:
    """Decay in a part of the training only: switched off, or on, after a tenth, a third and at the first fall of the rate."""
    off, on = (
        {"rule": STANDARD.rule, "learning_rate": STANDARD.learning_rate, "regularizer": law}
        for law in (L2(), STANDARD.regularizer)
    )
    moments = (150, 500, 900)
    without = replace(STANDARD, regularizer=L2())
    return (
        *(treated(STANDARD, Switch(step=step, **off)) for step in moments),  # type: ignore[arg-type]
        *(treated(without, Switch(step=step, **on)) for step in moments),  # type: ignore[arg-type]
    )
