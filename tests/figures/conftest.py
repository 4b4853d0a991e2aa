"""A small report, and a browser for what is looked at with one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import figures.report
import mechanisms.pages.evidence
import toy.simulate
from figures.__main__ import main
from mechanisms.records.suites import FOUND, find_suite
from mechanisms.sweeps.making import make
from tests.figures.small_report import ABSENT, HERE, claim
from toy.engines.choice import INTERPRETED

PATIENCE = 120_000
"""Milliseconds to wait for a picture whose rule has to be compiled first, on a busy machine."""
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Makes the page about two claims, one of them without records, and two figures likewise; returns its file."""
    monkeypatch.setattr(toy.simulate, "choose_engine", lambda: INTERPRETED)
    make(HERE, tmp_path / "runs", jobs=1)
    known = {"T1": claim("T1", HERE), "H1": claim("H1", ABSENT)}
    monkeypatch.setattr(mechanisms.pages.evidence, "all_hypotheses", lambda: known)
    monkeypatch.setattr(mechanisms.pages.evidence, "at_size", lambda hypothesis, preset: hypothesis)
    monkeypatch.setattr(figures.report, "names", lambda: ("removal_exactness", "table1"))
    monkeypatch.setitem(FOUND, "full_scale", replace(find_suite("full_scale"), reference=None))

    def made() -> Path:
        page = tmp_path / "page.html"
        assert main(["report", "--runs", str(tmp_path / "runs"), "--out", str(page), "--no-toy"]) == 0
        return page

    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window; skipped, and told at the end of the run, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="BROWSER TEST NOT RUN: Playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("BROWSER TEST NOT RUN: there is no chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """visit(address, width): the page at an address; at the end no error was told and nothing asked of another machine."""
    told: list[str] = []
    asked: list[str] = []
    pages = []

    def open_page(address: str, width: int = 1280) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address, timeout=PATIENCE)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not told
    assert all(address.startswith(("file:", "data:", "http://127.0.0.1:")) for address in asked)
