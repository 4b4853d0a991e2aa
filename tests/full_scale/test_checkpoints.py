"""A training that is cut off, in this process or by kill -9, ends with the bits of one that was not."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from full_scale.models.basic_net import BasicNet
from full_scale.suite import LAYER
from full_scale.training.augmentation import FlipCrop
from full_scale.training.checkpoints import NAME, Checkpoints
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.command_line.framework import main
from mechanisms.law.regularizers import L2
from mechanisms.law.schedules import Cosine
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.records.specs import choices
from mechanisms.records.store import Store
from mechanisms.system.context import RunContext

ALWAYS = RunContext(checkpoint_every=0)

ROOT = Path(__file__).parents[2]
TINY = TrainSpec(
    network=BasicNet(width=1 / 16),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    schedule=Cosine(),
    augmentation=FlipCrop(padding=1),
    batch_size=20,
    steps=12,
    measurements=3,
    probes=6,
    probe_images=100,
)


class Killed(Exception):
    """Stands for whatever ends a process."""


def run_until(spec: TrainSpec, step: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and is killed in the middle of a step, after its gradients and before its update."""
    update = Training._update

    def fatal(self: Training, images: Any, labels: Any, scale: float) -> None:
        if self.done == step:
            raise Killed
        update(self, images, labels, scale)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_update", fatal)
        with pytest.raises(Killed):
            run(spec, 0, folder, ALWAYS)


def equal(first: Any, second: Any) -> bool:
    return set(first) == set(second) and all(first[name].equals(second[name]) for name in first)


@pytest.mark.parametrize("name", choices(AbstractUpdateRule))
def test_every_rule_goes_on_bit_for_bit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(TINY, rule=choices(AbstractUpdateRule)[name]())
    whole, _ = run(spec, 0)
    for step in (1, 7):
        run_until(spec, step, tmp_path, monkeypatch)
    resumed, extra = run(spec, 0, tmp_path, ALWAYS)
    assert extra["resumptions"] == 2
    assert equal(whole, resumed)


def test_a_damaged_checkpoint_and_one_of_another_run_are_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = run(TINY, 0)
    run_until(TINY, 5, tmp_path / "good", monkeypatch)
    good = (tmp_path / "good" / NAME).read_bytes()
    for number, damaged in enumerate((good[: len(good) // 2], b"", b"\x80\x04K\x01.")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / NAME).write_bytes(damaged)
        assert equal(whole, run(TINY, 0, folder, ALWAYS)[0])
        assert "the training starts anew" in capsys.readouterr().err
        assert [path.read_bytes() for path in folder.glob("*.unusable-*")] == [damaged]
    other = dataclasses.replace(TINY, learning_rate=2e-2)
    run_until(other, 5, tmp_path / "other", monkeypatch)
    assert equal(whole, run(TINY, 0, tmp_path / "other", ALWAYS)[0])
    assert "other settings" in capsys.readouterr().err


def test_a_full_disk_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path, {}, every=0)
    checkpoints.offer(lambda: {"number": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        checkpoints.offer(lambda: {"number": 2})
    assert "No space left" in capsys.readouterr().err
    assert checkpoints.load(torch.device("cpu")) == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_a_wrong_interval_is_refused(value: str, refuses: Callable[..., None]) -> None:
    refuses(lambda: main(LAYER, ["run", "digits", "--checkpoint-every", value]), "--checkpoint-every")


def test_ten_kills_at_random_moments_leave_no_trace(tmp_path: Path) -> None:
    """kill -9 at ten moments after a checkpoint exists, each drawn anew; what is compared is the record on disk."""
    words = [
        "network.width=0.0625",
        "batch_size=20",
        "steps=400",
        "measurements=5",
        "probes=20",
        "augmentation=flip",
        "schedule=cosine",
    ]
    command = [
        sys.executable,
        "-m",
        "full_scale",
        "run",
        "strength",
        *words,
        "regularizer.strength=3e-3",
        "--seeds",
        "1",
        "--checkpoint-every",
        "0.02",
    ]
    (spec,) = LAYER.specs("strength", [*words, "regularizer.strength=3e-3"])
    store, kills, chance = Store(tmp_path / "killed", LAYER.name), 0, random.Random()
    while kills < 10:
        process = subprocess.Popen(
            [*command, "--runs", str(store.root)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = stamp(store, spec)
        while process.poll() is None and stamp(store, spec) == before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15))
        assert process.poll() is None, "the run ended before it was killed"
        process.kill()
        process.wait()
        kills += 1
    assert not store.has(spec, 0)
    for root in (store.root, tmp_path / "whole"):
        subprocess.run([*command, "--runs", str(root)], cwd=ROOT, check=True, capture_output=True)
    assert store.manifest(spec, 0)["resumptions"] == 10
    assert equal(store.load(spec, 0), Store(tmp_path / "whole", LAYER.name).load(spec, 0))
    assert not store.checkpoints(spec, 0).exists()


def stamp(store: Store, spec: TrainSpec) -> int:
    path = store.checkpoints(spec, 0) / NAME
    return path.stat().st_mtime_ns if path.exists() else 0
