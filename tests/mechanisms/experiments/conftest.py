"""A layer of two lines, so that the bookkeeping is tested without simulations or trainings."""

import sys
import types
from dataclasses import dataclass, field

import pandas as pd
import pytest

from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.records.suites import Layer
from mechanisms.validation import require_whole


@dataclass(frozen=True, kw_only=True)
class TinySpec:
    """A spec with one choice and one whole number."""

    steps: int = 3
    regularizer: AbstractRegularizer = field(default_factory=lambda: L2(strength=0.5))

    def __post_init__(self):
        require_whole("steps", self.steps, 1)


def run_tiny(spec, seed):
    table = pd.DataFrame(
        {"step": range(spec.steps), "layer": "toy", "feature": 0, "scale": [seed + spec.regularizer.strength] * spec.steps}
    )
    return {"features": table}, {"engine": "none"}


def summarize_tiny(store, specs, seeds):
    return store.collect(specs, seeds, "features").groupby("spec.steps", as_index=False)["scale"].mean()


@pytest.fixture
def tiny_layer(monkeypatch):
    """Two experiments: `one` with one spec, `two` with two."""
    experiments, code = types.ModuleType("tiny_experiments"), types.ModuleType("tiny_code")

    def one():
        """One spec."""
        return (TinySpec(),)

    def two():
        """Two specs."""
        return (TinySpec(), TinySpec(steps=4))

    for function in (one, two):
        function.__module__ = experiments.__name__
        setattr(experiments, function.__name__, function)
    code.run, code.summarize = run_tiny, summarize_tiny
    monkeypatch.setitem(sys.modules, experiments.__name__, experiments)
    monkeypatch.setitem(sys.modules, code.__name__, code)
    return Layer(name="tiny", experiments="tiny_experiments", run="tiny_code:run", summarize="tiny_code:summarize")
