"""`ToySpec`: all that decides a toy result but the seed, for one setting or for a whole grid of settings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.schedules import AbstractSchedule, Constant
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.records.specs import field_types, flatten, override
from mechanisms.validation import (
    InvalidValue,
    require,
    require_above,
    require_at_least,
    require_between,
    require_choice,
    require_whole,
)
from toy.features import conjectures as conjectures  # its models are choices of `gradient` too
from toy.features.gradients import AbstractGradient, LowGradient

DTYPES = ("float32", "float64")
MOST_VALUES_SHOWN = 50
FIXED = ("steps", "features", "records", "average_last", "dtype", "axes", "decayed")
"""Fields that shape the record itself and so cannot vary within it."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid: a field of the spec by its dotted name, and the values it takes."""

    field: str
    values: tuple[float | str, ...]

    def __str__(self) -> str:
        if len(self.values) > MOST_VALUES_SHOWN:
            return f"{self.field}={self.values[0]},…,{self.values[-1]} ({len(self.values)} values)"
        return f"{self.field}={','.join(map(str, self.values))}"


@dataclass(frozen=True, kw_only=True)
class ToySpec:
    """Independent replicate features under one gradient model, rule, regularizer and schedule, over `axes` of settings.

    All settings of a grid meet the same noise (comparisons are paired); the `features` of a setting have noise of their own.

    Attributes:
        features: replicates of each setting.
        records: at most this many log-spaced steps are recorded, the last always; 1 records the end only.
        average_last: the fraction of the run at its end over which `product_mean` and `product_rms` are taken; 0 for none.
        decayed: the parameters that the regularizer acts on: "all" or the name of one parameter of the gradient model.
        axes: the grid; its settings are the product of all axes.
    """

    gradient: AbstractGradient = field(default_factory=LowGradient)
    rule: AbstractUpdateRule = field(default_factory=Adam)
    regularizer: AbstractRegularizer = field(default_factory=lambda: L2(strength=1e-4))
    learning_rate: float = 1e-3
    schedule: AbstractSchedule = field(default_factory=Constant)
    steps: int = 10_000
    features: int = 8
    initial_scale: float = 1.0
    records: int = 200
    average_last: float = 0.0
    decayed: str = "all"
    dtype: str = "float64"
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        require_above("learning_rate", self.learning_rate, 0)
        for name in ("steps", "features", "records"):
            require_whole(name, getattr(self, name), 1)
        require_at_least("initial_scale", abs(self.initial_scale), 0)
        require_between("average_last", self.average_last, 0, 1 + 1e-12)
        require_choice("decayed", self.decayed, ("all", *self.gradient.parameters))
        require_choice("dtype", self.dtype, DTYPES)
        grid = isinstance(self.axes, tuple) and all(isinstance(axis, Axis) for axis in self.axes)
        require(
            grid, "axes", self.axes, "a tuple of Axis; on the command line a list makes an axis, such as learning_rate=1e-3,1e-2"
        )
        for axis in self.axes:
            _check_axis(self, axis)
        require(len({a.field for a in self.axes}) == len(self.axes), "axes", self.axes, "each field once")

    @property
    def settings(self) -> int:
        """The number of settings of the grid."""
        return math.prod(len(axis.values) for axis in self.axes)

    def with_field(self, path: str, value: Any) -> ToySpec:
        """The spec with one field set: a list of values makes an axis of it, a single value ends an axis on it.

        Where a choice is replaced, axes on fields that the new choice lacks are dropped.
        """
        others = tuple(axis for axis in self.axes if axis.field != path)
        if isinstance(value, list) and not isinstance(flatten(self).get(path), tuple):
            return replace(self, axes=(*others, Axis(path, tuple(value))))
        bare = override(replace(self, axes=()), path, value)
        return replace(bare, axes=tuple(axis for axis in others if axis.field in flatten(bare)))


def _check_axis(spec: ToySpec, axis: Axis) -> None:
    head = axis.field.partition(".")[0]
    if head not in field_types(ToySpec) or head in FIXED:
        known = [name for name in flatten(spec) if name.partition(".")[0] not in FIXED]
        raise InvalidValue(f"{axis.field!r} cannot be an axis of a grid: use one of " + ", ".join(known))
    require(len(axis.values) > 0, axis.field, axis.values, "at least one value")
    require(len(set(axis.values)) == len(axis.values), axis.field, axis.values, "each value once")
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in axis.values)
    # Numeric fields are valid on an interval, so a long axis of numbers is valid where its ends and kinds are.
    broken = [value for value in axis.values if numbers and not float(value).is_integer()][:1]
    tested = (min(axis.values), max(axis.values), *broken) if numbers else axis.values
    for base in _choices_of(spec, axis):
        for value in tested:
            override(base, axis.field, value)


def _choices_of(spec: ToySpec, axis: Axis) -> list[ToySpec]:
    """The spec without axes, under every combination of the choices that other axes make."""
    others = [one for one in spec.axes if one is not axis and all(isinstance(value, str) for value in one.values)]
    bases = [replace(spec, axes=())]
    for one in by_depth(others):
        bases = [override(base, one.field, value) for base in bases for value in one.values]
    return bases


def by_depth(axes: Iterable[Axis]) -> list[Axis]:
    """Axes in the order in which they must be applied: a choice before the fields of what it chooses."""
    return sorted(axes, key=lambda axis: axis.field.count("."))
