"""The settings of the layer that experiments start from, and how they are varied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mechanisms.interventions import AbstractIntervention
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from mechanisms.records.specs import override
from toy.layer.spec import LayerSpec

Specs = tuple[LayerSpec, ...]
MOMENTUM = SGD(momentum=0.9)
STANDARD = LayerSpec()
ADAMW = LayerSpec(regularizer=L2(strength=0.6, coupling="decoupled"))
"""About as many features die as under the standard law, at about the same loss."""
BOTH = STANDARD, ADAMW


def over(field: str, values: Iterable[object], *bases: LayerSpec) -> Specs:
    """Each of the settings (the standard one, where none is named) under each value of a field."""
    return tuple(override(base, field, value) for base in bases or (STANDARD,) for value in values)


def treated(base: LayerSpec, *interventions: AbstractIntervention) -> LayerSpec:
    """The setting with interventions."""
    return replace(base, interventions=interventions)
