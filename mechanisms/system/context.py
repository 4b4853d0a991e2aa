"""Where and how a run computes: no part of a spec, because no result depends on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mechanisms.validation import require_at_least, require_whole


@dataclass(frozen=True)
class RunContext:
    """What a run is given beside its spec and seed; a suite names in `Layer.settings` what concerns it.

    Attributes:
        device: the torch device to train on.
        data: folder of the data sets.
        download: whether missing data sets may be fetched from their official addresses.
        checkpoint_every: seconds between checkpoints of a training.
        decoders: processes that decode images, 0 to decode in the process of the training; by default one a core, at most 8.
        worker: the number of this worker process on its machine, from 0, by which it chooses its GPU.
    """

    device: str = "cpu"
    data: Path = Path("data")
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
"""On the CPU, with the data sets in the folder `data`."""
