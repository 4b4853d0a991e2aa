"""The documentation keeps its word: its Python runs, its links lead somewhere, its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from full_scale.suite import LAYER as FULL_SCALE
from mechanisms.pages.answers import Answers
from mechanisms.pages.marks import BLOCK, NUMBER
from toy.suite import LAYER as TOY

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LAYERS = {layer.name: layer for layer in (TOY, FULL_SCALE)}


def commands(page: Path) -> list[list[str]]:
    """The words of every `python -m LAYER run …` in the code of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(
        r"^    (python -m (?:toy|full_scale) run .*)$|`(python -m (?:toy|full_scale) run [^`]*)`", text, re.MULTILINE
    )
    return [shlex.split(one or other, comments=True) for one, other in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_experiments_and_fields_that_there_are(page: Path) -> None:
    for words in commands(page):
        if words[4].islower():
            overrides = [word for word in words[5:] if "=" in word and not word.startswith("-")]
            assert LAYERS[words[2]].specs(words[4], overrides)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What the committed records say; those of the toy, which would first be made, are judged by tests of their own."""
    return Answers(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_numbers_are_what_the_committed_records_say(page: Path, answers: Answers) -> None:
    text = page.read_text(encoding="utf-8")
    for mark in BLOCK.finditer(text):
        if not re.match(r"verdicts [PL]\d", mark["asked"]):
            assert mark["held"].rstrip() == answers.block(mark["asked"]), mark["asked"]
    for mark in NUMBER.finditer(text):
        assert mark["held"] == answers.number(mark["asked"]), mark["asked"]


def test_the_tutorial_runs() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert "epochs = 12" in code
    names: dict[str, object] = {}
    exec(code.replace("epochs = 12", "epochs = 1"), names)
    assert names["smaller"] is not names["model"]
