"""One training run: spec and seed → tables."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from full_scale.data.base import Data
from full_scale.hooks.cuts import Cuts
from full_scale.hooks.intervention_state import Treatment
from full_scale.hooks.sparsifiers import Sparsifiers
from full_scale.measure.probes import ForceProbe, Observation, feature_table, mixed_order, observe
from full_scale.measure.silencing import without_features
from full_scale.models.base import BuiltNetwork
from full_scale.training.batches import training_batches
from full_scale.training.checkpoints import Checkpoints, pack, unpack
from full_scale.training.context import chosen_device, computing, describe, memory_named
from full_scale.training.device_step import DeviceStep
from full_scale.training.distributed import Workers, forward_in_shards
from full_scale.training.optimizer import AbstractOptimizer, TorchOptimizer, can_replay, make_optimizer
from full_scale.training.parameters import group_parameters
from full_scale.training.shrinking import WHOLE
from full_scale.training.spec import TrainSpec
from mechanisms.law.dynamics import DynamicsState
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.measures.sparsity import inactive
from mechanisms.records.rng import stream
from mechanisms.records.specs import spec_id
from mechanisms.system.context import HERE, RunContext
from mechanisms.validation import UserError

STEPS_PER_LOOK_AT_LOSS = 100
"""Off the CPU: asking a GPU for a number makes it wait."""
Tables = dict[str, pd.DataFrame]


def run(spec: TrainSpec, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> tuple[Tables, dict[str, Any]]:
    """The tables of one training (`features`, `curve`, and `probes` where asked for), and what its manifest should say.

    With a folder for `checkpoints`, a run that was cut off goes on from the last one and ends with the same bits. Settings of the
    process are restored after (see `full_scale.training.context`), torch's global random generator too; what a network draws from
    it while training (dropout) is decided by the seed and the step.

    Raises:
        UserError: the loss is no longer a finite number, or the training does not fit into memory.
    """
    with computing(), training_memory(spec):
        return Training(spec, seed, checkpoints, context).run()


def training_memory(spec: TrainSpec) -> AbstractContextManager[None]:
    """Within it, a lack of memory is one line that names the batch, and the width of a network that has one."""
    smaller = f"network.width (now {spec.network.width:g})" if hasattr(spec.network, "width") else "network"
    return memory_named(f"use a batch_size below {spec.batch_size} or a smaller {smaller}")


class Training:
    """One training under way."""

    optimizer: AbstractOptimizer

    def __init__(
        self,
        spec: TrainSpec,
        seed: int,
        checkpoints: Path | None = None,
        context: RunContext = HERE,
        replay: bool | None = None,
        *,
        network: BuiltNetwork | None = None,
        data: Data | None = None,
    ) -> None:
        """Ready for its first step.

        `replay`: whether steps are replayed by the device (see `DeviceStep`); by default on CUDA, where the rule can. `network`
        is trained in place, instead of what the spec builds (one that was pruned, say); `data` are those of the spec, if at hand.
        """
        self.spec = spec
        self.seed = seed
        self.context = context
        self.device = chosen_device(context)
        self.done = 0
        self.resumptions = 0
        self.workers = Workers(spec.batch_size, spec.norm_shards, self.device)
        data = data or spec.data.load_for(context)
        self.train = data.train.to(self.device)
        self.test = data.test.to(self.device)
        if len(self.train) < spec.batch_size:
            raise UserError(f"batch_size = {spec.batch_size}, but there are {len(self.train)} training images: use a smaller one")
        self.probed = self.train.take(mixed_order(len(self.train))[: spec.probe_images]) if spec.probes else None
        self.network = network or spec.network.build(spec.data.shape, spec.data.classes, seed)
        self.network.module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.treatment = Treatment(self) if spec.interventions else None
        groups = group_parameters(self.network.module, spec.decayed)
        self.groups = groups if self.treatment is None else self.treatment.regrouped(groups)
        self._require_parameters()
        self.sparsifiers = Sparsifiers(self) if spec.penalties or spec.after_update else None
        self.cuts = None if spec.shrinking == WHOLE else Cuts(self)
        self.noise = int(stream(seed, "network").integers(2**62))
        self._follow_law(spec.rule, spec.regularizer, spec.learning_rate)
        self.module = self.workers.wrap(self.network.module)
        self.replayed = self._device_step() if (self._replays() if replay is None else replay) else None
        self.checkpoints = Checkpoints(
            checkpoints,
            {"spec_id": spec_id(spec), "seed": seed, "device": self.device.type},
            self.workers.rank == 0,
            context.checkpoint_every,
        )
        self.measured = frozenset(spec.measured_steps())
        self.probing = frozenset(spec.probed_steps())
        self.tables: dict[str, list[pd.DataFrame]] = {"features": [], "curve": [], "probes": []}
        self.started = time.process_time()
        self.seconds = {"cpu_seconds": 0.0, "measuring_cpu_seconds": 0.0, "probing_cpu_seconds": 0.0}

    def _follow_law(self, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float) -> None:
        self.law: dict[str, Any] = {"rule": rule, "regularizer": regularizer, "learning_rate": learning_rate}
        self.optimizer = make_optimizer(self.groups, **self.law)
        self.probe = ForceProbe(self.network, self.groups, **self.law)

    def _replays(self) -> bool:
        alone = self.workers.count == 1 and self.treatment is None and self.sparsifiers is None
        return self.device.type == "cuda" and can_replay(self.spec.rule) and alone

    def _device_step(self) -> DeviceStep:
        self.optimizer = replayed = TorchOptimizer(self.groups, **self.law, replayed=True)
        return DeviceStep(self.spec, self._loss, self.network.module, replayed, self.probe)

    def run(self) -> tuple[Tables, dict[str, Any]]:
        """Trains from the first step, or from the last checkpoint, to the last step."""
        for _ in self.steps():
            pass
        return self.result()

    def steps(self) -> Iterator[int]:
        """Makes one step after another, measuring on the way; yields after each how many are done."""
        scales = self.spec.schedule.scale(np.arange(self.spec.steps), self.spec.steps)
        kept = self.checkpoints.load(self.device)
        if kept is None:
            self._begin_treatments()
            self._measure_if_due(math.nan)
        else:
            self._restore(kept)
        if self.replayed is not None:
            self.replayed.start_at(self.done)
        for images, labels in training_batches(self.spec, self.seed, self.train, self.workers, self.device, first=self.done):
            # Before the update, so that a training that resumes here cuts too.
            if self.cuts is not None and self.cuts.cut_if_due():
                self._follow_cuts()
            self._update(images, labels, float(scales[self.done]))
            self.done += 1
            rate = self.law["learning_rate"] * float(scales[self.done - 1])
            self._begin_treatments()
            self._measure_if_due(rate)
            yield self.done
            if self.done == self.spec.steps:
                return
            # After the yield: what a caller measures into `tables` at this step is in the checkpoint too.
            self.checkpoints.offer(self._state)

    def change_law(self, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float) -> None:
        """From the next step on another rule, regularizer and base rate; moments are carried over to a rule of the same kind."""
        optimizer = self.optimizer
        probe = self.probe
        before = self.law["rule"]
        self._follow_law(rule, regularizer, learning_rate)
        if type(rule) is type(before) and (rule.slots or rule == before):
            self.optimizer.adopt(optimizer)
            self.probe.adopt(probe)

    def _follow_cuts(self) -> None:
        """Goes on with the parameters that a cut has left, and with their moments."""
        optimizer, state = self.optimizer, self.probe.state
        self.groups = group_parameters(self.network.module, self.spec.decayed)
        self._follow_law(**self.law)
        self.probe.state = state
        if self.replayed is not None:
            self.replayed = self._device_step()
            self.replayed.start_at(self.done)
        self.optimizer.adopt(optimizer)

    def result(self) -> tuple[Tables, dict[str, Any]]:
        """The tables so far, and what the manifest should say."""
        return {name: pd.concat(parts, ignore_index=True) for name, parts in self.tables.items() if parts}, self._extra()

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision == "bfloat16"):
            return cross_entropy(forward_in_shards(self.module, images, self.workers.shards_here), labels)

    def _update(self, images: Tensor, labels: Tensor, scale: float) -> None:
        torch.manual_seed(self.noise + self.done)
        loss = self._loss(images, labels) if self.replayed is None else self.replayed.step(images, labels)
        if self.device.type == "cpu" or (self.done + 1) % STEPS_PER_LOOK_AT_LOSS == 0:
            self._require_finite(self.workers.mean(loss.detach().clone()).item(), self.done + 1)
        if self.replayed is None:
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if self.treatment is not None:
                self.treatment.change_gradients()
            if self.sparsifiers is None:
                self.probe.observe(scale)
                self.optimizer.step(scale)
            else:
                self.sparsifiers.step(scale)
            if self.treatment is not None:
                self.treatment.after_update()

    def _begin_treatments(self) -> None:
        if self.treatment is not None:
            self.treatment.start_due()

    def _measure_if_due(self, learning_rate: float) -> None:
        if self.done in self.measured:
            with self._timed("measuring_cpu_seconds"):
                self._measure(learning_rate)
        if self.probed is not None and self.done in self.probing:
            with self._timed("probing_cpu_seconds"):
                self.workers.align(self.network.module)
                self.tables["probes"].append(self._whole(self._features(observe(self.network, self.probed))))

    def _measure(self, learning_rate: float) -> None:
        self.workers.align(self.network.module)
        trained = observe(self.network, self.train)
        features = self._features(trained)
        self.tables["features"].append(self._whole(features))
        errors = {"train_loss": _loss(trained), "train_error": error_rate(trained), "test_error": self._test_error()}
        silent = inactive(features)
        with without_features(self.network, silent):
            errors["zeroed_test_error"] = self._test_error() if silent.any() else errors["test_error"]
        self._require_finite(errors["train_loss"], self.done)
        self.tables["curve"].append(pd.DataFrame([{"step": self.done, "learning_rate": learning_rate, **errors}]))

    def _features(self, observation: Observation) -> pd.DataFrame:
        features = feature_table(self.network, observation, self.spec.batch_size).assign(**self.probe.forces())
        features.insert(0, "step", self.done)
        return features if self.treatment is None else features.assign(treated=self.treatment.marks())

    def _whole(self, features: pd.DataFrame) -> pd.DataFrame:
        """The table with the features that were cut out of the network."""
        return features if self.cuts is None else self.cuts.completed(features)

    def _test_error(self) -> float:
        return error_rate(observe(self.network, self.test))

    def _require_finite(self, loss: float, number: int) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the loss is {loss} at step {number} of {self.spec.steps};"
                f" use a learning_rate below {self.spec.learning_rate:g}"
            )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] += time.process_time() - started

    def _spent(self) -> dict[str, float]:
        return self.seconds | {"cpu_seconds": self.seconds["cpu_seconds"] + time.process_time() - self.started}

    def _require_parameters(self) -> None:
        if not self.groups.decayed and not self.groups.free:
            raise UserError(f"network = {self.spec.network.name} has no trainable parameter")
        if not self.groups.decayed and self.spec.regularizer.strength:
            raise UserError(
                f"decayed = {self.spec.decayed} selects no parameter of network = {self.spec.network.name}: the regularizer"
                " would do nothing; use decayed=all or regularizer.strength=0"
            )

    def _state(self) -> dict[str, Any]:
        for parameter in self.network.module.parameters():
            self._require_finite(parameter.detach().sum().item(), self.done)
        return {
            "done": self.done,
            "module": self.network.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "probe": (self.done, [torch.as_tensor(values) for values in self.probe.state.filters]),
            "tables": {name: [pack(part) for part in parts] for name, parts in self.tables.items()},
            "seconds": self._spent(),
            "resumptions": self.resumptions,
            "treatment": [] if self.treatment is None else self.treatment.state(),
            "sparsifiers": None if self.sparsifiers is None else self.sparsifiers.state(),
            "cuts": None if self.cuts is None else self.cuts.state(),
        }

    def _restore(self, kept: dict[str, Any]) -> None:
        self.done = kept["done"]
        self.seconds = kept["seconds"]
        self.resumptions = kept["resumptions"] + 1
        if self.cuts is not None:
            self.cuts.restore(kept["cuts"])
            self._follow_cuts()
            # Of an axis that has become 1 long, the order in memory depends on the cuts before: it is that of the checkpoint.
            for name, parameter in self.network.module.named_parameters():
                parameter.data = kept["module"][name]
        self.network.module.load_state_dict(kept["module"])
        if self.treatment is not None:
            self.treatment.restore(kept["treatment"])
        if self.sparsifiers is not None:
            self.sparsifiers.restore(kept["sparsifiers"])
        self.optimizer.load_state_dict(kept["optimizer"])
        steps, filters = kept["probe"]
        numpy = isinstance(self.probe.state.filters[0], np.ndarray)
        self.probe.state = DynamicsState(steps, tuple(values.numpy() if numpy else values for values in filters))
        self.tables = {name: [unpack(part) for part in parts] for name, parts in kept["tables"].items()}

    def _extra(self) -> dict[str, Any]:
        decayed, free = list(self.groups.decayed), list(self.groups.free)
        if not self.spec.regularizer.strength:
            decayed, free = [], [*decayed, *free]
        return {
            **describe(next(self.network.module.parameters())),
            "train_images": len(self.train),
            "test_images": len(self.test),
            "steps_replayed": self.replayed is not None,
            "processes": self.workers.count,
            "batch_size_a_process": self.spec.batch_size // self.workers.count,
            "statistics_synchronized": self.workers.synchronized,
            **({} if self.cuts is None else {"cuts": self.cuts.log}),
            "decayed_parameters": decayed,
            "free_parameters": free,
            "effective_steps": self.spec.schedule.effective_steps(self.spec.steps),
            "resumptions": self.resumptions,
            **{name: round(value, 3) for name, value in self._spent().items()},
        }


def _loss(observation: Observation) -> float:
    return cross_entropy(observation.scores, observation.labels).item()


def error_rate(observation: Observation) -> float:
    """The share of images that are classified wrongly."""
    return 1 - (observation.scores.argmax(dim=1) == observation.labels).double().mean().item()
