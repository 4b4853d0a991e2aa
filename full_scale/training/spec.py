"""All that decides a training run but the seed; no torch here, so that listing and showing experiments stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from full_scale.data.base import AbstractDataset
from full_scale.data.digits import Digits
from full_scale.models.base import AbstractNetwork
from full_scale.models.basic_net import BasicNet
from full_scale.training.augmentation import AbstractAugmentation, NoAugmentation
from full_scale.training.shrinking import WHOLE, AbstractShrinking
from mechanisms.interventions import AbstractIntervention
from mechanisms.law.penalties import AbstractPenalty
from mechanisms.law.proximal import AbstractAfterUpdate
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.schedules import AbstractSchedule, Stepwise
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.added_fields import added
from mechanisms.validation import LARGEST_COUNT, require, require_above, require_choice, require_whole

DECAYED = ("all", "no_norm", "norm", "conv")
PRECISIONS = ("float32", "bfloat16")
MOST_STEPS = 10**7


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training: data, network, rule, regularizer and the loop around them.

    `decayed` names the parameters that the regularizer acts on: `all`; `no_norm`, all but the scales and shifts of
    normalizations; `norm`, only those; `conv`, only convolution weights. An epoch drops its last, incomplete batch.
    `measurements` evenly spaced moments are recorded on the whole training set, the last at the end of the run, and the initial
    network besides; `probes` moments on the same `probe_images` training images (0: none). Where there are fewer steps than
    moments, every step is one.

    `precision` is that of what autocast lowers; parameters, moments and the statistics of normalizations stay float32, and
    measuring is always float32. `norm_shards` equal parts of each batch get BatchNorm statistics of their own; the running
    ones are those of the first part. That is what data-parallel training without synchronized statistics does, and it changes
    sparsity; 1 is the ordinary network, on however many devices.

    `interventions` change the training on purpose (`mechanisms.interventions`), each from the moment when its `step`
    updates are done, in the order given. The `features` then say which filters are treated.

    `penalties` act on one part of every layer of features, whatever `decayed` names, each by its own coupling
    (`mechanisms.law.penalties`); `after_update` are steps after each update that are no gradients (`mechanisms.law.proximal`),
    before those of interventions.

    `shrinking` says when dead features are cut out of the network (`full_scale.training.shrinking`); the tables keep them.
    """

    data: AbstractDataset = field(default_factory=Digits)
    network: AbstractNetwork = field(default_factory=BasicNet)
    rule: AbstractUpdateRule
    regularizer: AbstractRegularizer
    decayed: str = "all"
    learning_rate: float
    schedule: AbstractSchedule = field(default_factory=Stepwise)
    augmentation: AbstractAugmentation = field(default_factory=NoAugmentation)
    precision: str = "float32"
    batch_size: int = 40
    norm_shards: int = 1
    steps: int = 1200
    measurements: int = 12
    probes: int = 0
    probe_images: int = 1000
    interventions: tuple[AbstractIntervention, ...] = ()
    penalties: tuple[AbstractPenalty, ...] = added(())
    after_update: tuple[AbstractAfterUpdate, ...] = added(())
    shrinking: AbstractShrinking = added(WHOLE)  # noqa: RUF009 (immutable)

    def __post_init__(self) -> None:
        require_choice("decayed", self.decayed, DECAYED)
        require_choice("precision", self.precision, PRECISIONS)
        require_above("learning_rate", self.learning_rate, 0)
        require_whole("batch_size", self.batch_size, 2, self.data.train_size or LARGEST_COUNT)
        require_whole("norm_shards", self.norm_shards, 1)
        parts = self.batch_size % self.norm_shards == 0 and self.batch_size >= 2 * self.norm_shards
        require(
            parts, "norm_shards", self.norm_shards, f"a divisor of batch_size = {self.batch_size} that leaves two images a part"
        )
        require_whole("steps", self.steps, 1, MOST_STEPS)
        require_whole("measurements", self.measurements, 1)
        require_whole("probes", self.probes, 0)
        require_whole("probe_images", self.probe_images, 1)
        for number, one in enumerate(self.interventions):
            require_whole(f"interventions.{number}.step", one.step, 0, self.steps - 1)
        alone = not (self.interventions or self.penalties or self.after_update)
        which = "none, or no interventions, penalties and after_update, which act on filters by their numbers"
        require(alone or self.shrinking == WHOLE, "shrinking", self.shrinking.name, which)
        self.network.require_fits(self.data.shape)
        kind = "pixels" if self.data.labels_pixels else "images"
        fits = self.network.scores_pixels == self.data.labels_pixels
        require(fits, "network", self.network.name, f"a network that scores {kind}, as data = {self.data.name} labels {kind}")

    def measured_steps(self) -> tuple[int, ...]:
        """The numbers of updates done at each measurement on the whole training set, from 0 to `steps`."""
        return (0, *_evenly(self.measurements, self.steps))

    def probed_steps(self) -> tuple[int, ...]:
        """The numbers of updates done at each measurement on `probe_images` images, from 0 to `steps`; empty without any."""
        return (0, *_evenly(self.probes, self.steps)) if self.probes else ()


def require_whole_network(train: TrainSpec) -> None:
    """Raises `InvalidValue` where a training whose features are measured or pruned after it cuts them out itself."""
    whole = train.shrinking == WHOLE
    require(whole, "train.shrinking", train.shrinking.name, "none: what is pruned afterwards must still be there")


def _evenly(moments: int, steps: int) -> tuple[int, ...]:
    moments = min(moments, steps)
    numbers = np.arange(1, moments + 1) * steps / moments
    return tuple(numbers.round().astype(int).tolist())
