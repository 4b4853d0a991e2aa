"""Pruning protocols: from a trained network and a criterion to a smaller network, tuned or trained anew, and what that gave.

A run has the tables `features` and `curve` of its training, `measured` (what criteria read, at its end), `pruned` (a row for each
smaller network) and `layers` (how many features each of them kept).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from full_scale.data.base import Data
from full_scale.measure.criteria_measures import criteria_table
from full_scale.measure.probes import observe
from full_scale.models.base import BuiltNetwork
from full_scale.models.discovery import feature_layers
from full_scale.models.parts.initialization import initialized
from full_scale.pruning.spec import MatchedSpec, PruningSpec
from full_scale.removal import Pruner
from full_scale.removal.costs import costs
from full_scale.training.context import computing
from full_scale.training.loop import Tables, Training, error_rate, training_memory
from full_scale.training.spec import TrainSpec
from mechanisms.law.schedules import Constant
from mechanisms.measures.criteria import score
from mechanisms.measures.ranking import count_of, removal_order, removed
from mechanisms.measures.sparsity import CRITERIA as KINDS_OF_DEATH
from mechanisms.measures.sparsity import inactive
from mechanisms.system.context import HERE, RunContext

LATENCY_IMAGES = 32
"""Images of the call that is timed."""
TIMED_CALLS = 51
Result = tuple[Tables, dict[str, Any]]


def run(spec: PruningSpec, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> Result:
    """The tables of one training and of what is pruned from it, and what the manifest should say.

    Only the training itself has checkpoints.

    Raises:
        UserError: a criterion cannot be measured on this network, or as `full_scale.training.loop.run`.
    """
    with computing(), training_memory(spec.train):
        bench = Bench(spec, finished(Training(spec.train, seed, checkpoints, context)))
        bench.controls()
        if "implicit" in spec.protocols:
            bench.implicit()
        for criterion in spec.criteria:
            for ranking in spec.rankings:
                order = bench.order(criterion, ranking)
                for ratio in spec.ratios:
                    count = count_of(bench.measured, ratio, spec.layers)
                    bench.explicit({"criterion": criterion, "ranking": ranking, "ratio": ratio}, order, count)
        return bench.result()


def run_matched(spec: MatchedSpec, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> Result:
    """The tables of both trainings of a `MatchedSpec` and of what is pruned from them, told apart by `network`."""
    procedure = _procedure(spec)
    with computing(), training_memory(spec.train):
        results: list[Result] = []
        target = 0
        for name in ("train", "conventional"):
            folder = None if checkpoints is None else checkpoints / name
            own = dataclasses.replace(procedure, train=getattr(spec, name))
            if name == "train":
                own = dataclasses.replace(own, scratch_criteria=())
            bench = Bench(own, finished(Training(own.train, seed, folder, context)))
            bench.controls()
            if name == "train":
                target = bench.implicit()
            for criterion in spec.criteria:
                for ranking in spec.rankings:
                    order = bench.order(criterion, ranking)
                    count = bench.matching(order, target)
                    bench.explicit({"criterion": criterion, "ranking": ranking, "ratio": math.nan}, order, count)
            results.append(bench.result())
        return _both(results)


def _procedure(spec: MatchedSpec) -> PruningSpec:
    shared = {field.name for field in dataclasses.fields(PruningSpec)} & {field.name for field in dataclasses.fields(spec)}
    return PruningSpec(protocols=("one_shot", "scratch"), **{name: getattr(spec, name) for name in shared})


def _both(results: list[Result]) -> Result:
    names = ("implicit", "conventional")
    parts = {
        table: [one[table].assign(network=name) for name, (one, _) in zip(names, results, strict=True)] for table in results[0][0]
    }
    return {table: pd.concat(_all_marked(both), ignore_index=True) for table, both in parts.items()}, results[0][1]


def _all_marked(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Where only one training has interventions, no feature of the other is treated."""
    if not any("treated" in table for table in tables):
        return tables
    return [table if "treated" in table else table.assign(treated=False) for table in tables]


def finished(training: Training) -> Training:
    """The training, after all its steps."""
    for _ in training.steps():
        pass
    return training


