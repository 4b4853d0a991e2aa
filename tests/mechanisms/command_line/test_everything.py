"""The one command line: every verb of every package is reachable, with examples that are understood, and light."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import implicit_sparsity
from full_scale.__main__ import main as full_scale
from mechanisms.command_line.everything import Everything
from mechanisms.command_line.framework import Verb

ROOT = Path(implicit_sparsity.__file__).parent
PACKAGES = ("toy", "full_scale", "mechanisms", "figures")


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """(path, command, context) of everything below a group."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, command.make_context(name, ["list"], parent=context))
        else:
            _, command, _ = group.resolve_command(context, [name])
            yield f"{context.command_path} {name}", command, context


def everything() -> list[tuple[str, click.Command, click.Context]]:
    group = Everything(PACKAGES)
    return list(commands(group, group.make_context("implicit-sparsity", ["toy"])))


def test_every_verb_of_every_package_is_there() -> None:
    paths = {path.removeprefix("implicit-sparsity ") for path, _, _ in everything()}
    modules = [path.stem for name in PACKAGES for path in (ROOT / name / "commands").glob("*.py") if path.stem != "__init__"]
    assert {f"{suite} {verb}" for suite in ("toy", "full_scale") for verb in ("list", "show", "run", "collect", "clean")} <= paths
    assert set(modules) - {"list"} <= paths
    assert "figures list" in paths


def examples() -> list[tuple[str, str]]:
    return [
        (path, example.replace("EXPERIMENT", context.obj.example if context.obj else ""))
        for path, command, context in everything()
        if isinstance(command, Verb)
        for example in command.examples
    ]


def test_every_help_has_examples() -> None:
    given = {path for path, _ in examples()}
    assert given == {path for path, _, _ in everything()}


@pytest.mark.parametrize(("path", "example"), examples())
def test_examples_are_understood(path: str, example: str) -> None:
    words = [*path.split()[1:], *shlex.split(example)]
    group: click.Command = Everything(PACKAGES)
    context = group.make_context("implicit-sparsity", list(words))
    while isinstance(group, click.Group):
        name, group, words = group.resolve_command(context, words)
        context = group.make_context(name, list(words), parent=context)
    if "experiment" in context.params and "Dask" not in example:
        assert context.obj.specs(context.params["experiment"], context.params["overrides"])


def test_help_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for path, _, _ in everything():
        assert implicit_sparsity.main([*path.split()[1:], "--help"]) == 0
        lines = capsys.readouterr().out.partition("Examples:")[0].splitlines()
        assert not [line for line in lines if len(line) > 80], path


def test_an_experiment_says_its_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert implicit_sparsity.main(["show", "--seed", "0", "stability"]) == 0
    by_itself = capsys.readouterr().out
    assert implicit_sparsity.main(["toy", "show", "--seed", "0", "stability"]) == 0
    assert capsys.readouterr().out == by_itself
    refuses(lambda: implicit_sparsity.main(["run", "batch_size"]), "of toy and of full_scale")
    refuses(lambda: implicit_sparsity.main(["run", "digts"]), "did you mean digits?")
    refuses(lambda: implicit_sparsity.main(["run"]), "EXPERIMENT")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["audti"], "did you mean audit?"),
        (["toy", "rnu"], "did you mean run?"),
        (["draw", "deacy"], "did you mean decay?"),
        (["verdict", "H99"], "did you mean H9?"),
        (["toy", "run", "decay", "stpes=3"], "did you mean steps?"),
        (["toy", "run", "decay", "--sede", "3"], "--seed"),
        (["toy", "run", "decay", "--see", "3"], "--see"),
        (["toy", "run", "decay", "--seed", "1", "--seeds", "2"], "exclude"),
        (["toy", "run", "decay", "--device", "cpu"], "--device"),
        (["toy", "run", "decay", "--epochs", "3"], "set steps"),
        (["full_scale", "show", "digits", "--epochs", "0"], "epochs"),
        ([], "audit"),
        (["toy"], "collect"),
    ],
)
def test_mistakes_are_one_line_that_says_what_is_near(words: list[str], named: str, refuses) -> None:
    refuses(lambda: implicit_sparsity.main(words), named)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    for main in (implicit_sparsity.main, full_scale):
        assert main(["--version"]) == 0
        assert implicit_sparsity.__version__ in capsys.readouterr().out


def test_names_of_torch_are_those_of_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits: 1,347 images, batches of 40 in 33 steps an epoch."""

    def shown(*words: str) -> str:
        assert full_scale(["show", *words, "--json"]) == 0
        return capsys.readouterr().out

    fields = ["learning_rate=0.02", "regularizer.strength=0.1", "steps=66"]
    assert shown("digits", "--lr", "0.02", "--weight-decay", "0.1", "--epochs", "2") == shown("digits", *fields)
    assert shown("digits", "lr=0.02", "weight_decay=0.1", "epochs=2") == shown("digits", *fields)
    assert shown("criteria", "--lr", "0.02", "--epochs", "2") == shown("criteria", "train.learning_rate=0.02", "train.steps=66")
    assert shown("digits", "--epochs", "2", "batch_size=20") == shown("digits", "batch_size=20", "steps=134")


@pytest.mark.parametrize("words", [["toy", "list"], ["audit", "--help"], ["run", "--help"]])
def test_starting_is_light(words: list[str]) -> None:
    code = (
        f"import sys, implicit_sparsity\nassert implicit_sparsity.main({words!r}) == 0\n"
        "print('LOADED', sorted({'torch', 'pandas', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip().endswith("LOADED []"), done.stdout[-300:] + done.stderr
