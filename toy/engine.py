"""The choice between the compiled and the NumPy engine: numba is a dependency, not a condition."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toy import interpreted

SWITCH = "TOY_ENGINE"
"""Environment variable: "interpreted" asks for the NumPy engine."""


@dataclass(frozen=True)
class Engine:
    """A way to run the loop; the two functions are documented in `toy.interpreted`."""

    name: str
    build: Callable[..., Callable[..., None]]
    fill_visits: Callable[..., Any]


INTERPRETED = Engine("interpreted", interpreted.build, interpreted.fill_visits)


@functools.cache
def choose_engine() -> Engine:
    """The compiled engine; the NumPy engine, saying so once, where numba cannot be imported or `TOY_ENGINE=interpreted`."""
    if os.environ.get(SWITCH) == "interpreted":
        return INTERPRETED
    try:
        from toy import compiled
    except ImportError as error:
        print(f"toy: the compiled engine is not available ({error}); NumPy is used, a hundred times slower", file=sys.stderr)
        return INTERPRETED
    return Engine("compiled", compiled.build, compiled.fill_visits)
