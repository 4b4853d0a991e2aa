"""Cuts of a training of this package: dead features leave the network, and stay in its tables as what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from full_scale.data.base import in_order
from full_scale.measure.probes import FORCES, Observation, feature_table, mixed_order
from full_scale.models.base import FeatureLayer
from full_scale.removal.during_training.cutting import Cut, Cutter
from full_scale.training.checkpoints import pack, unpack
from mechanisms.system.progress import say
from mechanisms.validation import UserError

if TYPE_CHECKING:
    from full_scale.training.loop import Training


class Cuts:
    """All cuts of one training.

    Dead is what is constant for any input in the range of the training and test images, whatever crops and flips do to them;
    with `silent` also what is constant on the images of the probes.
    """

    def __init__(self, training: Training) -> None:
        shrinking, epoch = training.spec.shrinking, len(training.train) // training.spec.batch_size
        if training.workers.count > 1:
            raise UserError(
                f"shrinking = {shrinking.name} on {training.workers.count} processes: use shrinking=none, or one process"
            )
        self._training = training
        self._every = shrinking.interval(epoch)
        self._cutter = Cutter(
            training.network.module,
            torch.zeros(2, *training.spec.data.shape, device=training.device),
            patience=shrinking.wait(epoch),
            input_range=_range(training),
            data=_images(training) if shrinking.silent else None,
        )
        self._gone: list[pd.DataFrame] = []
        """The rows of what went."""
        self.log: list[dict[str, Any]] = []
        """What the manifest says of each cut."""

    def cut_if_due(self) -> bool:
        """Before an update: cut what is due; whether anything was."""
        training = self._training
        if training.done == 0 or training.done % self._every:
            return False
        try:
            due = self._cutter.look(training.done)
        except UserError as problem:
            say(f"step {training.done}: nothing is cut: {problem}")
            self.log.append({"step": training.done, "refused": str(problem)})
            return False
        if due is None:
            return False
        parameters = dict(training.network.module.named_parameters())
        training.optimizer.cut(due.plan, parameters)
        self._gone.append(self._rows(due.cut))
        training.probe.cut(
            {parameters[name]: axes[0] for name, axes in due.plan.keep.items() if name in parameters and 0 in axes}
        )
        self._cutter.carry_out(due)
        cut = due.cut
        features = sum(map(len, cut.features.values()))
        self.log.append({"step": cut.step, "features": features, "parameters": list(cut.parameters), "macs": list(cut.macs)})
        return True

    def completed(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of the features that are there, by the numbers that they had first, with those that are gone.

        These are what they were when they went, with forces unknown; the column `gone` says at which step.
        """
        layers = self._training.network.layers
        numbers = [self.numbers(layer) for layer in layers]
        places = {layer.name: place for place, layer in enumerate(layers)}
        present = table.assign(feature=np.concatenate(numbers), gone=np.nan)
        gone = [part.assign(step=self._training.done)[list(present.columns)] for part in self._gone]
        whole = pd.concat([present, *gone], ignore_index=True)
        order = np.lexsort((whole["feature"], whole["layer"].map(places)))
        return whole.iloc[order].reset_index(drop=True)

    def numbers(self, layer: FeatureLayer) -> np.ndarray:
        """Return for each feature that a layer still has the number that it had first."""
        name = self._cutter.names.get(layer.name)
        return np.arange(layer.features) if name is None else self._cutter.numbers[name]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"cutter": self._cutter.state_dict(), "gone": [pack(part) for part in self._gone], "log": self.log}

    def restore(self, state: dict[str, Any]) -> None:
        """Cut the network, which is as it was first, to what it was when `state` was called."""
        self._cutter.load_state_dict(state["cutter"])
        self._gone = [unpack(part) for part in state["gone"]]
        self.log = state["log"]

    def _rows(self, cut: Cut) -> pd.DataFrame:
        """One row a feature that goes, with the columns of the `features` table but `step`."""
        network, peaks, goes = self._training.network, [], []
        for layer in network.layers:
            name, numbers = self._cutter.names.get(layer.name, ""), self.numbers(layer)
            constants = dict(zip(cut.features.get(name, ()), cut.constants.get(name, ()), strict=True))
            peak = torch.tensor([[abs(constants.get(number, 0.0)) for number in numbers.tolist()]])
            peaks.append(peak.to(self._training.device))
            goes.append(np.isin(numbers, list(constants)))
        zeros = tuple((peak[0] == 0).float() for peak in peaks)
        table = feature_table(network, Observation(torch.empty(0), torch.empty(0), tuple(peaks), zeros), batch_size=1)
        table["feature"] = np.concatenate([self.numbers(layer) for layer in network.layers])
        unknown = dict.fromkeys(FORCES, np.float32(np.nan))
        return table[np.concatenate(goes)].assign(**unknown, gone=float(cut.step)).reset_index(drop=True)


def _range(training: Training) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value of each channel of any image, with or without a border of zeros."""
    (low, high), (lowest, highest) = training.train.bounds(), training.test.bounds()
    border = torch.zeros_like(low)
    return torch.stack([low, lowest, border]).amin(0), torch.stack([high, highest, border]).amax(0)


def _images(training: Training) -> Tensor:
    """The images of the probes."""
    chosen = training.train.take(mixed_order(len(training.train))[: training.spec.probe_images])
    return torch.cat([images for images, _ in chosen.batches(in_order(len(chosen)))])
