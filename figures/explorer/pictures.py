"""The three pictures of the explorer: size over time, forces over time, the phase diagram."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper
from bokeh.plotting import figure

from figures.explorer.state import FEATURES
from figures.explorer.theory import Plane, Points
from figures.panels.force_lines import averaged_forces
from figures.style import palette

SMALLEST = 1e-9
WEAKEST = 1e-12
"""The smallest force that is drawn."""
MOMENTS = 40
LINES = 2
"""Lines of theory that a picture has room for."""
DASHES = ("dashed", "dotted")
COLOURS = palette(4)


class Pictures:
    """Empty pictures, and what puts data into them."""

    def __init__(self) -> None:
        self.over_time, self.sizes, self.mean, self.theory = self._over_time()
        self.forces, self.push, self.pull = self._forces()
        self.plane, self.left, self.point, self.borders = self._plane()

    def _over_time(self) -> tuple[Any, ColumnDataSource, ColumnDataSource, list[Any]]:
        plot = _plot("steps", "|w|", height=330, y_range=(SMALLEST, 3), title="Size over time")
        sizes, mean = ColumnDataSource({"xs": [], "ys": []}), _points("mean")
        plot.multi_line("xs", "ys", source=sizes, color=COLOURS[0], alpha=0.25, legend_label=f"{FEATURES} features")
        plot.line("x", "y", source=mean, color=COLOURS[0], width=2.5, legend_label="their mean")
        theory = [_line(plot, "black", dash) for dash in DASHES]
        plot.legend.location = "bottom_left"
        return plot, sizes, mean, theory

    def _forces(self) -> tuple[Any, ColumnDataSource, ColumnDataSource]:
        plot = _plot("steps", "change of w in a step", height=330, title="Forces, mean over features")
        push, pull = _points("push"), _points("pull")
        plot.line("x", "y", source=push, color=COLOURS[0], width=2, legend_label="loss, away from zero")
        plot.line("x", "y", source=pull, color=COLOURS[1], width=2, line_dash="dashed", legend_label="regularizer, toward zero")
        plot.legend.location = "bottom_left"
        return plot, push, pull

    def _plane(self) -> tuple[Any, ColumnDataSource, ColumnDataSource, list[Any]]:
        plot = _plot("p", "λ", height=330, x_range=(1e-4, 1), y_range=(1e-6, 1e-1), title="Where this is")
        mapper = LinearColorMapper(palette="Viridis256", low=0, high=1)
        left = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        plot.image("image", x="x", y="y", dw="dw", dh="dh", source=left, color_mapper=mapper, alpha=0.8)
        self.bar = ColorBar(color_mapper=mapper, width=8, title="left")
        plot.add_layout(self.bar, "right")
        borders = [_line(plot, "black", dash) for dash in DASHES]
        point = _points("point")
        plot.scatter(
            "x", "y", source=point, marker="circle_cross", size=16, line_color="black", fill_color=COLOURS[1], line_width=2
        )
        return plot, left, point, borders

    def draw_time(self, sizes: pd.DataFrame, theory: dict[str, Points], *, product: bool) -> None:
        """One line a feature, their mean, and what the theory says."""
        shown, steps = sizes.clip(lower=SMALLEST / 10), sizes.index.to_numpy()
        self.sizes.data = {"xs": [steps] * shown.shape[1], "ys": [shown[name].to_numpy() for name in shown]}
        self.mean.data = {"x": steps, "y": shown.mean(axis=1).to_numpy()}
        self.over_time.y_range.start = max(SMALLEST, 0.3 * float(np.nanmin(shown.mean(axis=1))))
        self.over_time.yaxis.axis_label = "|γ·v|" if product else "|w|"
        _fill(self.over_time, self.theory, theory)

    def draw_forces(self, features: pd.DataFrame) -> None:
        """The push of the loss and the pull of the regularizer."""
        steps, push, pull = averaged_forces(features, MOMENTS)
        for source, force in ((self.push, push), (self.pull, pull)):
            source.data = {"x": steps.to_numpy(), "y": force.where(force > WEAKEST).to_numpy()}

    def draw_plane(self, plane: Plane) -> None:
        """The phase diagram with the point where the state lies."""
        plot = self.plane
        (plot.x_range.start, plot.x_range.end), (plot.y_range.start, plot.y_range.end) = plane.x_range, plane.y_range
        plot.xaxis.axis_label, plot.yaxis.axis_label = plane.x_label, plane.y_label
        corner = {name: [span[0]] for name, span in (("x", plane.x_range), ("y", plane.y_range))}
        size = {name: [span[1] - span[0]] for name, span in (("dw", plane.x_range), ("dh", plane.y_range))}
        empty: dict[str, list[Any]] = {name: [] for name in ("image", *corner, *size)}
        shown: dict[str, Any] = empty if plane.left is None else {"image": [plane.left], **corner, **size}
        self.left.data, self.bar.visible = shown, plane.left is not None
        plot.title.text = "Where this is" + (": what the theory leaves of a feature" if plane.left is not None else "")
        self.point.data = {"x": [plane.point[0]], "y": [plane.point[1]]}
        _fill(plot, self.borders, plane.lines)


def _plot(x: str, y: str, **how: Any) -> Any:
    """An empty plot on logarithmic axes."""
    look = {"x_axis_type": "log", "y_axis_type": "log", "sizing_mode": "stretch_width", "tools": "pan,wheel_zoom,reset,save"}
    plot = figure(x_axis_label=x, y_axis_label=y, min_width=320, **{**look, **how})
    plot.toolbar.logo = None
    return plot


def _points(name: str) -> ColumnDataSource:
    """Room for x and y, without data."""
    return ColumnDataSource({"x": [], "y": []}, name=name)


def _line(plot: Any, colour: str, dash: str) -> Any:
    """A line without data, and its entry in the legend."""
    return plot.line("x", "y", source=_points("theory"), color=colour, line_dash=dash, legend_label=dash, width=1.5)


def _fill(plot: Any, renderers: list[Any], lines: dict[str, Points]) -> None:
    """Puts lines into the renderers kept for them; legend entries follow, those without a line go."""
    entries = {entry.renderers[0]: entry for entry in plot.legend[0].items if entry.renderers}
    for renderer, line in zip(renderers, [*lines.items(), *[None] * (LINES - len(lines))], strict=True):
        label, (x, y) = line if line else ("", (np.array([]), np.array([])))
        renderer.data_source.data = {"x": x, "y": y}
        renderer.visible = entries[renderer].visible = bool(line)
        entries[renderer].label = {"value": label}
