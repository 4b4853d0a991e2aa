"""From stored pixels to what a network sees, against plain NumPy on the whole array at once."""

from __future__ import annotations

import numpy as np
import pytest

import full_scale.data.arrays
from full_scale.data.arrays import Stored, prepared, reduced
from full_scale.data.base import Examples
from mechanisms.records.rng import stream
from mechanisms.validation import UserError

RANDOM = np.random.default_rng(0)
TRAIN = Stored(RANDOM.integers(0, 256, (30, 8, 12, 3), np.uint8), np.arange(30) % 5)
TEST = Stored(RANDOM.integers(0, 256, (10, 8, 12, 3), np.uint8), np.arange(10) % 5)


def images(examples: object) -> np.ndarray:
    assert isinstance(examples, Examples)
    return examples.images.numpy()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_pixels_are_averages_of_blocks(factor: int) -> None:
    expected = TRAIN.images.astype(float).reshape(30, 8 // factor, factor, 12 // factor, factor, 3).mean(axis=(2, 4))
    assert np.array_equal(reduced(TRAIN.images, factor), expected.transpose(0, 3, 1, 2).astype(np.float32))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_both_parts_are_normalized_by_the_training_part(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_scale.data.arrays, "CHUNK", chunk)
    data = prepared(TRAIN, TEST, name="trial", classes=5)
    mean, deviation = TRAIN.images.mean(axis=(0, 1, 2)), TRAIN.images.std(axis=(0, 1, 2))
    for part, stored in ((data.train, TRAIN), (data.test, TEST)):
        expected = ((stored.images - mean) / deviation).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(images(part), expected, rtol=0, atol=4e-7)  # a few roundings of numbers up to 2
        assert np.array_equal(part.labels.numpy(), stored.labels)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_pixel_noise_is_one_stream_over_both_parts_whatever_the_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_scale.data.arrays, "CHUNK", chunk)
    plain, noisy = (prepared(TRAIN, TEST, name="trial", classes=5, factor=2, pixel_noise=noise) for noise in (0.0, 0.5))
    random = stream(0, "trial_pixel_noise")
    for before, after in ((plain.train, noisy.train), (plain.test, noisy.test)):
        expected = images(before) + 0.5 * random.standard_normal(images(before).shape)
        np.testing.assert_allclose(images(after), expected, rtol=0, atol=1e-6)


def test_a_share_of_the_training_labels_is_random_and_the_test_labels_are_not() -> None:
    train = Stored(np.zeros((4000, 1, 1, 1), np.uint8), np.zeros(4000, np.int64))
    data = prepared(train, TEST, name="trial", classes=5, label_noise=0.5)
    # a wrong label is right by chance once in five times; 4000 draws have a standard error of 0.008
    assert (data.train.labels != 0).float().mean().item() == pytest.approx(0.4, abs=0.04)
    assert np.array_equal(data.test.labels.numpy(), TEST.labels)


def test_a_constant_channel_becomes_zero() -> None:
    flat = Stored(np.full((3, 2, 2, 1), 9, np.uint8), np.zeros(3, np.int64))
    assert not images(prepared(flat, flat, name="trial", classes=1).train).any()


def test_the_first_of_each_class_in_their_order() -> None:
    part = Stored(np.arange(7)[:, None, None, None], np.array([1, 1, 0, 1, 0, 0, 1]))
    chosen = part.first_of_each_class(4, 2, "train_images")
    assert chosen.images.ravel().tolist() == [0, 1, 2, 4]
    assert chosen.labels.tolist() == [1, 1, 0, 0]
    with pytest.raises(UserError, match=r"train_images = 8 .* use at most 6"):
        part.first_of_each_class(8, 2, "train_images")
