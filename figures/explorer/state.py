"""The state of the explorer: what its knobs say, as a spec, a link and a command line, and the values they may have."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records.specs import choices, field_types, flatten
from mechanisms.validation import InvalidValue, require, require_choice
from toy.features.gradients import AbstractGradient, Dead, LowGradient, Product, Selective
from toy.spec import ToySpec

FEATURES = 8
RECORDS = 160
MODELS = {
    "selective": "one parameter w",
    "product": "two parameters: scale γ × outgoing weight v",
    "low_gradient": "noise alone (the paper's scalar)",
    "dead": "fell silent after 500 noisy steps",
}
RULES = tuple(choices(AbstractUpdateRule))
RANGES = {
    "strength": (1e-6, 0.1),
    "learning_rate": (1e-5, 1.0),
    "beta2": (0.5, 0.9999),
    "epsilon": (1e-16, 1e-2),
    "batch_size": (1, 512),
    "selectivity": (0.0, 0.9999),
    "noise": (1e-7, 0.1),
    "steps": (300, 100_000),
}
"""Knob → the smallest and the largest value, both included."""
WHOLE = ("batch_size", "steps")
CHOICES = {"model": tuple(MODELS), "rule": RULES, "coupling": COUPLINGS}
OF_MODELS = {"batch_size": ("selective", "product"), "selectivity": ("selective", "product"), "noise": ("low_gradient", "dead")}
"""Knob → the models that it means something to; the others mean something to all."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What the knobs say.

    Attributes:
        model: what the feature consists of: a name in `MODELS`.
        selectivity: 1 − p, the fraction of exemplars that do not use the feature.
        noise: standard deviation of the gradient where no exemplars are counted.
    """

    model: str = "selective"
    rule: str = "adam"
    coupling: str = "coupled"
    strength: float = 1e-4
    learning_rate: float = 1e-3
    beta2: float = 0.99
    epsilon: float = 1e-8
    batch_size: int = 40
    selectivity: float = 0.99
    noise: float = 1e-5
    steps: int = 20_000

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            require_choice(name, getattr(self, name), known)
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            whole = name in WHOLE
            fits = isinstance(value, int) if whole else isinstance(value, int | float) and math.isfinite(value)
            require(fits and low <= value <= high, name, value, f"a {'whole ' if whole else ''}number from {low:g} to {high:g}")

    @property
    def p(self) -> float:
        """The fraction of exemplars that use the feature."""
        return float(f"{1 - self.selectivity:.6g}")

    def matters(self, knob: str) -> bool:
        """Whether a knob means something to this model and rule."""
        if knob in ("beta2", "epsilon"):
            return knob in field_types(choices(AbstractUpdateRule)[self.rule])
        return self.model in OF_MODELS.get(knob, (self.model,))

    def spec(self) -> ToySpec:
        """The toy spec that is simulated."""
        kind: Any = choices(AbstractUpdateRule)[self.rule]
        given = {name: getattr(self, name) for name in ("beta2", "epsilon") if self.matters(name)}
        if "momentum" in field_types(kind) and not kind.normalizing:
            given["momentum"] = 0.9
        return ToySpec(
            gradient=self._gradient(),
            rule=kind(**given),
            regularizer=L2(strength=self.strength, coupling=self.coupling),
            learning_rate=self.learning_rate,
            steps=self.steps,
            features=FEATURES,
            records=RECORDS,
            initial_scale=0.7 if self.model == "product" else 1.0,
        )

    def _gradient(self) -> AbstractGradient:
        if self.model == "low_gradient":
            return LowGradient(sigma=self.noise)
        if self.model == "dead":
            return Dead(sigma=self.noise, alive_steps=500)
        kind = Product if self.model == "product" else Selective
        return kind(p=self.p, batch_size=self.batch_size)

    def link(self) -> str:
        """The query of a link that restores the state."""
        return "?" + urlencode({field.name: getattr(self, field.name) for field in fields(self)})

    def command(self) -> str:
        """The command that makes a record of the same spec."""
        spec, start = self.spec(), flatten(ToySpec())
        # What a choice brings along has its own defaults: those of the class that is chosen.
        plain = flatten(ToySpec(gradient=type(spec.gradient)(), rule=type(spec.rule)()))
        flat = flatten(spec)
        chosen = [name for name in ("gradient", "rule") if flat[name] != start[name]]
        changed = [f"{name}={value}" for name, value in flat.items() if name in chosen or plain[name] != value]
        return shlex.join(["python", "-m", "toy", "run", "single", *changed, "--seeds", "1"])


def from_query(query: Mapping[str, list[bytes]]) -> State:
    """The state that a link describes; raises `InvalidValue`, in one line, for what is unknown, unreadable or out of range."""
    known, found = {field.name: field for field in fields(State)}, {}
    for name, values in query.items():
        require(name in known, "the link's field", name, "one of " + ", ".join(known))
        require(len(values) == 1, name, len(values), "one value")
        found[name] = _read(name, values[0].decode("utf-8", "replace"))
    return State(**found)


def _read(name: str, text: str) -> Any:
    if name in CHOICES:
        return text
    low, high = RANGES[name]
    try:
        return int(text) if name in WHOLE else float(text)
    except ValueError:
        raise InvalidValue(f"{name} = {text[:40]!r} is not valid: use a number from {low:g} to {high:g}") from None


PRESETS = {
    "the paper's figure": State(model="low_gradient", strength=1e-4, beta2=0.999, noise=1e-5, steps=10_000),
    "a selective feature": State(),
    "sudden death": State(model="product", strength=1e-3, selectivity=0.994, steps=40_000),
    "a dead feature": State(model="dead", noise=1e-3, steps=10_000),
    "AdamW as PyTorch means it": State(coupling="decoupled", strength=1e-2),
}
