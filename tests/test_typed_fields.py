"""A field that is typed reaches what is drawn, and an experiment keeps its design: all through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from figures.__main__ import main as figures
from full_scale.suite import LAYER
from mechanisms.__main__ import main as mechanisms
from mechanisms.command_line.framework import main

CHANGED = ("regularizer.strength=1e-3", "steps=6")
SMALL = ("network.width=0.03125", "measurements=2", "probes=0")


def rows_of(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, object]], str]:
    """The printed rows, and what was told beside them."""
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_a_strength_reaches_the_picture_and_the_control_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, pictures = ["--runs", str(tmp_path / "runs")], ["--out", str(tmp_path), "--format", "svg"]
    assert main(LAYER, ["run", "digits", *CHANGED, *SMALL, "--seed", "0", *runs, "--json"]) == 0
    rows, told = rows_of(capsys)
    assert len(rows) == 4
    assert "leaves the control without a regularizer as it is" in told
    assert figures(["draw", "digits_sparsity", *CHANGED, *SMALL, *runs, *pictures]) == 0
    source = json.loads((tmp_path / "digits_sparsity.provenance.json").read_text(encoding="utf-8"))
    here = {path.parent.name for path in (tmp_path / "runs" / "full_scale").glob("*/seed_0")}
    assert {record["spec_id"] for record in source["records"]} == here
    assert len(here) == 4
    manifests = [json.loads(path.read_text()) for path in tmp_path.rglob("manifest.json")]
    assert sorted(one["spec"]["regularizer"]["strength"] for one in manifests) == [0.0, 1e-3, 1e-3, 1e-3]
    assert "reference" not in source["caption"]
    assert all(word in source["draw"] for word in CHANGED)


def test_without_settings_committed_records_are_drawn_and_everything_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, pictures = ["--runs", str(tmp_path / "runs")], ["--out", str(tmp_path), "--format", "svg"]
    words = ["full_scale", "run", "digits", *CHANGED, *SMALL, "--seed", "0", *runs]
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    assert figures(["draw", "digits_sparsity", *runs, *pictures]) == 0
    told = capsys.readouterr().err
    assert "12 of 12 records are those that come with the package" in told
    assert "4 other settings of it are on record" in told
    assert "reference records" in (tmp_path / "digits_sparsity.provenance.json").read_text(encoding="utf-8")


def test_a_field_of_some_settings_is_set_there_and_the_rest_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(LAYER, ["show", "digits", "rule.beta2=0.9", "--runs", str(tmp_path), "--json"]) == 0
    rows, told = rows_of(capsys)
    assert [row.get("rule.beta2") for row in rows] == ["0.9", "0.9", None, "0.9"]
    assert "rule.beta2=0.9 is not a field of all settings; unchanged: 1 of 4 (rule=sgd" in told


def test_settings_that_became_equal_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(LAYER, ["show", "digits", "regularizer.coupling=coupled", "--runs", str(tmp_path), "--json"]) == 0
    rows, told = rows_of(capsys)
    assert len(rows) == 3
    assert "equal by now, and counted once: 2 of 4" in told


def test_a_field_that_no_setting_has_is_refused(refuses, tmp_path: Path) -> None:
    refuses(lambda: main(LAYER, ["show", "digits", "rule.beta3=1", "--runs", str(tmp_path)]), "beta2")
    refuses(lambda: figures(["draw", "digits_sparsity", "nonsense=1", "--runs", str(tmp_path)]), "nonsense")
    refuses(lambda: figures(["draw", "steps=4", "--runs", str(tmp_path)]), "name the figures")


def test_a_verdict_takes_the_same_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mechanisms(["verdict", "H1", "steps=7", "--runs", str(tmp_path)]) == 0
    assert "python -m full_scale run optimizers steps=7 --seeds 3" in capsys.readouterr().out


def test_seeds_are_not_abbreviated(tmp_path: Path, refuses, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(LAYER, ["run", "leaky", *SMALL, "steps=2", "--seed", "1", "--runs", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.glob("full_scale/*/seed_*")} == {"seed_1"}
    capsys.readouterr()
    refuses(lambda: main(LAYER, ["run", "leaky", "--see", "1", "--runs", str(tmp_path)]), "--see")
