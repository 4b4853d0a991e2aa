"""Trainings that cut out their dead filters as they go, beside the same ones left whole."""

from __future__ import annotations

from dataclasses import replace

from full_scale.experiments.protocols import PROTOCOLS
from full_scale.training.shrinking import WHOLE, EverySteps
from full_scale.training.spec import TrainSpec

LOOKS = 12
"""How often a training looks for dead filters."""


def shrinking(preset: str = "demo") -> tuple[TrainSpec, ...]:
    """Whether cutting out what is dead changes the outcome: whole, cut at once, cut after one more look.

    Adam under coupled L2, and under independent decay; what is dead for certain at one of twelve looks goes.
    """
    protocol = PROTOCOLS[preset]
    every = protocol.base.steps // LOOKS
    laws = (protocol.base, protocol.with_rule(protocol.base.rule, protocol.independent, "independent"))
    ways = (WHOLE, EverySteps(steps=every), EverySteps(steps=every, patience=every))
    return tuple(replace(law, shrinking=way) for law in laws for way in ways)
