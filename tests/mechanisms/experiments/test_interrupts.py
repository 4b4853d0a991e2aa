"""Interrupts: waiting while something must not be cut short, and delivered after it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from mechanisms.system.signals import held_back, insistent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_held_back_signal_comes_at_the_end(number):
    done = []

    def work():
        with held_back(), held_back():
            signal.raise_signal(number)
            done.append("all of it")

    with insistent() as heard:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert heard == [number]
    assert done == ["all of it"]


IN_MADE_CODE = """
import signal, sys
from mechanisms.command_line.framework import guarded
sys.exit(guarded("here", lambda: exec(f"signal.raise_signal(signal.{sys.argv[1]})", {"signal": signal})))
"""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_exit_status_is_kept_where_code_made_from_text_was_interrupted(name, status, tmp_path):
    (tmp_path / "here.py").write_text(IN_MADE_CODE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    words = [sys.executable, "-m", "here", name]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (status, "here: stopped")


def test_handlers_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with insistent(), held_back():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_is_swallowed_comes_again(monkeypatch):
    monkeypatch.setattr("mechanisms.system.signals.SECONDS_BETWEEN_REMINDERS", 0.01)
    with insistent() as heard:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            threading.Event().wait(10)
    assert len(heard) >= 2


def test_other_threads_hold_nothing_back():
    handlers = []

    def look():
        before = signal.getsignal(signal.SIGINT)
        with held_back():
            handlers.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [True]
