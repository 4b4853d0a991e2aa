"""The report and the explorer in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from figures.explorer.state import OF_MODELS, PRESETS, RANGES, State

ROOT = Path(__file__).resolve().parents[2]
Visit = Callable[..., Any]
PATIENCE = 120_000
"""Milliseconds to wait for a picture whose rule has to be compiled first."""
DRAWN = "JSON.stringify(Bokeh.documents[0].get_model_by_name('{}').data)"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_fits_a_phone_and_a_screen(report: Callable[[], Path], visit: Visit, width: int) -> None:
    page = visit(report().as_uri(), width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_text("refuted").first.is_visible()


@pytest.fixture(scope="module")
def address(browser: Any) -> Iterator[str]:
    """An explorer of its own."""
    command = [sys.executable, "-m", "figures", "explore", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = [server.stderr.readline() for _ in range(2)]
        found = re.search(r"http://127\.0\.0\.1:\d+/", lines[1])
        assert found, lines
        yield found[0]
        server.terminate()


def opened(visit: Visit, address: str, state: State) -> Any:
    page = visit(address + state.link())
    shows(page, state)
    return page


def shows(page: Any, state: State) -> None:
    """Waits until the page shows a state."""
    page.wait_for_function(
        "link => window.Bokeh?.documents[0]?.get_model_by_name('link')?.value === link", arg=state.link(), timeout=PATIENCE
    )


def drawn(page: Any) -> Any:
    return [page.evaluate(DRAWN.format(name)) for name in ("mean", "push", "pull", "point")]


@pytest.mark.parametrize("model", ["selective", "low_gradient"])
def test_each_slider_changes_the_picture_and_the_link(visit: Visit, address: str, model: str) -> None:
    state = State(model=model, steps=2000, strength=1e-3)
    page = opened(visit, address, state)
    handles, before, pictures = page.locator(".noUi-handle"), state.link(), page.locator(".bk-Figure")
    assert handles.count() == len(RANGES)
    for index, knob in enumerate(RANGES):
        if model not in OF_MODELS.get(knob, (model,)):
            continue
        was = [picture.screenshot() for picture in pictures.all()]
        handles.nth(index).focus()
        page.keyboard.press("PageDown")
        page.wait_for_function("was => Bokeh.documents[0].get_model_by_name('link').value !== was", arg=before, timeout=PATIENCE)
        page.wait_for_timeout(300)
        before = page.evaluate("Bokeh.documents[0].get_model_by_name('link').value")
        assert page.evaluate("window.location.search") == before
        assert [picture.screenshot() for picture in pictures.all()] != was, knob


def test_a_preset_restores_what_a_knob_changed(visit: Visit, address: str) -> None:
    page = opened(visit, address, PRESETS["a selective feature"])
    before = drawn(page)
    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("PageDown")
    page.wait_for_function("was => window.location.search !== was", arg=PRESETS["a selective feature"].link())
    assert drawn(page) != before
    page.get_by_role("button", name="a selective feature").click()
    shows(page, PRESETS["a selective feature"])
    assert drawn(page) == before


def test_every_preset_is_one_click_away(visit: Visit, address: str) -> None:
    page = opened(visit, address, State(steps=300))
    for name, state in PRESETS.items():
        page.get_by_role("button", name=name).click()
        shows(page, state)
        page.get_by_text(f"{state.steps:,} steps, simulated and drawn in").wait_for()


def test_an_invalid_link_is_refused_with_a_message(visit: Visit, address: str) -> None:
    page = visit(address + "?strength=5")
    shows(page, PRESETS["a selective feature"])
    page.get_by_text("The link was refused: strength = 5.0 is not valid: use a number from 1e-06 to 0.1").wait_for()


def test_markup_in_a_link_is_shown_as_text(visit: Visit, address: str) -> None:
    page = visit(address + "?rule=<img src=x onerror=alert(1)>")
    page.get_by_text("rule = '<img src=x onerror=alert(1)>' is not valid: use one of").wait_for(timeout=PATIENCE)
    assert page.locator("img[src=x]").count() == 0
