"""The knobs of the explorer: a menu for each choice, a slider for each number, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.models import Select, Slider

from figures.explorer.state import CHOICES, MODELS, RANGES, WHOLE, State

TITLES = {
    "model": "What the feature consists of",
    "rule": "Update rule",
    "coupling": "Coupling of L2",
    "strength": "Strength λ",
    "learning_rate": "Learning rate η",
    "beta2": "β2",
    "epsilon": "ε",
    "batch_size": "Batch size B",
    "selectivity": "Selectivity, share of exemplars without it",
    "noise": "Gradient noise σ",
    "steps": "Steps",
}
COMPLEMENTS = ("beta2", "selectivity")
"""Knobs on which 1 − value moves on the logarithmic scale."""
STOPS = 200


def place(knob: str, value: float) -> float:
    """Where a value is on the slider: its logarithm, or that of 1 − value with the other sign."""
    return float(-np.log10(1 - value)) if knob in COMPLEMENTS else float(np.log10(value))


def value_at(knob: str, where: float) -> float | int:
    """The value at a place of a slider, to three digits and within its range."""
    low, high = RANGES[knob]
    if knob in WHOLE:
        return int(np.clip(round(10**where), low, high))
    value = 1 - float(f"{10**-where:.2e}") if knob in COMPLEMENTS else float(f"{10**where:.2e}")
    return float(np.clip(float(f"{value:.6g}"), low, high))


class Knobs:
    """The widgets; `turned(knob, value)` is called when the visitor turns one, not when they follow a state."""

    def __init__(self, turned: Callable[[str, Any], None]) -> None:
        self._turned = turned
        self._following = False
        self.menus = {name: self._menu(name) for name in CHOICES}
        self.sliders = {name: self._slider(name) for name in RANGES}
        self.widgets = [*self.menus.values(), *self.sliders.values()]

    def _menu(self, name: str) -> Select:
        options = list(MODELS.items()) if name == "model" else list(CHOICES[name])
        menu = Select(title=TITLES[name], value=CHOICES[name][0], options=options, name=name, width=310)
        menu.on_change("value", lambda _, __, new: self._tell(name, new))
        return menu

    def _slider(self, name: str) -> Slider:
        low, high = sorted(place(name, value) for value in RANGES[name])
        step = (high - low) / STOPS
        slider = Slider(start=low, end=high, value=low, step=step, show_value=False, title=TITLES[name], name=name, width=310)
        # Not throttled by the mouse: a picture is drawn while a knob is turned.
        slider.on_change("value", lambda _, __, new: self._tell(name, value_at(name, new)))
        return slider

    def _tell(self, name: str, value: Any) -> None:
        if not self._following:
            self._turned(name, value)

    def follow(self, state: State) -> None:
        """Sets every knob to a state, without telling."""
        self._following = True
        try:
            for name, menu in self.menus.items():
                menu.value = getattr(state, name)
            for name, slider in self.sliders.items():
                value = getattr(state, name)
                slider.title = f"{TITLES[name]} = {value:g}"
                slider.disabled = not state.matters(name)
                if value != value_at(name, slider.value):
                    slider.value = float(np.clip(place(name, value), slider.start, slider.end))
        finally:
            self._following = False
