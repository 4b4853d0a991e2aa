"""The choice of the engine: compiled; NumPy where numba, a dependency, not a condition, is missing; torch for its optimizers."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mechanisms.law.abstract_rules import AbstractUpdateRule
from mechanisms.law.torch_rules import TorchRule
from mechanisms.system.signals import held_back
from mechanisms.validation import require_choice
from toy.engines import numpy_backend as interpreted
from toy.engines import torch_backend as driven
from toy.engines.advance import Advance

SWITCH = "TOY_ENGINE"
"""Environment variable: "interpreted" asks for the NumPy engine."""


@dataclass(frozen=True)
class Engine:
    """A way to run the loop; `toy.engines.advance` documents what `build` returns, `toy.engines.numpy_backend` the rest.

    Attributes:
        joint: whether all features of all settings are lanes together, for an engine whose steps cost much whatever their width.
    """

    name: str
    build: Callable[..., Advance]
    fill_visits: Callable[..., Any]
    joint: bool = False


INTERPRETED = Engine("interpreted", interpreted.build, interpreted.fill_visits)


@functools.cache
def choose_engine() -> Engine:
    """The compiled engine; the NumPy engine, saying so once, where numba cannot be imported or `TOY_ENGINE=interpreted`."""
    asked = os.environ.get(SWITCH) or "compiled"
    require_choice(SWITCH, asked, ("compiled", "interpreted"))
    if asked == "interpreted":
        return INTERPRETED
    try:
        with held_back():
            from toy.engines import numba_backend as compiled
    except ImportError as error:
        print(f"toy: the compiled engine is not available ({error}); NumPy is used, many times slower", file=sys.stderr)
        return INTERPRETED
    return Engine("compiled", compiled.build, compiled.fill_visits)


def engine_for(rule: AbstractUpdateRule, general: Engine) -> Engine:
    """The engine that runs a rule: `general`, but torch itself for a torch optimizer."""
    if not isinstance(rule, TorchRule):
        return general
    return Engine("torch", lambda _, *rest: driven.build(rule, *rest), general.fill_visits, joint=True)
