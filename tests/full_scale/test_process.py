"""What is around a training: settings of the process, several processes, checkpoints, and trainings that fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from full_scale.models.basic_net import BasicNet
from full_scale.suite import LAYER
from full_scale.training.checkpoints import NAME, Checkpoints
from full_scale.training.context import _own_gpu, computing, memory_named
from full_scale.training.distributed import Workers
from full_scale.training.loop import Training, run
from full_scale.training.spec import TrainSpec
from mechanisms.command_line.framework import main
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.records.store import Store
from mechanisms.records.suites import Layer
from mechanisms.sweeps.runner import run_all
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError

ALWAYS = RunContext(checkpoint_every=0)

ROOT = Path(__file__).parents[2]
TINY = TrainSpec(
    network=BasicNet(width=1 / 32),
    rule=Adam(),
    regularizer=L2(strength=1e-2),
    learning_rate=1e-2,
    batch_size=20,
    steps=2,
    measurements=1,
)
DIVERGING = dataclasses.replace(TINY, rule=SGD(), learning_rate=1e35)
CPU = torch.device("cpu")


@pytest.mark.parametrize("spec", [TINY, DIVERGING], ids=["whole", "failed"])
def test_random_numbers_of_the_process_go_on_as_if_nothing_had_been_computed(spec: TrainSpec) -> None:
    before = torch.random.get_rng_state()
    with contextlib.suppress(UserError), computing():
        torch.manual_seed(5)
        run(spec, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_only_a_lack_of_memory_becomes_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), memory_named("buy more"):
        raise RuntimeError("something else")

    def greedy(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory\nat many places")

    monkeypatch.setattr(Training, "_update", greedy)
    with pytest.raises(UserError, match=r"^[^\n]*batch_size below 20 or a smaller network\.width \(now 0\.03125\)$"):
        run(TINY, 0)


@pytest.mark.parametrize(
    ("batch_size", "shards", "message"),
    [
        (20, 1, r"batch_size = 20 on 3 processes: use a multiple of 3"),
        (21, 7, r"norm_shards = 7 on 3 processes: use norm_shards=3"),
    ],
)
def test_what_processes_cannot_share_is_one_line(
    batch_size: int, shards: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=rf"^{message}[^\n]*$"):
        Workers(batch_size, shards, CPU)


@pytest.mark.parametrize(("worker", "local_rank", "chosen"), [(0, None, 0), (5, None, 1), (3, None, 3), (0, "2", 2), (1, "3", 3)])
def test_workers_take_the_gpus_of_a_machine_in_turn(
    worker: int, local_rank: str | None, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert _own_gpu(RunContext(worker=worker), 4) == chosen


def test_a_parameter_that_is_not_finite_is_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with computing():
        training = Training(dataclasses.replace(TINY, steps=5), 0, tmp_path, ALWAYS)
        steps = training.steps()
        assert [next(steps), next(steps)] == [1, 2]
        step = training.optimizer.step

        def spoiling(scale: float) -> None:
            step(scale)
            next(training.network.module.parameters()).data.view(-1)[0] = torch.nan

        monkeypatch.setattr(training.optimizer, "step", spoiling)
        with pytest.raises(UserError, match=r"diverged.*step 3 of 5"):
            list(steps)
    kept = Training(dataclasses.replace(TINY, steps=5), 0, tmp_path, ALWAYS).checkpoints.load(CPU)
    assert kept["done"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in kept["module"].values())
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_only_the_process_that_writes_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Checkpoints(tmp_path, {}, writes=False, every=0).offer(lambda: {"number": 2})
    assert not any(tmp_path.iterdir())
    Checkpoints(tmp_path, {}, every=0).offer(lambda: {"number": 1})
    assert Checkpoints(tmp_path, {}, writes=False).load(CPU) == {"number": 1}


RANK = """
import json, sys
from pathlib import Path
from tests.full_scale.test_process import statistics_in_bfloat16
print(json.dumps(statistics_in_bfloat16(Path(sys.argv[1]))))
"""


def statistics_in_bfloat16(folder: Path) -> list[Any]:
    """What the first normalization puts out in each training step (dtype, then running statistics); whether synchronized."""
    training = Training(dataclasses.replace(TINY, precision="bfloat16"), 0, folder, ALWAYS)
    norm: Any = training.network.layers[0].norm
    found = list[Any]()

    def record(module: Any, _: Any, output: torch.Tensor) -> None:
        if module.training:
            found.append([str(output.dtype), *norm.running_mean.tolist(), *norm.running_var.tolist()])

    norm.register_forward_hook(record)
    with computing():
        training.run()
    return [found, training.workers.synchronized]


def on_two_processes(folder: Path) -> list[Any]:
    """What each of two processes on one training prints; each has a folder of its own for checkpoints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(folder / rank)],
            cwd=ROOT,
            env={**common, "RANK": rank, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert not any(status for _, _, status in ended), ended
    return [json.loads(printed) for printed, _, _ in ended]


def test_bfloat16_on_two_processes_has_float32_statistics_of_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics agree with one process to float32 rounding, far below the 2⁻⁹ of bfloat16; only the first process saves."""
    alone, _ = statistics_in_bfloat16(tmp_path / "alone")
    for found, synchronized in on_two_processes(tmp_path):
        assert synchronized
        assert [step[0] for step in found] == [step[0] for step in alone] == ["torch.bfloat16"] * 2
        assert found[0][1:] == pytest.approx(alone[0][1:], rel=1e-5, abs=1e-6)
    assert [(tmp_path / folder / NAME).exists() for folder in ("alone", "0", "1")] == [True, True, False]


@pytest.mark.parametrize("together", [1, 4], ids=["one by one", "in turn"])
def test_one_failing_run_does_not_stop_the_others(together: int, tmp_path: Path) -> None:
    first = dataclasses.replace(DIVERGING, learning_rate=2e35)
    specs, store = (first, TINY, DIVERGING, dataclasses.replace(TINY, steps=1)), Store(tmp_path, LAYER.name)
    message = r"^2 of 4 runs are missing, the others are on record: training diverged[^\n]* below 2e\+35$"
    with pytest.raises(UserError, match=message):
        run_all(LAYER, store, specs, (0,), together=together)
    assert [store.has(spec, 0) for spec in specs] == [False, True, False, True]


WITHOUT_TORCH = """
import pandas as pd
from mechanisms.validation import UserError
from mechanisms.system.context import RunContext

def run(spec, seed):
    if spec.steps == 2:
        raise UserError("two steps are none")
    return {"features": pd.DataFrame({"step": [0], "layer": "conv1", "feature": 0, "scale": 1.0})}, {}
"""


def test_one_failing_run_does_not_stop_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_torch.py").write_text(WITHOUT_TORCH, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    layer = Layer(LAYER.name, LAYER.experiments, run="without_torch:run", summarize=LAYER.summarize)
    specs, store = [dataclasses.replace(TINY, steps=steps) for steps in (1, 2, 3)], Store(tmp_path, LAYER.name)
    with pytest.raises(UserError, match=r"^1 of 3 runs are missing, the others are on record: two steps are none$"):
        run_all(layer, store, specs, (0,), jobs=2)
    assert [store.has(spec, 0) for spec in specs] == [True, False, True]


@pytest.mark.parametrize("together", ["1", "4"])
def test_the_command_line_says_what_failed_first(together: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["network.normalization=none", "network.width=0.03125", "batch_size=20", "steps=1", "measurements=1"]
    options = ["--seeds", "1", "--together", together, "--runs", str(tmp_path)]
    assert main(LAYER, ["run", "decayed_parameters", *words, *options]) == 2
    printed = capsys.readouterr()
    assert "1 of 4 runs are missing, the others are on record: decayed = norm selects no" in printed.err.splitlines()[-1]
    store, specs = Store(tmp_path, LAYER.name), LAYER.specs("decayed_parameters", words)
    assert {spec.decayed: store.has(spec, 0) for spec in specs} == {"all": True, "no_norm": True, "norm": False, "conv": True}
