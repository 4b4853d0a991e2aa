"""Sweeps on a Dask cluster of processes on loopback: workers and the scheduler are killed, and no record is lost."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mechanisms.sweeps import executors
from mechanisms.validation import UserError

SPEC = importlib.util.spec_from_file_location("sweeping", Path(__file__).with_name("sweeping.py"))
sweeping = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sweeping)

pytest.importorskip("distributed", reason="a cluster needs implicit-filter-sparsity[cluster]")
UNITS = 40


def written(place):
    """The content of a file, as far as it is there by now."""
    return place.read_text(encoding="utf-8") if place.exists() else ""


@pytest.fixture
def cluster(tmp_path):
    """(address, scheduler, two workers with the resource GPU=1)."""
    place = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(place), "--no-dashboard"]
    workers = [*common, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--resources", "GPU=1", "--local-directory"]
    with contextlib.ExitStack() as stack:
        scheduler = started(stack, tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", *common)
        two = [started(stack, tmp_path, "worker", *workers, str(tmp_path / name)) for name in "ab"]
        sweeping.wait_until(lambda: "}" in written(place)[-2:], "the scheduler listens")
        yield json.loads(written(place))["address"], scheduler, two


def started(stack, folder, *words):
    command = [sys.executable, "-m", "dask", *words]
    process = subprocess.Popen(command, env=sweeping.surroundings(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(lambda: (process.kill(), process.wait()))
    return process


def begun(folder, number):
    sweeping.wait_until(lambda: len(sweeping.log(folder)) >= number, f"{number} runs begun")


def test_a_killed_worker_loses_nothing(cluster, tmp_path):
    address, _, workers = cluster
    words = ["run", "many", "--seeds", "4", "--cluster", address]
    sweep = sweeping.start(tmp_path, *words)
    sweeping.wait_until(lambda: len({pid for *_, pid in sweeping.log(tmp_path)}) == 2, "both workers at work")
    begun(tmp_path, 12)
    workers[0].send_signal(signal.SIGKILL)
    status, said = sweeping.finish(sweep)
    assert status == 0, said
    sweeping.assert_whole(tmp_path, UNITS)
    runs = [run[:2] for run in sweeping.log(tmp_path)]
    assert len(set(runs)) == UNITS
    assert len(runs) <= UNITS + 1, "what the killed worker had begun, and nothing else, is made again"
    assert {run for run in runs if runs.count(run) > 1} <= {run[:2] for run in sweeping.log(tmp_path) if run[2] == workers[0].pid}
    manifest = json.loads(next(iter(sweeping.records(tmp_path))).joinpath("manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == ["slow_layer.py", *words, "--runs", "runs"]


def test_a_killed_scheduler_is_one_line_and_the_next_call_makes_the_rest(cluster, tmp_path):
    address, scheduler, _ = cluster
    sweep = sweeping.start(tmp_path, "run", "many", "--seeds", "4", "--cluster", address)
    begun(tmp_path, 8)
    scheduler.send_signal(signal.SIGKILL)
    status, said = sweeping.finish(sweep)
    assert status == 2
    last = said.strip().splitlines()[-1]
    assert "the workers are lost" in last
    assert last.endswith("the same command continues")
    assert "Traceback" not in said
    before = len(sweeping.records(tmp_path))
    assert 0 < before < UNITS
    status, said = sweeping.finish(sweeping.start(tmp_path, "run", "many", "--seeds", "4", "--jobs", "2"))
    assert status == 0, said
    sweeping.assert_whole(tmp_path, UNITS)


def test_an_address_without_a_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr(executors, "SECONDS_TO_ANSWER", 1)
    with pytest.raises(UserError, match=r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9 [^\n]*$"):
        executors.on_cluster("tcp://127.0.0.1:9")().__enter__()


def test_runs_ask_for_their_share_of_a_gpu(cluster, tmp_path):
    """The same executor that `--device cuda --gpu-share X` uses, on workers that say they have one GPU each."""
    with executors.on_cluster(cluster[0], gpu_share=0.5)() as executor:
        assert executor.submit(os.getpid).result(timeout=sweeping.PATIENCE) in {worker.pid for worker in cluster[2]}
