"""Several trainings in one process, a step of each in turn; on a GPU each has a stream, so that small networks share it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from full_scale.training.context import computing
from full_scale.training.loop import Tables, Training, training_memory
from full_scale.training.spec import TrainSpec
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError

Unit = tuple[TrainSpec, int, Path | None, RunContext]
"""A spec, a seed, a folder for checkpoints, and where to compute."""


def run_together(units: Sequence[Unit]) -> Iterator[tuple[int, Tables, dict[str, Any]]]:
    """The number of each unit in `units`, with what `full_scale.training.loop.run` gives for it, as they end.

    No training sees another: each draws from its own streams, so the results are those of trainings one after the other.

    Raises:
        UserError: as `run`, of the first training that failed, after all others have ended.
    """
    with computing():
        going, failures = {}, []
        for number, unit in enumerate(units):
            try:
                with training_memory(unit[0]):
                    training = Training(*unit)
                    require_alone(training, len(units))
            except UserError as error:
                failures.append(error)
            else:
                going[number] = training, training.steps(), _stream(training.device)
        while going:
            for number, (training, steps, stream) in list(going.items()):
                try:
                    with stream, training_memory(training.spec):
                        finished = next(steps, None) is None
                except UserError as error:
                    failures.append(error)
                    del going[number]
                    continue
                if finished:
                    del going[number]
                    yield number, *training.result()
        if failures:
            raise failures[0]


def require_alone(training: Training, count: int) -> None:
    """Raises `UserError` where one of several trainings on a GPU cuts its network: its graph would be captured beside others."""
    if training.cuts is not None and count > 1 and training.device.type == "cuda":
        name = training.spec.shrinking.name
        raise UserError(f"shrinking = {name} beside {count - 1} other runs on one GPU: use --together 1, or shrinking=none")


def _stream(device: torch.device) -> AbstractContextManager[Any]:
    if device.type != "cuda":
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
