"""The batches of a training: which images come when, and how each is changed; all decided by the seed and the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from full_scale.data.base import AbstractExamples
from full_scale.data.files.decoding import DRAWS as CROP_DRAWS
from full_scale.training.distributed import Workers
from full_scale.training.spec import TrainSpec
from mechanisms.records.rng import stream


def index_batches(generator: np.random.Generator, examples: int, batch_size: int, skip: int = 0) -> Iterator[np.ndarray]:
    """Endless batches of example numbers but the first `skip`: each epoch a permutation without its last, incomplete batch."""
    while True:
        order = generator.permutation(examples)
        for start in range(0, examples - batch_size + 1, batch_size):
            if skip:
                skip -= 1
            else:
                yield order[start : start + batch_size]


def training_batches(
    spec: TrainSpec, seed: int, examples: AbstractExamples, workers: Workers, device: torch.device, first: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's part of every batch from number `first` on, augmented: images (N, C, H, W) and labels (N,)."""
    augmentation = spec.augmentation
    order = index_batches(stream(seed, "data_order"), len(examples), spec.batch_size, skip=first)
    rows = (workers.part(batch) for batch in order)
    crop = _crop_stream(spec, seed, workers, first) if augmentation.crops else None
    for number, (images, labels) in enumerate(examples.batches(rows, crop), start=first):
        draws = augmentation.draw(stream(seed, f"augmentation {number}"), spec.batch_size)
        if draws is not None:
            images = augmentation.apply(images, torch.from_numpy(workers.part(draws)).to(device))
        yield images.contiguous(memory_format=torch.channels_last), labels


def _crop_stream(spec: TrainSpec, seed: int, workers: Workers, first: int) -> Callable[[int], np.random.Generator]:
    def of_this_process(number: int) -> np.random.Generator:
        generator = stream(seed, f"crop {first + number}")
        generator.random(workers.rank * (spec.batch_size // workers.count) * CROP_DRAWS)
        return generator

    return of_this_process
