"""Sparsity in a person's own training loop, at one line an epoch.

monitor = SparsityMonitor(model, optimizer, epochs=30)
for epoch in range(30):
    train_one_epoch()
    monitor.epoch(loader)
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from full_scale.measure.probes import FORCES, feature_table
from full_scale.models.base import FeatureLayer
from full_scale.models.discovery import listing
from full_scale.models.parts.tracing import normalizes
from full_scale.models.parts.wrappers import unwrapped
from full_scale.monitor.inspection import Images, Watched, look, observable
from full_scale.monitor.optimizer_forces import OptimizerProbe
from mechanisms.measures.forces import dominance
from mechanisms.measures.sparsity import CRITERIA, grouped, histories, moment_columns, sparsity
from mechanisms.system.progress import say
from mechanisms.validation import UserError, require_whole

DECAYS = ("decay_budget", "decay_a_step")
HISTORY = ["step", "layer", "feature", "max_activation"]
"""What tells which features were ever dead."""


class SparsityMonitor:
    """Measures the features of a model epoch after epoch: how sparse they are, and what moves their scales.

    Make it before the first step, with the optimizer if forces are wanted, and call `epoch` after each epoch. The model is looked
    at in evaluation mode, without gradients or autocast; its modes and all random generators are put back, and it keeps no hooks.
    With an optimizer: the loss force, the regularizer force and the denominator of each scale at the last step, and how far
    weight decay alone could have shrunk the scales so far (`full_scale.monitor.optimizer_forces`). A penalty that is part of the
    loss counts as loss.

    Args:
        model: called with images on its first axis; wrappers for compilation, parallelism and averages are looked through.
        optimizer: one of torch, or a wrapper around it, which is looked through; its steps are followed until `close`.
        epochs: how often `epoch` is called in the whole training, with what was before a resumption; for the decay budget that
            is still to come.
        most_images: at most this many images are looked at each time, the first ones.
        batch_size: of the column `batch_activity`.
        log_dir: folder for TensorBoard, if it is installed.
        log: called after each epoch with a dictionary of numbers and `step`, such as `wandb.log` or `mlflow.log_metrics`.
        verbose: whether each epoch prints a line.
        detailed: whether that line also says what moves the scales.

    Raises:
        UserError: the model cannot be traced or has no features, or the optimizer does not move its scales.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        epochs: int | None = None,
        most_images: int | None = None,
        batch_size: int = 128,
        log_dir: str | Path | None = None,
        log: Callable[..., Any] | None = None,
        verbose: bool = True,
        detailed: bool = False,
    ) -> None:
        for field, value in (("epochs", epochs), ("most_images", most_images), ("batch_size", batch_size)):
            if value is not None:
                require_whole(field, value, 1)
        self._model, self._epochs, self._most, self._batch_size = unwrapped(model), epochs, most_images, batch_size
        watched = observable(self._model)
        norms = [layer.norm for layer in watched.network.layers if layer.norm is not None]
        scales = [norm.weight for norm in norms]
        self._probe = None if optimizer is None else OptimizerProbe(optimizer, scales)
        self._left_out = watched.left_out
        self._moments: set[int] = set()
        """How many steps had been followed at each epoch."""
        self._tables: dict[int, pd.DataFrame] = {}
        self._rows: dict[int, pd.DataFrame] = {}
        self._layers = pd.DataFrame()
        self._verbose, self._detailed = verbose, detailed
        self._writer = None if log_dir is None else _writer(log_dir)
        self._log_elsewhere = log
        for note in (*_notes(self._model, watched, norms), *(self._probe.notes if self._probe is not None else ())):
            say(note)

    def __enter__(self) -> SparsityMonitor:
        """Itself; it is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def close(self) -> None:
        """Stops following the optimizer and closes the files of TensorBoard; what was measured stays."""
        for part in (self._probe, self._writer):
            if part is not None:
                part.close()

    def epoch(self, images: Images) -> pd.DataFrame:
        """One row a feature, with the columns of the `features` table (`mechanisms.records.columns`).

        `step` counts the optimizer's steps, or without an optimizer the calls. A second call at the same step replaces the first.

        Args:
            images: a tensor (N, …), a loader of tensors or of tuples that begin with one, or `AbstractExamples`.

        Raises:
            UserError: the images cannot be used, or the features are no longer those of the last epoch.
        """
        step = len(self._tables) + 1 if self._probe is None else self._probe.steps
        watched, observation = look(self._model, images, self._most)
        network = watched.network
        self._tell(watched)
        table = feature_table(network, observation, self._batch_size)
        self._require_same_features(table)
        table.insert(0, "step", step)
        extra, unknown = self._by_feature(network.layers), self._unknown(network.layers)
        if self._probe is not None:
            table = table.assign(**{name: extra[name] for name in FORCES})
        self._tables.pop(step, None)
        self._tables[step] = table
        self._moments |= {self._probe.followed} - {0} if self._probe is not None else set()
        images_seen = len(observation.labels)
        self._rows.pop(step, None)
        before = max((row["ever_dead"].iloc[0] for row in self._rows.values()), default=0)
        self._rows[step] = self._summary(table.assign(**extra), "run").assign(images=images_seen)
        self._layers = self._summary(table.assign(**extra), "layer")
        if self._probe is not None:
            self._layers["unknown"] = self._layers["layer"].map(unknown)
        if self._verbose:
            number, row = len(self._rows), self._rows[step].iloc[0].to_dict()
            line = _detailed_line(number, row) if self._detailed else _line(number, row, row["ever_dead"] - before)
            say("; ".join([line, *self._on_forces(table, unknown)]))
        self._log(step)
        return table

    @property
    def history(self) -> pd.DataFrame:
        """All tables that `epoch` gave, one after the other: what `mechanisms.measures` takes.

        Raises:
            UserError: there was no epoch yet.
        """
        self._require_epoch()
        return pd.concat(self._tables.values(), ignore_index=True)

    def epochs(self) -> pd.DataFrame:
        """One row an epoch, with the columns of `layers` over all layers, and how many `images` were looked at.

        Raises:
            UserError: there was no epoch yet.
        """
        self._require_epoch()
        return pd.concat(self._rows.values(), ignore_index=True)

    def layers(self) -> pd.DataFrame:
        """One row a layer, at the last epoch.

        `features`; `sparsity_by_activation` and `sparsity_by_scale`; `ever_dead` and `revived`, numbers of features, by
        activation at the epochs so far; the mean `selectivity`; and with an optimizer the median `denominator`, `dominance`, and
        the median decay budgets in e-folds: `decay_budget` so far, and `decay_budget_to_come` at the rate of the last step; and
        `unknown`, why forces of the layer are NaN ("" where none is).

        Raises:
            UserError: there was no epoch yet.
        """
        self._require_epoch()
        return self._layers

    @property
    def left_out(self) -> pd.DataFrame:
        """One row a convolution, linear map or normalization that belongs to no watched layer: `layer`, `type` and `reason`."""
        rows = [(part.name, part.kind, part.reason) for part in self._left_out]
        return pd.DataFrame(rows, columns=["layer", "type", "reason"])

    def _tell(self, watched: Watched) -> None:
        """Says what else is not watched, which only images could tell."""
        new = [part for part in watched.left_out if part not in self._left_out]
        self._left_out = watched.left_out
        if new:
            say(f"not watched: {listing(new)}")

    def _require_epoch(self) -> None:
        if not self._tables:
            raise UserError("nothing was measured yet: call epoch(images) first")

    def _require_same_features(self, table: pd.DataFrame) -> None:
        named = ["layer", "feature"]
        before = next(iter(self._tables.values()), table)
        if not table[named].equals(before[named]):
            had, has = (part.groupby("layer", sort=False).size().to_dict() for part in (before, table))
            odd = next((layer for layer in {**had, **has} if had.get(layer) != has.get(layer)), "")
            counts = f"{odd} had {had.get(odd, 0)} and has {has.get(odd, 0)}" if odd else "their order is another one"
            raise UserError(f"the model no longer has the features it had ({counts}): make a new SparsityMonitor for it")

    def _by_feature(self, layers: tuple[FeatureLayer, ...]) -> dict[str, np.ndarray]:
        """Name → one value a feature, of what only an optimizer tells; empty without one."""
        if self._probe is None:
            return {}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*FORCES, *DECAYS)}
        for layer in layers:
            known = {} if layer.norm is None else self._probe.forces(layer.norm.weight) | self._probe.decay(layer.norm.weight)
            for name, values in parts.items():
                missing = np.full(layer.features, np.nan, np.float32)
                values.append(known[name].numpy(force=True) if name in known else missing)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _unknown(self, layers: tuple[FeatureLayer, ...]) -> dict[str, str]:
        """Name of a layer → why some of its forces are not known, "" where all are; to be asked after `_by_feature`."""
        probe = self._probe
        if probe is None:
            return {}
        return {layer.name: "it has no scale" if layer.norm is None else probe.reason(layer.norm.weight) for layer in layers}

    def _on_forces(self, table: pd.DataFrame, unknown: Mapping[str, str]) -> list[str]:
        """What an epoch prints of forces that are not known and of steps that were not followed."""
        if self._probe is None:
            return []
        missing = table[list(FORCES)].isna().any(axis=1)
        reasons = table["layer"][missing].map(unknown).value_counts(sort=False)
        parts = [f"forces unknown on {count} features: {reason}" for reason, count in reasons.items()]
        if (factor := self._probe.decoupled_factor) <= 0:
            kind = "they diverge" if factor <= -1 else "it turns their sign" if factor else "it removes them"
            parts.append(f"decay alone multiplies scales by {factor:.3g} a step: {kind}")
        if self._probe.before:
            parts.append(f"followed {self._probe.followed} of {self._probe.steps} steps")
        elif self._probe.is_miscounted:
            parts.append(f"only steps that were followed are counted, because {self._probe.name} keeps no count")
        return parts

    def _summary(self, table: pd.DataFrame, per: str) -> pd.DataFrame:
        """One row, or with per="layer" one a layer, of a table with the columns of `_by_feature`."""
        groups = grouped(table, moment_columns(table, per))
        found = groups.agg(features=("feature", "size"), selectivity=("selectivity", "mean"))
        for by in CRITERIA:
            found[f"sparsity_by_{by}"] = sparsity(table, by, per=per)["sparsity"].to_numpy()
        counts = histories(pd.concat([past[HISTORY] for past in self._tables.values()]), per=per)
        found["ever_dead"], found["revived"] = counts["ever_inactive"].to_numpy(), counts["revived"].to_numpy()
        if self._probe is not None:
            found["denominator"] = groups["denominator"].median()
            found["dominance"] = dominance(table, per)["dominance"].to_numpy()
            found["decay_budget"] = groups["decay_budget"].median()
            found["decay_budget_to_come"] = groups["decay_a_step"].median() * self._steps_to_come()
        return found.reset_index()

    def _steps_to_come(self) -> float:
        """Steps until the end of the training, at as many an epoch as so far; NaN where its length is unknown."""
        if self._probe is None or self._epochs is None or not self._moments:
            return math.nan
        an_epoch = max(self._moments) / len(self._moments)
        return max(0.0, self._epochs * an_epoch - self._probe.steps)

    def _log(self, step: int) -> None:
        whole = self._rows[step].drop(columns=["step", "features", "images"]).iloc[0]
        numbers = {f"features/{name}": float(value) for name, value in whole.items()}
        for row in self._layers.to_dict("records"):
            numbers[f"sparsity_by_activation/{row['layer']}"] = float(row["sparsity_by_activation"])
        if self._writer is not None:
            for name, number in numbers.items():
                self._writer.add_scalar(name, number, step)
            self._writer.flush()
        if self._log_elsewhere is not None:
            self._log_elsewhere({name: number for name, number in numbers.items() if not math.isnan(number)}, step=step)


def _notes(model: nn.Module, watched: Watched, norms: list[Any]) -> list[str]:
    """What is said of a model once: what of it is not watched, and what the numbers depend on."""
    name, others = type(model).__name__, listing(watched.left_out)
    notes = []
    if others:
        notes.append(f"{len(watched.network.layers)} layers of {name} are watched; not watched: {others}")
    if not norms:
        has = "has, on its watched layers, no" if any(map(normalizes, model.modules())) else "has no"
        notes.append(f"{name} {has} normalization with scales: only its activations are measured")
    moving = Counter(type(norm).__name__ for norm in norms if isinstance(norm, _BatchNorm) and norm.running_mean is None)
    for kind, number in moving.items():
        notes.append(
            f"{number} {kind} of {name} keep no running statistics: their activations depend on the batches in which images come"
        )
    return notes


def _line(number: int, row: Mapping[Any, Any], new: float) -> str:
    """What an epoch prints; `new` features are dead for the first time."""
    dead = f"{100 * row['sparsity_by_activation']:.1f} % of {row['features']:.0f} features dead"
    return f"epoch {number}: {dead} ({new:.0f} new), {row['revived']:.0f} revived"


def _detailed_line(number: int, row: Mapping[Any, Any]) -> str:
    """What an epoch prints in detail; numbers that are not known are left out."""
    parts = [
        f"epoch {number} (step {row['step']:.0f}): on {row['images']:.0f} images"
        f" {100 * row['sparsity_by_activation']:.1f} % of {row['features']:.0f} features dead",
        f"{100 * row['sparsity_by_scale']:.1f} % by scale",
        f"ever dead {row['ever_dead']:.0f}, revived {row['revived']:.0f}",
        f"selectivity {row['selectivity']:.3f}",
    ]
    known = {name: value for name, value in row.items() if not math.isnan(value)}
    if "denominator" in known:
        parts.append(f"denominator {known['denominator']:.2g}")
    if "dominance" in known:
        parts.append(f"regularizer ahead of the loss on {100 * known['dominance']:.0f} %")
    if "decay_budget" in known:
        ahead = f", {known['decay_budget_to_come']:.2g} to come" if "decay_budget_to_come" in known else ""
        parts.append(f"decay budget {known['decay_budget']:.2g}{ahead}")
    elif "decay_budget" in row:
        parts.append("decay budget unknown")
    return "; ".join(parts)


def _writer(log_dir: str | Path) -> Any:
    """What writes for TensorBoard; None, and a line that says so, where that is not installed."""
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(log_dir))
    except ImportError:
        say(f"nothing is written to {log_dir}: TensorBoard is not installed (pip install tensorboard)")
        return None
