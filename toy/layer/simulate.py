"""`run(spec, seed)`: trains the replicates of a layer and returns its `features` and `curve` tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule
from toy.engines.advance import coefficient_columns
from toy.engines.choice import choose_engine
from toy.layer import numpy_engine
from toy.layer.advance import Advance, Numbers
from toy.layer.measures import Moment, curve_table, features_table, gradient_sizes, measure
from toy.layer.network import split
from toy.layer.spec import LayerSpec
from toy.layer.task import Batches, exemplars, start
from toy.layer.treatment import Decayed, Treatment

if TYPE_CHECKING:
    import pandas as pd

Build = Callable[[LayerSpec], Advance]
CHUNK_NUMBERS = 2**22
"""Places of exemplars drawn at once, at most."""
PROBES = 4
"""Batches of each record on which gradients are measured: with sixteen inputs they tell their size within a tenth."""


def run(spec: LayerSpec, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The `features` table of a spec (one row for each record, replicate and feature), its `curve`, and what a manifest adds."""
    engine = choose_engine().name
    simulation = Simulation(spec, seed, builder(engine))
    moments = [simulation.measured()]
    for first, last in itertools.pairwise(spec.recorded_steps().tolist()):
        simulation.advance(first, last)
        moments.append(simulation.measured())
    return {"features": features_table(spec, moments), "curve": curve_table(spec, moments)}, {"engine": engine}


def builder(engine: str) -> Build:
    """The `build` of the engine of that name."""
    if engine == "compiled":
        from toy.layer import numba_engine

        return numba_engine.build
    return numpy_engine.build


class Simulation:
    """The state of all replicates of one spec and seed; `step` counts the updates done.

    Attributes:
        vectors: parameters, (R, P).
        states: the filter states of the rule, each (R, P).
        gates: what the loss gradients are multiplied by, (R, P).
        forces: loss force, regularizer force and denominator of each parameter at the last step, (3, R, P); NaN before the first.
    """

    states: Numbers
    _began: int
    """At which step the rule began to count."""

    def __init__(self, spec: LayerSpec, seed: int, build: Build) -> None:
        self.spec, self.seed, self.step, self._build = spec, seed, 0, build
        self._dtype = np.dtype(spec.dtype)
        self.inputs, self.targets = exemplars(spec, seed)
        self.vectors, self._batches = start(spec, seed), Batches(spec, seed)
        self.forces = np.full((3, *self.vectors.shape), np.nan, self._dtype)
        self.gates = np.ones_like(self.vectors)
        self._follow_law(spec.rule, spec.regularizer, spec.learning_rate)
        self._treatment = Treatment(self)
        self._decayed = self._treatment.regrouped(Decayed.of(spec)).marks
        self._treatment.start_due()

    def change_law(self, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float) -> None:
        """From the next step on another rule, regularizer and base rate; moments are carried over to a rule of the same kind."""
        before, states, began = self.rule, self.states, self._began
        self._follow_law(rule, regularizer, learning_rate)
        if type(rule) is type(before):
            self.states, self._began = states, began

    def _follow_law(self, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float) -> None:
        self.rule, self._regularizer, self.learning_rate, self._began = rule, regularizer, learning_rate, self.step
        self.states = tuple(np.full_like(self.vectors, value) for value in rule.initial_state())
        self._advance = self._build(replace(self.spec, rule=rule, regularizer=regularizer))

    def advance(self, first: int, last: int) -> None:
        """Makes the steps from `first` (0-based) to before `last`, and what interventions do on the way."""
        chunk = max(1, CHUNK_NUMBERS // (self.spec.replicates * self.spec.batch_size))
        for begin in range(first, last, chunk):
            end = min(begin + chunk, last)
            chosen = self._batches.draw(end - begin)
            while self.step < end:
                stop = self._treatment.next_stop(end)
                of_steps = chosen[:, self.step - begin : stop - begin] if chosen.shape[1] > 1 else chosen
                self._treatment.change_gradients()
                self._move(stop, np.ascontiguousarray(of_steps))
                self._treatment.after_update()
                self._treatment.start_due()

    def _move(self, last: int, chosen: np.ndarray) -> None:
        steps, number = np.arange(self.step, last), self._dtype.type
        inside, beside = self._regularizer.rates(self.learning_rate, 1.0)
        self._advance(
            self.vectors,
            self.states,
            self.inputs,
            self.targets,
            chosen,
            self.gates,
            (self._decayed * self._regularizer.strength).astype(self._dtype),
            number(self.learning_rate),
            number(beside),
            number(inside),
            self.spec.schedule.scale(steps, self.spec.steps).astype(self._dtype),
            coefficient_columns(self.rule, steps - self._began, self._dtype),
            self.forces,
        )
        self.step = last

    @np.errstate(over="ignore", invalid="ignore")
    def measured(self) -> Moment:
        """What is recorded of this moment."""
        parts = split(self.spec, self.vectors)
        forces = [split(self.spec, force)["scale"].copy() for force in self.forces]
        rate = self.learning_rate * float(self.spec.schedule.scale(max(self.step - 1, 0), self.spec.steps))
        moment = measure(self.spec, self.step, rate, parts, forces, self.inputs, self.targets)
        probed = self._batches.probe(self.step, PROBES)
        moment.columns["incoming_gradient"] = gradient_sizes(self.spec, parts, self.inputs, self.targets, probed)
        if self.spec.interventions:
            moment.columns["treated"] = self._treatment.marks()
        return moment
