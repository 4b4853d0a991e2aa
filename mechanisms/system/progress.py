"""How far a sweep is: one bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from mechanisms.system.console import in_one_line

SECONDS_BETWEEN_LINES = 1.0
"""Runs that end within a second of the last line have none of their own in a log."""


def say(line: str) -> None:
    """One line to the person who waits, on standard error, above a progress bar if there is one."""
    tqdm.write(in_one_line(line), file=sys.stderr)


def in_words(seconds: float) -> str:
    """A duration as people say it.

    >>> in_words(3.21), in_words(250), in_words(9000), in_words(400_000)
    ('3.2 s', '4 min', '2 h 30 min', '4 d 15 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def rate_in_words(a_second: float) -> str:
    """A rate of runs in the largest unit of time in which it is below 100, or in the smallest.

    >>> rate_in_words(0.005), rate_in_words(0.5), rate_in_words(12)
    ('18/h', '30/min', '12/s')
    """
    for name, seconds in (("h", 3600), ("min", 60)):
        if a_second * seconds < 100:
            return f"{a_second * seconds:.3g}/{name}"
    return f"{a_second:.3g}/s"


class Progress:
    """Counts the runs of one sweep; a context manager that shows them."""

    def __init__(self, title: str, total: int, done: int, quiet: bool = False) -> None:
        self.title = title
        self.total = total
        self.done = done
        self.failed = 0
        self._quiet = quiet
        self._at_start = done
        self._started = time.monotonic()
        self._last_line = float("-inf")

    def __enter__(self) -> Progress:
        if self.done and not self._quiet:
            say(f"{self.done} of {self.total} runs are on record")
        shown = sys.stderr.isatty() and not self._quiet
        self._bar = tqdm(total=self.total, initial=self.done, unit="run", disable=not shown, file=sys.stderr)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bar.close()

    def add_done(self, name: str, what: str) -> None:
        """One more record is there."""
        self.done += 1
        self._bar.update()
        self._line(f"{name}: {what}")

    def add_failed(self, name: str, why: str) -> None:
        """One run failed; told at once if others were made: where none can be, the error that ends the sweep says it all."""
        self.failed += 1
        if not self._bar.disable:
            self._bar.set_postfix(failed=self.failed)
        if self.done > self._at_start:
            self._line(f"{name}: failed, {why}", always=True)

    def _line(self, text: str, always: bool = False) -> None:
        now = time.monotonic()
        due = always or self.done == self.total or now - self._last_line >= SECONDS_BETWEEN_LINES
        if self._quiet or not due or not (self._bar.disable or always):
            return
        self._last_line = now
        say(f"[{self.done}/{self.total}] {self.title} {text}{self._outlook(now)}")

    def _outlook(self, now: float) -> str:
        made, left = self.done - self._at_start, self.total - self.done - self.failed
        rate = made / max(now - self._started, 1e-9)
        told = [f"{rate_in_words(rate)}, {in_words(left / rate)} left"] if made and left else []
        told += [f"{self.failed} failed"] if self.failed else []
        return f" ({', '.join(told)})" if told else ""
