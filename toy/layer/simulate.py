"""`run(spec, seed)`: trains the replicates of a layer and returns its `features` and `curve` tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from toy.engines.advance import coefficient_columns
from toy.engines.choice import choose_engine
from toy.layer import numpy_engine
from toy.layer.advance import Advance
from toy.layer.measures import Moment, curve_table, features_table, measure
from toy.layer.network import split
from toy.layer.spec import LayerSpec
from toy.layer.task import Batches, exemplars, start

if TYPE_CHECKING:
    import pandas as pd

CHUNK_NUMBERS = 2**22
"""Places of exemplars drawn at once, at most."""


def run(spec: LayerSpec, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The `features` table of a spec (one row for each record, replicate and feature), its `curve`, and what a manifest adds."""
    engine = choose_engine().name
    simulation = Simulation(spec, seed, builder(engine)(spec))
    moments = [simulation.measured()]
    for first, last in itertools.pairwise(spec.recorded_steps().tolist()):
        simulation.advance(first, last)
        moments.append(simulation.measured())
    return {"features": features_table(spec, moments), "curve": curve_table(spec, moments)}, {"engine": engine}


def builder(engine: str) -> Callable[[LayerSpec], Advance]:
    """The `build` of the engine of that name."""
    if engine == "compiled":
        from toy.layer import numba_engine

        return numba_engine.build
    return numpy_engine.build


class Simulation:
    """The state of all replicates of one spec and seed; `step` counts the updates done.

    Attributes:
        vectors: parameters, (R, P).
        forces: loss force, regularizer force and denominator of each parameter at the last step, (3, R, P); NaN before the first.
    """

    def __init__(self, spec: LayerSpec, seed: int, advance: Advance) -> None:
        self.spec, self._advance, self.step = spec, advance, 0
        self._dtype = np.dtype(spec.dtype)
        self.inputs, self.targets = exemplars(spec, seed)
        self.vectors, self._batches = start(spec, seed), Batches(spec, seed)
        self._states = tuple(np.full_like(self.vectors, value) for value in spec.rule.initial_state())
        self.forces = np.full((3, *self.vectors.shape), np.nan, self._dtype)
        marks = np.zeros((1, self.vectors.shape[1]), self._dtype)
        for name in spec.decayed:
            for part in (name, "shift") if name == "scale" else (name,):
                split(spec, marks)[part][:] = spec.regularizer.strength
        self._strengths = marks[0]
        inside, beside = spec.regularizer.rates(spec.learning_rate, 1.0)
        number = self._dtype.type
        self._learning_rate, self._beside, self._inside = number(spec.learning_rate), number(beside), number(inside)

    def advance(self, first: int, last: int) -> None:
        """Makes the steps from `first` (0-based) to before `last`."""
        chunk = max(1, CHUNK_NUMBERS // (self.spec.replicates * self.spec.batch_size))
        for begin in range(first, last, chunk):
            steps = np.arange(begin, min(begin + chunk, last))
            self._advance(
                self.vectors,
                self._states,
                self.inputs,
                self.targets,
                self._batches.draw(len(steps)),
                self._strengths,
                self._learning_rate,
                self._beside,
                self._inside,
                self.spec.schedule.scale(steps, self.spec.steps).astype(self._dtype),
                coefficient_columns(self.spec.rule, steps, self._dtype),
                self.forces,
            )
        self.step = last

    def measured(self) -> Moment:
        """What is recorded of this moment."""
        parts = split(self.spec, self.vectors)
        forces = [split(self.spec, force)["scale"].copy() for force in self.forces]
        return measure(self.spec, self.step, parts, forces, self.inputs, self.targets)
