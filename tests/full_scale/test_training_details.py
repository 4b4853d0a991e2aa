"""Details of training that its tables alone do not show: what a network is given, in which precision, and what is measured on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from full_scale.data.base import Examples
from full_scale.data.files.decoding import DRAWS as CROP_DRAWS
from full_scale.models.basic_net import BasicNet
from full_scale.training.augmentation import AbstractAugmentation, Flip
from full_scale.training.batches import _crop_stream, training_batches
from full_scale.training.context import computing
from full_scale.training.interleaved import run_together
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.records.specs import choices
from mechanisms.system.context import HERE, RunContext
from tests.full_scale.own import own_network

ALWAYS = RunContext(checkpoint_every=0)

AUGMENTATIONS: dict[str, Any] = {**choices(AbstractAugmentation)}
TINY = TrainSpec(
    network=BasicNet(width=1 / 32),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    batch_size=20,
    steps=12,
    measurements=1,
)
FLIPPING = dataclasses.replace(TINY, augmentation=Flip())


def seen(spec: TrainSpec, seed: int = 0, folder: Path | None = None) -> list[Tensor]:
    """The batches that the network is trained on."""
    training, batches = Training(spec, seed, folder, ALWAYS), list[Tensor]()

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            batches.append(inputs[0].detach().clone())

    training.network.module.register_forward_pre_hook(record)
    with computing():
        training.run()
    return batches


def cut_off(spec: TrainSpec, step: int, folder: Path) -> None:
    """Leaves the checkpoint of a step, and is cut off right after the next one, which is not kept yet."""
    with computing():
        assert list(itertools.islice(Training(spec, 0, folder, ALWAYS).steps(), step + 1))[-1] == step + 1


def dropping(shape: Any, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(0.5), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes)
    )  # fmt: skip


def flips(seed: int) -> list[tuple[bool, ...]]:
    """Which images of each batch reach the network mirrored; every one comes as it is or mirrored."""
    masks = []
    for plain, given in zip(seen(TINY, seed), seen(FLIPPING, seed), strict=True):
        kept, mirrored = ((given == one).flatten(1).all(1) for one in (plain, plain.flip(-1)))
        assert (kept | mirrored).all()
        masks.append(tuple((~kept).tolist()))
    return masks


def test_flips_reach_the_network_with_other_draws_in_every_batch_and_under_every_seed() -> None:
    masks = [*flips(0), *flips(1)]
    assert len(set(masks)) == 2 * TINY.steps
    assert 0.3 < np.mean(masks) < 0.7  # 480 fair coins: eight standard deviations


def test_a_resumed_training_meets_the_batches_that_are_left(tmp_path: Path) -> None:
    cut_off(FLIPPING, 7, tmp_path)
    for resumed, whole in zip(seen(FLIPPING, folder=tmp_path), seen(FLIPPING)[7:], strict=True):
        assert torch.equal(resumed, whole)


def test_the_data_order_is_another_one_under_another_seed_and_in_the_next_epoch() -> None:
    spec = dataclasses.replace(TINY, batch_size=400, steps=6)  # epochs of three batches
    first, other = seen(spec), seen(spec, 1)
    assert not any(torch.equal(one, another) for one, another in zip(first, other, strict=True))
    assert not any(torch.equal(one, later) for one, later in zip(first[:3], first[3:], strict=True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_only_training_crops_what_is_decoded_and_only_where_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crops, batches = list[Any](), Examples.batches

    def spy(self: Examples, rows: Any, crop: Any = None) -> Any:
        crops.append(crop)
        return batches(self, rows, crop)

    monkeypatch.setattr(Examples, "batches", spy)
    run(dataclasses.replace(TINY, augmentation=AUGMENTATIONS[name](), steps=2, probes=1), 0)
    assert sum(crop is not None for crop in crops) == AUGMENTATIONS[name].crops


def batches_of(training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return training_batches(training.spec, training.seed, training.train, training.workers, training.device, first=training.done)


def crop_draws(training: Training, first: int, number: int) -> np.ndarray:
    images = training.spec.batch_size // training.workers.count
    return _crop_stream(training.spec, training.seed, training.workers, first)(number).random((images, CROP_DRAWS))


def test_crops_are_drawn_by_batch_and_seed_whatever_was_done_before() -> None:
    training, other = Training(TINY, 0), Training(TINY, 1)
    draws = [crop_draws(training, 0, number) for number in range(8)]
    assert len({one.tobytes() for one in draws}) == 8
    assert np.array_equal(crop_draws(training, 5, 2), draws[7])
    assert not np.array_equal(crop_draws(other, 0, 0), draws[0])


def test_the_batches_of_a_resumed_training_ask_for_their_own_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, batches = list[int](), Examples.batches

    def decoding(self: Examples, rows: Any, crop: Any = None) -> Any:
        asked.extend(crop(number).integers(2**62) for number in range(3))
        return batches(self, rows)

    monkeypatch.setattr(Examples, "batches", decoding)
    training = Training(dataclasses.replace(TINY, augmentation=AUGMENTATIONS["flip_crop"]()), 0)
    for training.done in (0, 2):
        next(batches_of(training))
    assert asked[2] == asked[3]
    assert len(set(asked)) == 5


@pytest.mark.parametrize("count", [2, 4])
def test_processes_draw_slices_of_what_one_draws(count: int) -> None:
    training = Training(dataclasses.replace(TINY, augmentation=AUGMENTATIONS["flip_crop"]()), 0)
    images, labels = next(batches_of(training))
    crops, parts = crop_draws(training, 3, 1), []
    training.workers.count = count
    for training.workers.rank in range(count):
        parts.append((*next(batches_of(training)), torch.from_numpy(crop_draws(training, 3, 1))))
    for whole, pieces in zip((images, labels, torch.from_numpy(crops)), zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize(("precision", "trained_in"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_activations_have_the_precision_asked_for_in_training_and_float32_in_measuring(
    precision: str, trained_in: torch.dtype
) -> None:
    training = Training(dataclasses.replace(TINY, precision=precision, steps=2, probes=1), 0)
    found = set[tuple[bool, torch.dtype]]()
    for layer in training.network.layers:
        layer.activation.register_forward_hook(lambda module, _, output: found.add((module.training, output.dtype)))
    with computing():
        training.run()
    assert found == {(True, trained_in), (False, torch.float32)}
    kept = training.network.module.state_dict().values()
    assert {tensor.dtype for tensor in kept} == {torch.float32, torch.int64}  # BatchNorm counts its batches


def same(first: Any, second: Any) -> bool:
    return all(first[name].equals(second[name]) for name in ("features", "curve"))


def test_dropout_is_decided_by_seed_and_step_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = dataclasses.replace(TINY, network=own_network(dropping, monkeypatch), steps=4)
    with torch.random.fork_rng():
        found = []
        for start in (1, 2):
            torch.manual_seed(start)
            before = torch.random.get_rng_state()
            found.append(run(spec, 0)[0])
            assert torch.equal(torch.random.get_rng_state(), before)
        cut_off(spec, 2, tmp_path)
        torch.manual_seed(3)
        resumed, extra = run(spec, 0, tmp_path, ALWAYS)
    in_turn = {number: tables for number, tables, _ in run_together([(spec, seed, None, HERE) for seed in (0, 1)])}
    assert extra["resumptions"] == 1
    assert all(same(found[0], other) for other in (found[1], resumed, in_turn[0]))


def test_dropout_drops_something_else_in_every_step_and_under_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(TINY, network=own_network(dropping, monkeypatch), steps=3)
    masks = list[bytes]()

    def record(part: nn.Module, _: Any, output: Tensor) -> None:
        if part.training:
            masks.append((output == 0).numpy().tobytes())  # no pixel of a normalized digit is 0

    for seed in (0, 1):
        training = Training(spec, seed)
        training.network.module.get_submodule("0").register_forward_hook(record)
        with computing():
            training.run()
    assert len(masks) == len(set(masks)) == 6
