"""Sweeps in processes of their own: several on one folder, killed at any moment, on a disk that is full."""

import contextlib
import importlib.util
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from mechanisms.sweeps.locks import is_dead, read

SPEC = importlib.util.spec_from_file_location("sweeping", Path(__file__).with_name("sweeping.py"))
sweeping = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sweeping)

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc to look at other processes")
MANY = ["run", "many", "--seeds", "4"]
UNITS = 40


def test_two_sweeps_on_one_folder_lose_nothing_and_share_the_work(tmp_path):
    both = [sweeping.start(tmp_path, *MANY, "--jobs", "2") for _ in range(2)]
    ended = [sweeping.finish(process) for process in both]
    assert [status for status, _ in ended] == [0, 0], ended
    sweeping.assert_whole(tmp_path, UNITS)
    assert len(sweeping.log(tmp_path)) <= UNITS + 4
    assert not list(tmp_path.rglob("*.running"))


def test_killed_at_several_moments_and_completed_by_the_next_call(tmp_path):
    for lines in (1, 12, 25):
        process = sweeping.start(tmp_path, *MANY, "--jobs", "2", start_new_session=True)
        sweeping.wait_until(lambda lines=lines: len(sweeping.log(tmp_path)) >= lines, "enough runs begun")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        sweeping.wait_until(lambda: not sweeping.processes_that_mention(str(tmp_path / "log")), "all workers ended")
        sweeping.assert_whole(tmp_path, len(sweeping.records(tmp_path)))
    status, said = sweeping.finish(sweeping.start(tmp_path, *MANY, "--jobs", "2"))
    assert status == 0, said
    sweeping.assert_whole(tmp_path, UNITS)
    # One killed between its last two steps leaves its mark beside a whole record.
    assert all(is_dead(read(path)) for path in tmp_path.rglob("*.running"))


def test_a_killed_worker_is_replaced(tmp_path):
    process = sweeping.start(tmp_path, *MANY, "--jobs", "2")
    sweeping.wait_until(lambda: len(sweeping.log(tmp_path)) >= 5, "five runs begun")
    with contextlib.suppress(ProcessLookupError):
        os.kill(sweeping.log(tmp_path)[-1][2], signal.SIGKILL)
    status, said = sweeping.finish(process)
    assert status == 0, said
    sweeping.assert_whole(tmp_path, UNITS)


def test_what_fails_is_named_and_written_down_and_the_rest_is_made(tmp_path):
    status, said = sweeping.finish(sweeping.start(tmp_path, "run", "mixed", "--seeds", "1", "--jobs", "2"))
    assert status == 2
    assert "3 of 4 runs are missing, the others are on record" in said.splitlines()[-1]
    sweeping.assert_whole(tmp_path, 1)
    notes = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("*.failed")]
    errors = sorted(note["error"].partition(" (")[0] for note in notes)
    assert errors == ["ZeroDivisionError: a defect", "its process was killed 2 times", "this one fails"]
    assert any("ZeroDivisionError" in note.get("traceback", "") for note in notes)
    assert [number for number, *_ in sweeping.log(tmp_path)].count(2) in (2, 3)


def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing_half_done(tmp_path):
    """A limit on the size of files stands for a full disk: the system refuses to write on."""
    (tmp_path / "log").touch()
    process = sweeping.start(tmp_path, *MANY, "--jobs", "2")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (400, 400))  # while it imports; its workers inherit the limit
    status, said = sweeping.finish(process)
    assert status == 2
    last = said.strip().splitlines()[-1]
    assert "could not be written (File too large)" in last
    assert "0 of 40 runs are on record, the same command continues" in last
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("seed_*.partial*"))
    assert len(sweeping.log(tmp_path)) < UNITS
    status, said = sweeping.finish(sweeping.start(tmp_path, *MANY, "--jobs", "2"))
    assert status == 0, said
    sweeping.assert_whole(tmp_path, UNITS)
