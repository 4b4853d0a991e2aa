"""The page of the explorer: knobs, three pictures, and what happens between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import Button, CustomJS, Div, TextInput

from figures.explorer.knobs import Knobs
from figures.explorer.pictures import Pictures
from figures.explorer.state import PRESETS, State, from_query
from figures.explorer.theory import curves, plane, remarks
from mechanisms.validation import InvalidValue
from toy.simulate import run as simulate

SEED = 0
KEEP_LINK = "window.history.replaceState(null, '', cb_obj.value)"


class Page:
    """One visitor's page."""

    def __init__(self, document: Document, query: Mapping[str, list[bytes]]) -> None:
        self.message = Div(
            text="", render_as_text=True, css_classes=["message"], styles={"color": "#9b1c1c", "font-weight": "bold"}
        )
        self.state = self._from_link(query)
        self.knobs = Knobs(self.turned)
        self.pictures = Pictures()
        self.status = Div(text="", render_as_text=True, css_classes=["status"])
        self.remarks = Div(text="", render_as_text=True, css_classes=["remarks"])
        self.command = TextInput(title="The same as a command", value="", sizing_mode="stretch_width")
        title = "A link that restores this page (it is in the address bar too)"
        self.link = TextInput(title=title, value="", name="link", sizing_mode="stretch_width")
        self.link.js_on_change("value", CustomJS(code=KEEP_LINK))
        document.title = "Implicit filter sparsity: one feature"
        document.add_root(self._layout())
        self.show(self.state)

    def _from_link(self, query: Mapping[str, list[bytes]]) -> State:
        """The state of the link, or the first one and a message."""
        try:
            return from_query(query)
        except InvalidValue as problem:
            self.message.text = f"The link was refused: {problem}. Shown is “a selective feature”."
            return PRESETS["a selective feature"]

    def _layout(self) -> Any:
        presets = [Button(label=name, width=190) for name in PRESETS]
        for button, state in zip(presets, PRESETS.values(), strict=True):
            button.on_click(self._shower(state))
        title = Div(text="<h1>One feature: what the loss, the optimizer and L2 make of it</h1>")
        left = column(Div(text="<b>Presets</b>"), *presets, *self.knobs.widgets, width=330)
        texts = (self.message, self.status, self.remarks, self.command, self.link)
        below = row(self.pictures.forces, self.pictures.plane, sizing_mode="stretch_width")
        right = column(*texts[:3], self.pictures.over_time, below, *texts[3:], sizing_mode="stretch_width")
        return column(title, row(left, right, sizing_mode="stretch_width"), sizing_mode="stretch_width")

    def _shower(self, state: State) -> Callable[[], None]:
        return lambda: self.show(state)

    def turned(self, knob: str, value: Any) -> None:
        """A knob was turned by the visitor."""
        self.show(replace(self.state, **{knob: value}))

    def show(self, state: State) -> None:
        """Simulates and draws a state; the knobs follow it."""
        if state != self.state:
            self.message.text = ""
        started = time.perf_counter()
        self.state = state
        spec = state.spec()
        features = simulate(spec, SEED)[0]["features"]
        self.knobs.follow(state)
        self.pictures.draw_time(_sizes(features), curves(spec), product=state.model == "product")
        self.pictures.draw_forces(features)
        self.pictures.draw_plane(plane(state))
        self.command.value, self.link.value = state.command(), state.link()
        self.remarks.text = " ".join(remarks(state))
        passed = 1000 * (time.perf_counter() - started)
        self.status.text = f"{spec.features} features, {spec.steps:,} steps, simulated and drawn in {passed:.0f} ms"


def _sizes(features: pd.DataFrame) -> pd.DataFrame:
    """|w| or |γ·v|: one row a recorded step, one column a feature."""
    sizes = features.assign(size=features["product"].abs()).pivot(index="step", columns="feature", values="size")
    return sizes.where(np.isfinite(sizes))
