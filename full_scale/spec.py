"""All that decides a training run but the seed; no torch here, so that listing and showing experiments stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from full_scale.data.base import AbstractDataset
from full_scale.data.digits import Digits
from full_scale.models.base import AbstractNetwork
from full_scale.models.basic_net import BasicNet
from mechanisms.regularizers import AbstractRegularizer
from mechanisms.schedules import AbstractSchedule, Stepwise
from mechanisms.update_rules import AbstractUpdateRule
from mechanisms.validation import require_above, require_choice, require_whole

DECAYED = ("all", "no_norm", "norm", "conv")


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training: data, network, rule, regularizer and the loop around them.

    `decayed` names the parameters that the regularizer acts on: `all`; `no_norm`, all but BatchNorm scales and shifts; `norm`,
    only those; `conv`, only convolution weights. `measurements` evenly spaced moments are recorded (every step, if the run has
    fewer), the last at the end of the run, and the initial network besides. An epoch drops its last, incomplete batch.
    """

    data: AbstractDataset = field(default_factory=Digits)
    network: AbstractNetwork = field(default_factory=BasicNet)
    rule: AbstractUpdateRule
    regularizer: AbstractRegularizer
    decayed: str = "all"
    learning_rate: float
    schedule: AbstractSchedule = field(default_factory=Stepwise)
    batch_size: int = 40
    steps: int = 1200
    measurements: int = 12

    def __post_init__(self) -> None:
        require_choice("decayed", self.decayed, DECAYED)
        require_above("learning_rate", self.learning_rate, 0)
        require_whole("batch_size", self.batch_size, 2, self.data.train_size)
        require_whole("steps", self.steps, 1)
        require_whole("measurements", self.measurements, 1)
        self.network.require_fits(self.data.shape)

    def measured_steps(self) -> tuple[int, ...]:
        """The numbers of updates done at each measurement, from 0 to `steps`."""
        measurements = min(self.measurements, self.steps)
        moments = np.arange(measurements + 1) * self.steps / measurements
        return tuple(moments.round().astype(int).tolist())
