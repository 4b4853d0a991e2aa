"""Large grids in blocks: each is a spec with a record of its own, so that a grid spreads over processes and loses little."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from toy.spec import Axis, ToySpec

SETTINGS = 2**12
"""Settings of a block at most: a million are a few hundred records."""
ROWS = 2**20
"""Rows of a block's table at most, unless it has one setting only."""


def blocks(spec: ToySpec) -> tuple[ToySpec, ...]:
    """The blocks of a grid, in the order of its settings; a grid that is small enough is its own block.

    Their tables, one after another, are the table of the whole: all settings of a seed meet the same noise.

    >>> grid = ToySpec(axes=(Axis("learning_rate", (1e-3, 1e-2)), Axis("regularizer.strength", tuple(map(float, range(4096))))))
    >>> [block.settings for block in blocks(replace(grid, records=1))]
    [4096, 4096]
    """
    size = max(1, min(SETTINGS, ROWS // (spec.features * min(spec.records, spec.steps))))
    if spec.settings <= size:
        return (spec,)
    return tuple(replace(spec, axes=axes) for axes in itertools.product(*_cut(spec.axes, size)))


def _cut(axes: tuple[Axis, ...], size: int) -> Iterator[list[Axis]]:
    """The pieces of each axis: inner axes stay whole while they fit, the next is cut into pieces, those before into values."""
    for number, axis in enumerate(axes):
        inner = math.prod(len(other.values) for other in axes[number + 1 :])
        length = max(1, size // inner)
        yield [Axis(axis.field, axis.values[first : first + length]) for first in range(0, len(axis.values), length)]
