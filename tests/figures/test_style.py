"""What every picture has in common: the legend of a figure covers nothing."""

import io

import matplotlib.pyplot as plt
import pytest

from figures.style import styled, write


@pytest.mark.parametrize("layout", ["constrained", "tight"])
def test_the_legend_of_a_figure_stands_below_its_panels(layout):
    with styled():
        figure, panels = plt.subplots(2, 1, figsize=(3, 4), layout="constrained" if layout == "constrained" else None)
        for axes in panels:
            axes.plot([0, 1], [0, 1], label="a line")
            axes.set_xlabel("a label")
        where = "outside lower center" if layout == "constrained" else "lower center"
        legend = figure.legend(*panels[0].get_legend_handles_labels(), loc=where)
        if layout == "tight":
            figure.tight_layout(rect=(0, 0.12, 1, 1))
        write(figure, io.BytesIO(), "svg")
    figure.draw_without_rendering()
    assert legend.get_window_extent().y1 <= min(axes.get_tightbbox().y0 for axes in panels)
