"""The documentation keeps its word: its Python runs, its links lead somewhere, its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

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
        if not re.match(r"verdicts [PL]\d|responses ", mark["asked"]):
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


def test_the_training_that_shrinks_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 12
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3)
    )
    with torch.no_grad():
        model[1].weight[:2], model[1].bias[:2] = 1e-20, -1.0
    given = {"model": model, "images": torch.rand(80, 1, 6, 6), "labels": torch.arange(80) % 3, "epochs": 100}
    exec(code.replace("lr=1e-2", "lr=1e-4"), given)
    assert model[0].out_channels == 2
    assert "step 200: 2 dead features cut (2 of 1)" in capsys.readouterr().out
