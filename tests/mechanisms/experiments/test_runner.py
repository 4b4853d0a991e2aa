"""Sweeps: finished runs are skipped, damaged ones kept aside and made again, an interruption loses nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mechanisms.records.store import Store
from mechanisms.sweeps.runner import run_all
from mechanisms.system.processes import process_name as _process
from mechanisms.validation import InvalidValue, UserError


def test_makes_what_is_missing_and_nothing_else(tiny_layer, tmp_path, capsys):
    store, specs = Store(tmp_path, "tiny"), tiny_layer.specs("two")
    assert run_all(tiny_layer, store, specs[:1], range(2)) == 2
    assert run_all(tiny_layer, store, specs, range(2)) == 2
    assert "2 of 4 runs are on record" in capsys.readouterr().err
    assert run_all(tiny_layer, store, specs, range(2)) == 0


def test_a_damaged_record_is_named_kept_and_made_again(tiny_layer, tmp_path, capsys):
    store, specs = Store(tmp_path, "tiny"), tiny_layer.specs("one")
    run_all(tiny_layer, store, specs, range(1))
    folder = store.folder(specs[0], 0)
    (folder / "features.npz").write_bytes(b"rubbish")
    assert run_all(tiny_layer, store, specs, range(1)) == 1
    assert "checksum" in capsys.readouterr().err
    kept = list(folder.parent.glob("seed_0.damaged-*"))
    assert [(k / "features.npz").read_bytes() for k in kept] == [b"rubbish"]
    assert len(store.load(specs[0], 0)["features"]) == 3


def test_a_half_written_record_is_kept_aside(tiny_layer, tmp_path, capsys):
    store, specs = Store(tmp_path, "tiny"), tiny_layer.specs("one")
    partial = store.folder(specs[0], 0).with_name(f"seed_0.partial-{_process(999_999_999)}-12345678")
    partial.mkdir(parents=True)
    run_all(tiny_layer, store, specs, range(1))
    assert "half-written" in capsys.readouterr().err
    assert not partial.exists()
    assert store.has(specs[0], 0)


def test_what_a_living_process_is_writing_is_left_alone(tiny_layer, tmp_path):
    store, specs = Store(tmp_path, "tiny"), tiny_layer.specs("one")
    folder = store.folder(specs[0], 0)
    mine, foreign = (folder.with_name(f"seed_0.partial-{owner}-1") for owner in (_process(os.getpid()), "0badcafe-1"))
    for partial in (mine, foreign):
        partial.mkdir(parents=True)
    run_all(tiny_layer, store, specs, range(1))
    assert mine.exists()
    assert foreign.exists()


def test_jobs_must_be_positive(tiny_layer, tmp_path):
    with pytest.raises(InvalidValue, match="--jobs"):
        run_all(tiny_layer, Store(tmp_path, "tiny"), tiny_layer.specs("one"), range(1), jobs=0)


def test_memory_errors_become_one_line(tiny_layer, tmp_path, monkeypatch):
    def out_of_memory(spec, seed):
        raise MemoryError

    monkeypatch.setattr(sys.modules["tiny_code"], "run", out_of_memory)
    with pytest.raises(UserError, match="does not fit into memory"):
        run_all(tiny_layer, Store(tmp_path, "tiny"), tiny_layer.specs("one"), range(1))


LONG = ["run", "decay", "rule=adam", "steps=2000000", "features=300", "records=1", "--seeds", "4"]
needs_processes = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc to look at other processes")


def command(folder, *arguments):
    return [sys.executable, "-m", "toy", *arguments, "--runs", str(folder)]


def children(pid):
    """Process ids of the children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def interrupt(folder, jobs, number):
    """Starts a long sweep, sends it a signal in the middle; (exit status, standard error, its children then)."""
    with subprocess.Popen(command(folder, *LONG, "--jobs", jobs), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(list(folder.rglob("*.running"))) < int(jobs) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        workers = children(process.pid)
        process.send_signal(number)
        errors = process.communicate(timeout=30)[1]
    return process.returncode, errors, workers


def alive(pids):
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


@needs_processes
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_stops_cleanly_and_the_next_call_goes_on(jobs, tmp_path):
    status, errors, workers = interrupt(tmp_path, jobs, signal.SIGINT)
    assert status == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    assert not alive(workers)
    assert not list(tmp_path.rglob("*.partial*"))
    again = subprocess.run(command(tmp_path, "run", "decay", "rule=adam", "steps=20"), capture_output=True, timeout=60)
    assert again.returncode == 0


@needs_processes
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    status, _, workers = interrupt(tmp_path, "2", signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert len(workers) >= 2
    assert not alive(workers)
