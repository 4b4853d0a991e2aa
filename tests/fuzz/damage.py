"""Damaged and malicious input: how much of it is tried.

`HYPOTHESIS_PROFILE=long python -m pytest tests/fuzz` tries for half an hour what the usual run tries for seconds.
"""

import contextlib
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mechanisms.validation import UserError

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("usual", max_examples=40, **COMMON)
settings.register_profile("long", max_examples=5_000, **COMMON)
FUZZ = settings.get_profile("long" if os.environ.get("HYPOTHESIS_PROFILE") == "long" else "usual")


@st.composite
def damaged(draw, content):
    """`content` with one to four changes: bytes replaced, a piece removed, doubled, zero, or the end missing."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, max(len(changed) - 1, 0)))
        size = draw(st.integers(1, 64))
        piece = changed[first : first + size]
        replaced = {
            "bytes": draw(st.binary(min_size=len(piece), max_size=len(piece))),
            "removed": b"",
            "doubled": piece * 2,
            "zero": bytes(len(piece)),
        }
        kind = draw(st.sampled_from([*replaced, "end"]))
        changed = changed[:first] if kind == "end" else changed[:first] + replaced[kind] + changed[first + size :]
    return bytes(changed)


@contextlib.contextmanager
def understood_or_refused():
    """Within it, the only error that may come is one line to the user."""
    try:
        yield
    except UserError as refusal:
        if "\n" in str(refusal):
            raise AssertionError(f"more than a line: {refusal}") from None
