"""Marks: one owner at a time, given up when it dies or falls silent, whatever any clock says."""

import os
import subprocess
import sys

import pytest

from mechanisms.sweeps import locks as marks
from mechanisms.sweeps.locks import Mark, Watch, beating, owner_of, read, take
from mechanisms.system.processes import machine, process_name

HOUR = 3600


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spec" / "seed_0.running"


def foreign(path, beats=0):
    """A mark of a process of another machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'{"sweep": "theirs", "process": "0badcafe-1", "machine": "far"}\n%012d\n' % beats)
    return path.read_bytes()


def test_a_mark_is_taken_once_and_is_gone_after(path):
    mark = take(path, "ours")
    assert isinstance(mark, Mark)
    assert owner_of(read(path))["process"] == process_name(os.getpid())
    assert take(path, "theirs") == read(path)
    with beating([mark]):
        assert path.exists()
    assert not path.exists()


def test_the_same_sweep_takes_its_mark_back(path):
    first, second = take(path, "ours"), take(path, "ours")
    assert isinstance(second, Mark)
    first.release()
    assert path.exists(), "the first owner took away what is no longer its own"
    second.release()
    assert not path.exists()


def test_a_dead_process_of_this_machine_loses_its_mark(path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"sweep": "theirs", "process": "{machine()}-{ended.pid}"}}\n')
    assert isinstance(take(path, "ours"), Mark)


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_clocks_that_differ_by_an_hour_change_nothing(path, ahead):
    content = foreign(path)
    now = path.stat().st_mtime
    os.utime(path, (now + ahead, now + ahead))
    assert take(path, "ours") == content
    assert isinstance(take(path, "ours", stale=content), Mark)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]\n", b"\xff\xfe", b'{"process": 3}\n'])
def test_a_mark_that_says_nothing_belongs_to_somebody_until_it_was_watched(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert take(path, "ours") == content
    assert isinstance(take(path, "ours", stale=content), Mark)


def test_a_mark_that_changed_since_it_was_watched_is_left_alone(path):
    stale = foreign(path, beats=1)
    content = foreign(path, beats=2)
    assert take(path, "ours", stale=stale) == content


def test_owners_change_their_marks(path, monkeypatch):
    monkeypatch.setattr(marks, "BEAT", 0.01)
    mark = take(path, "ours")
    before = read(path)
    with beating([mark]):
        while read(path) == before:
            pass
        assert read(path).startswith(mark.owner)


def test_an_owner_that_lost_its_mark_does_not_touch_the_next(path):
    mark = take(path, "ours")
    content = foreign(path)
    mark.beat(7)
    mark.release()
    assert read(path) == content


def test_a_watch_measures_on_its_own_clock(path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(marks.time, "monotonic", lambda: now[0])
    watch = Watch(patience=60)
    assert not watch.unchanged(path, b"1")
    now[0] = 59
    assert not watch.unchanged(path, b"2"), "it changed"
    now[0] = 118
    assert not watch.unchanged(path, b"2")
    now[0] = 119
    assert watch.unchanged(path, b"2")


def test_where_no_mark_can_be_made_work_goes_on_without(tmp_path):
    (tmp_path / "file").touch()
    mark = take(tmp_path / "file" / "seed_0.running", "ours")
    with beating([mark]):
        pass
    assert mark.owner == b""
