"""Where and how a run computes: no part of a spec, because no result depends on it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from mechanisms.validation import require_at_least, require_whole

DATA = "IMPLICIT_SPARSITY_DATA"
"""The environment variable that names the folder of the data sets where nothing else does."""


def data_folder() -> Path:
    """Return the folder of the data sets that is meant where none is named."""
    return Path(os.environ.get(DATA) or "data")


@dataclass(frozen=True)
class RunContext:
    """What a run is given beside its spec and seed; a suite names in `Layer.settings` what concerns it.

    Attributes:
        device: the torch device to train on.
        data: folder of the data sets; by default that of the environment variable `DATA`, else `data`.
        download: whether missing data sets may be fetched from their official addresses.
        checkpoint_every: seconds between checkpoints of a training.
        decoders: processes that decode images, 0 to decode in the process of the training; by default one a core, at most 8.
        worker: the number of this worker process on its machine, from 0, by which it chooses its GPU.
    """

    device: str = "cpu"
    data: Path = field(default_factory=data_folder)
    download: bool = False
    checkpoint_every: float = 30.0
    decoders: int | None = None
    worker: int = 0

    def __post_init__(self) -> None:
        require_at_least("--checkpoint-every", self.checkpoint_every, 0)
        if self.decoders is not None:
            require_whole("--decoders", self.decoders, 0, 1024)

    def anywhere(self) -> RunContext:
        """The same for workers in other folders and on other machines: folders by their whole path."""
        return replace(self, data=self.data.absolute())


HERE = RunContext()
"""On the CPU, with the data sets in the folder `data`, or that of the environment variable `DATA`."""
