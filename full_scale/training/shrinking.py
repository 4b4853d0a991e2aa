"""When a training cuts out the features that have died; no torch here."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from mechanisms.validation import require_whole


class AbstractShrinking(abc.ABC):
    """What every choice provides; `name` is what a user types."""

    name: ClassVar[str]
    silent: bool = False
    """Whether what is silent on the images of the probes goes too, which is exact on these alone."""

    @abc.abstractmethod
    def interval(self, epoch: int) -> int:
        """Return the steps from one look for dead features to the next, given those of an epoch; 0 for never."""

    @abc.abstractmethod
    def wait(self, epoch: int) -> int:
        """Return the steps for which a feature must have been dead before it goes."""


@dataclass(frozen=True)
class NoShrinking(AbstractShrinking):
    """The network stays whole."""

    name: ClassVar[str] = "none"

    def interval(self, epoch: int) -> int:
        """Never."""
        return 0

    def wait(self, epoch: int) -> int:
        """No matter."""
        return 0


WHOLE = NoShrinking()


@dataclass(frozen=True)
class EverySteps(AbstractShrinking):
    """Every so many steps, what was dead at all looks of the last `patience` steps goes.

    Dead is what is constant for any image in the range of the data; with `silent` also what is constant on the `probe_images`
    images, which is exact on these alone.
    """

    name: ClassVar[str] = "every_steps"
    steps: int = 500
    patience: int = 0
    silent: bool = False

    def __post_init__(self) -> None:
        require_whole("shrinking.steps", self.steps, 1)
        require_whole("shrinking.patience", self.patience, 0)

    def interval(self, epoch: int) -> int:
        """See `AbstractShrinking`."""
        return self.steps

    def wait(self, epoch: int) -> int:
        """See `AbstractShrinking`."""
        return self.patience


@dataclass(frozen=True)
class EveryEpochs(AbstractShrinking):
    """Every so many epochs, what was dead at all looks of the last `patience` epochs goes; see `EverySteps`."""

    name: ClassVar[str] = "every_epochs"
    epochs: int = 1
    patience: int = 0
    silent: bool = False

    def __post_init__(self) -> None:
        require_whole("shrinking.epochs", self.epochs, 1)
        require_whole("shrinking.patience", self.patience, 0)

    def interval(self, epoch: int) -> int:
        """See `AbstractShrinking`."""
        return self.epochs * epoch

    def wait(self, epoch: int) -> int:
        """See `AbstractShrinking`."""
        return self.patience * epoch
