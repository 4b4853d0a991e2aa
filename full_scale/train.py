"""One training run: spec and seed → tables."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from full_scale.data.base import Data, Examples
from full_scale.models.base import BuiltNetwork
from full_scale.optimizer import make_optimizer
from full_scale.parameters import group_parameters
from full_scale.probes import ForceProbe, feature_table, observe, without_features
from full_scale.spec import TrainSpec
from mechanisms.experiments.streams import stream
from mechanisms.sparsity import inactive
from mechanisms.validation import UserError

THREADS = 1
Tables = dict[str, pd.DataFrame]


def run(spec: TrainSpec, seed: int) -> tuple[Tables, dict[str, Any]]:
    """The tables `features` and `curve` of one training, and what the manifest should say about it.

    While it runs, torch has one thread (so that the result does not depend on how many runs share the machine: use more
    processes, not more threads) and flushes denormal numbers (dying filters are full of them; they slow a CPU down).
    Both settings of the process are restored after. No global random generator is seeded or drawn from.

    Raises:
        UserError: the training loss is no longer a finite number.
    """
    with _process_settings():
        return _Training(spec, seed).run()


@contextmanager
def _process_settings() -> Iterator[None]:
    threads, flushing = torch.get_num_threads(), _flushes_denormals()
    torch.set_num_threads(THREADS)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushing)
        torch.set_num_threads(threads)


def _flushes_denormals() -> bool:
    """Whether this thread turns denormal results into 0; torch has no getter for it."""
    smallest_normal = torch.tensor([torch.finfo(torch.float32).tiny])
    return not bool((smallest_normal * 0.5).item())


def index_batches(generator: np.random.Generator, examples: int, batch_size: int) -> Iterator[np.ndarray]:
    """Endless batches of example numbers: each epoch a fresh permutation, its last incomplete batch dropped."""
    while True:
        order = generator.permutation(examples)
        for start in range(0, examples - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


class _Training:
    """One training under way."""

    def __init__(self, spec: TrainSpec, seed: int) -> None:
        self.spec, self.data = spec, spec.data.load()
        self.network = spec.network.build(spec.data.shape, spec.data.classes, seed)
        self.groups = group_parameters(self.network.module, spec.decayed)
        law = (self.groups, spec.rule, spec.regularizer, spec.learning_rate)
        self.optimizer, self.probe = make_optimizer(*law), ForceProbe(self.network, *law)
        self.batches = index_batches(stream(seed, "data_order"), spec.data.train_size, spec.batch_size)
        self.features: list[pd.DataFrame] = []
        self.curve: list[dict[str, float]] = []

    def run(self) -> tuple[Tables, dict[str, Any]]:
        """Trains from the first step to the last."""
        started, scales = time.process_time(), self.spec.schedule.scale(np.arange(self.spec.steps), self.spec.steps)
        measured = set(self.spec.measured_steps())
        self._measure(0, math.nan)
        for number, scale in enumerate(scales.tolist(), start=1):
            self._update(number, scale)
            if number in measured:
                self._measure(number, self.spec.learning_rate * scale)
        tables = {"features": pd.concat(self.features, ignore_index=True), "curve": pd.DataFrame(self.curve)}
        return tables, self._extra(time.process_time() - started)

    def _update(self, number: int, scale: float) -> None:
        rows = torch.from_numpy(next(self.batches))
        loss = cross_entropy(self.network.module(self.data.train.images[rows]), self.data.train.labels[rows])
        self._require_finite(loss.item(), number)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.probe.observe(scale)
        self.optimizer.step(scale)

    def _measure(self, number: int, learning_rate: float) -> None:
        observation = observe(self.network, self.data.train.images)
        features = feature_table(self.network, observation).assign(**self.probe.forces())
        features.insert(0, "step", number)
        self.features.append(features)
        errors = _errors(self.network, self.data, observation.scores)
        with without_features(self.network, inactive(features)):
            errors["zeroed_test_error"] = _error(observe(self.network, self.data.test.images).scores, self.data.test)
        self._require_finite(errors["train_loss"], number)
        self.curve.append({"step": number, "learning_rate": learning_rate, **errors})

    def _require_finite(self, loss: float, number: int) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the loss is {loss} at step {number} of {self.spec.steps};"
                f" use a learning_rate below {self.spec.learning_rate:g}"
            )

    def _extra(self, seconds: float) -> dict[str, Any]:
        parameters = list(self.network.module.parameters())
        decayed, free = list(self.groups.decayed), list(self.groups.free)
        if not self.spec.regularizer.strength:
            decayed, free = [], [*decayed, *free]
        return {
            "device": str(parameters[0].device),
            "dtype": str(parameters[0].dtype).removeprefix("torch."),
            "denormals_flushed": _flushes_denormals(),
            "torch_threads": torch.get_num_threads(),
            "decayed_parameters": decayed,
            "free_parameters": free,
            "effective_steps": self.spec.schedule.effective_steps(self.spec.steps),
            "cpu_seconds": round(seconds, 3),
        }


def _errors(network: BuiltNetwork, data: Data, train_scores: Tensor) -> dict[str, float]:
    test_scores = observe(network, data.test.images).scores
    return {
        "train_loss": cross_entropy(train_scores, data.train.labels).item(),
        "train_error": _error(train_scores, data.train),
        "test_error": _error(test_scores, data.test),
    }


def _error(scores: Tensor, examples: Examples) -> float:
    return 1 - (scores.argmax(dim=1) == examples.labels).double().mean().item()