def without(network: BuiltNetwork, gone: pd.Series, shape: tuple[int, ...], pruner: Pruner | None = None) -> BuiltNetwork:
    """A smaller copy of a network without the marked rows of its feature table, by `removal.prune`.

    It computes what the network with these features silenced does (`prune` proves it). A feature that others still need (a
    branch of a residual sum) stays, silenced. A `pruner` of this network, if there is one, saves reading its code.
    """
    marks = np.split(gone.to_numpy(bool), np.cumsum([layer.features for layer in network.layers])[:-1])
    masks = {layer.name: ~mark for layer, mark in zip(network.layers, marks, strict=True) if mark.any()}
    smaller, _ = (pruner or pruner_of(network, shape)).prune(masks)
    return BuiltNetwork(smaller, feature_layers(smaller))


def pruner_of(network: BuiltNetwork, shape: tuple[int, ...]) -> Pruner:
    """What prunes a network for images of this shape (channels, height, width) in many ways."""
    return Pruner(network.module, _images(network, 2, shape))


def _images(network: BuiltNetwork, count: int, shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(count, *shape, device=next(network.module.parameters()).device)


def parameters_of(network: BuiltNetwork) -> int:
    """How many parameters a network has."""
    return sum(parameter.numel() for parameter in network.module.parameters())


class Bench:
    """One trained network and all that is pruned from it; `rows` and `layers` grow with each smaller network."""

    def __init__(self, spec: PruningSpec, training: Training) -> None:
        self.spec = spec
        self.training = training
        self.seed = training.seed
        self.shape = spec.train.data.shape
        self.measured = criteria_table(training, spec.images)
        self.rows: list[dict[str, Any]] = []
        self.layers: list[pd.DataFrame] = []
        self._scratch: dict[tuple[int, ...], tuple[float, float]] = {}

    def order(self, criterion: str, ranking: str) -> np.ndarray:
        """The order in which a criterion removes features of the trained network."""
        return removal_order(self.measured, score(criterion, self.measured, self.seed), ranking, self.spec.layers)

    def matching(self, order: np.ndarray, parameters: int) -> int:
        """The smallest number of features of an order without which at most so many parameters are left, by bisection."""
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            fits = parameters_of(self._without(removed(self.measured, order, middle))) <= parameters
            low, high = (low, middle) if fits else (middle + 1, high)
        return low

    def controls(self) -> None:
        """The trained network as it is, and tuned without pruning."""
        error = self._error(self.training.network)
        self._add({"protocol": "trained", "ratio": 0.0}, self.training.network, (error, error))
        same = self._without(removed(self.measured, np.zeros(0, int), 0))
        errors = _errors(self._tuned(same, self.spec.tuning_steps))
        self._add({"protocol": "tuned", "ratio": 0.0}, same, errors, self.spec.tuning_steps)

    def implicit(self) -> int:
        """What is inactive goes, by activation and by scale; returns how many parameters the former leaves."""
        last, left = self.training.tables["features"][-1], []
        for kind in KINDS_OF_DEATH:
            dead = inactive(last, kind)
            network = self._without(dead)
            error, names = self._error(network), {"protocol": "implicit", "criterion": f"inactive by {kind}"}
            self._add(names | {"ratio": math.nan}, network, (error, error))
            left.append(parameters_of(network))
        return left[0]

    def explicit(self, names: dict[str, Any], order: np.ndarray, count: int) -> None:
        """The first `count` of an order go; those protocols that the spec names and that have a ratio."""
        network = self._without(removed(self.measured, order, count))
        fresh = copy.deepcopy(network.module)
        if "one_shot" in self.spec.protocols:
            errors = _errors(self._tuned(network, self.spec.tuning_steps))
            self._add(names | {"protocol": "one_shot"}, network, errors, self.spec.tuning_steps)
        if "scratch" in self.spec.protocols and names["criterion"] in self.spec.scratch_criteria:
            steps = self.spec.train.steps + self.spec.tuning_steps
            self._add(names | {"protocol": "scratch"}, network, self._from_scratch(fresh, steps), steps)
        if "iterative" in self.spec.protocols:
            self._iterative(names, count)

    def result(self) -> Result:
        """All tables, and what the manifest says of the training."""
        tables, extra = self.training.result()
        layers = pd.concat(self.layers, ignore_index=True)
        return tables | {"measured": self.measured, "pruned": pd.DataFrame(self.rows), "layers": layers}, extra

    def _without(self, gone: pd.Series) -> BuiltNetwork:
        return without(self.training.network, gone, self.shape, self._pruner)

    @functools.cached_property
    def _pruner(self) -> Pruner:
        return pruner_of(self.training.network, self.shape)

    def _error(self, network: BuiltNetwork) -> float:
        return error_rate(observe(network, self.training.test))

    def _tuned(self, network: BuiltNetwork, steps: int) -> Training:
        """The network trained on under the law of the spec, in place; measured at the start and at the end."""
        train = self.spec.train
        rate = train.learning_rate * self.spec.tuning_rate
        spec = dataclasses.replace(train, steps=steps, learning_rate=rate, schedule=Constant(), measurements=1, probes=0)
        spec = dataclasses.replace(spec, penalties=(), after_update=())  # what sparsifies has had its time
        return self._done(spec, network)

    def _done(self, spec: TrainSpec, network: BuiltNetwork) -> Training:
        return finished(
            Training(
                spec,
                self.seed,
                context=self.training.context,
                network=network,
                data=Data(self.training.train, self.training.test),
            )
        )

    def _from_scratch(self, module: torch.nn.Module, steps: int) -> tuple[float, float]:
        """Errors of a shape trained from fresh weights, once for each shape; there is none before."""
        key = tuple(parameter.numel() for parameter in module.parameters())
        if key not in self._scratch:
            initialization = getattr(self.spec.train.network, "initialization", "torch")
            module = initialized(lambda: module, initialization, self.seed)
            spec = dataclasses.replace(self.spec.train, steps=steps, measurements=1, probes=0)
            training = self._done(spec, BuiltNetwork(module, feature_layers(module)))
            self._scratch[key] = math.nan, _errors(training)[1]
        return self._scratch[key]

    def _iterative(self, names: dict[str, Any], count: int) -> None:
        """`count` features go in equal parts, each chosen by what is measured after the tuning before it."""
        rounds = self.spec.rounds
        training = self.training
        table = self.measured
        for number in range(1, rounds + 1):
            part, steps = (_part(whole, number, rounds) for whole in (count, self.spec.tuning_steps))
            order = removal_order(table, score(names["criterion"], table, self.seed), names["ranking"], self.spec.layers)
            training = self._tuned(without(training.network, removed(table, order, part), self.shape), steps)
            table = table if number == rounds else criteria_table(training, self.spec.images)
        self._add(names | {"protocol": "iterative"}, training.network, _errors(training), self.spec.tuning_steps)

    def _add(self, names: dict[str, Any], network: BuiltNetwork, errors: tuple[float, float], steps: int = 0) -> None:
        kept = {layer.name: layer.features for layer in network.layers}
        identity = {"criterion": "none", "ranking": "none"} | names
        both = {"_before": self.training.network.module, "": network.module}
        timed = costs(both, (_images(network, LATENCY_IMAGES, self.shape),), TIMED_CALLS)
        numbers: dict[str, Any] = {"removed": 1 - sum(kept.values()) / len(self.measured)}
        for suffix, cost in timed.items():
            numbers[f"parameters{suffix}"] = cost.parameters
            numbers[f"macs{suffix}"] = cost.macs
            numbers[f"milliseconds{suffix}"] = cost.milliseconds
        numbers |= {"pruned_test_error": errors[0], "test_error": errors[1], "tuning_steps": steps}
        self.rows.append(identity | numbers)
        sizes = self.measured.groupby("layer", sort=False).size()
        table = pd.DataFrame({"layer": sizes.index, "features": sizes.to_numpy(), "kept": [kept[name] for name in sizes.index]})
        self.layers.append(table.assign(**identity))


def _part(whole: int, number: int, parts: int) -> int:
    """The size of part `number`, from 1, of a whole number in nearly equal parts."""
    return whole * number // parts - whole * (number - 1) // parts


def _errors(training: Training) -> tuple[float, float]:
    """Test error at the start and at the end of a training."""
    errors = [float(part["test_error"].iloc[0]) for part in training.tables["curve"]]
    return errors[0], errors[-1]
