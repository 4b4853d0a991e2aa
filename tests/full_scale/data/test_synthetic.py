"""Synthetic images can be learnt, and become harder by every dial."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from full_scale.data.base import Examples
from full_scale.data.synthetic import Synthetic
from mechanisms.validation import InvalidValue


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small batches on several threads are slower, by far on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def trained_error(dataset: Synthetic, steps: int = 100) -> float:
    """The test error of a small CNN after a short training."""
    data = dataset.load()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            *(nn.Conv2d(dataset.channels, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
            nn.Linear(32, dataset.classes),
        )
    optimizer, random = torch.optim.Adam(network.parameters(), 1e-2), np.random.default_rng(0)
    for images, labels in data.train.batches(random.integers(0, len(data.train), (steps, 64))):
        optimizer.zero_grad()
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    assert isinstance(data.test, Examples)
    with torch.no_grad():
        return (network(data.test.images).argmax(dim=1) != data.test.labels).double().mean().item()


def test_a_small_network_learns_it() -> None:
    assert trained_error(Synthetic()) < 0.1


@pytest.mark.parametrize("harder", [{"noise": 3.0}, {"clutter": 12}, {"classes": 100}, {"label_noise": 0.8}])
def test_every_dial_makes_it_harder(harder: dict[str, Any]) -> None:
    """With noise 1.5 a short training ends at an error of about 0.01; each dial adds 0.1 at least at these settings."""
    easy = {"noise": 1.5}
    assert trained_error(Synthetic(**{**easy, **harder})) > trained_error(Synthetic(**easy)) + 0.1


def test_sizes_are_as_announced_and_classes_balanced() -> None:
    dataset = Synthetic(classes=7, side=11, channels=2, train_images=70, test_images=21, clutter=3)
    data = dataset.load()
    assert isinstance(data.train, Examples)
    assert tuple(data.train.images.shape) == (70, *dataset.shape) == (70, 2, 11, 11)
    assert torch.bincount(data.train.labels).tolist() == [10] * 7
    assert torch.bincount(data.test.labels).tolist() == [3] * 7


def test_without_noise_and_clutter_every_image_is_its_pattern_somewhere() -> None:
    data = Synthetic(noise=0, classes=3, train_images=30).load()
    assert isinstance(data.train, Examples)
    for label in range(3):
        levels = {tuple(image.unique().tolist()) for image, own in zip(*vars(data.train).values(), strict=True) if own == label}
        assert len(levels) == 1


def test_fewer_training_images_are_the_first_of_more() -> None:
    few, many = (Synthetic(noise=0, train_images=count).load().train.labels for count in (50, 100))
    assert torch.equal(few, many[:50])


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", 1), ("side", 3), ("channels", 0), ("train_images", 9), ("noise", -1), ("label_noise", 1), ("clutter", -1)],
)
def test_impossible_values_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=f"data.{field}"):
        Synthetic(**{field: value})
