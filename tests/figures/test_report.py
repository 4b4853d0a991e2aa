"""The report: judged from records, one page that fetches nothing, and what is missing with the command that makes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from figures.__main__ import main
from tests.figures.small_report import ABSENT, HERE


@pytest.fixture
def page(report: Callable[[], Path]) -> Callable[[], str]:
    """Makes the small report and reads it."""
    return lambda: report().read_text(encoding="utf-8")


class Links(HTMLParser):
    """What a page refers to, and its images and headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.images += [dict(attrs)] * (tag == "img")
        self.headings += [tag] * bool(re.fullmatch("h[1-6]", tag))


def test_a_page_holds_everything_and_refers_to_nothing_outside(page: Callable[[], str]) -> None:
    found = Links(page())
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert found.images
    assert all(image["alt"] for image in found.images)
    assert found.headings[0] == "h1"
    assert found.headings.count("h1") == 1


def test_verdicts_have_intervals_and_what_is_missing_its_command(page: Callable[[], str]) -> None:
    text = page()
    assert "mean size" in text
    assert re.search(r"refuted</span> <span class=\"soft\">after the fact", text)
    assert re.search(r'data-label="p \(Holm\)">[0-9]', text)
    assert re.search(r"5 ± 0.1.*?refuted", text, re.DOTALL)
    assert text.count(f"<li><code>{ABSENT.command}</code>") == 1
    assert "python -m full_scale run table1 --seeds 3" in text
    assert "Figures without their records: table1." in text


def test_texts_are_escaped_and_equal_records_give_equal_pages(page: Callable[[], str]) -> None:
    text = page()
    assert "<b>markup</b>" not in text
    assert "&lt;b&gt;markup&lt;/b&gt;" in text
    assert page() == text


def test_specs_and_versions_of_the_records_are_told(page: Callable[[], str]) -> None:
    text = page()
    assert f"<code>{HERE.command}</code>: 3 records, 0 of them came with the package" in text
    assert "numpy" in text.rpartition("Specs and versions")[2]


def test_without_toy_records_none_are_made(page: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("figures.report.names", lambda: ("decay",))
    before = sorted((tmp_path / "runs").rglob("manifest.json"))
    assert "Figures without their records: decay." in page()
    assert sorted((tmp_path / "runs").rglob("manifest.json")) == before


def test_a_page_that_cannot_be_written_is_one_line(page: Callable[[], str], tmp_path: Path, capsys: Any) -> None:
    assert main(["report", "--no-toy", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "runs")]) == 2
    assert "--out FILE" in capsys.readouterr().err
