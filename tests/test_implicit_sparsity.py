"""The one name: light to import, complete, and each one-liner gives what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import implicit_sparsity
from mechanisms.validation import InvalidValue, UserError

ROOT = Path(str(implicit_sparsity.__file__)).parent


def test_import_is_light_and_says_what_there_is() -> None:
    code = "import sys, implicit_sparsity as i; assert 'shrink' in dir(i); print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("name", sorted(implicit_sparsity.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(implicit_sparsity, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'shrunk'"):
        _ = implicit_sparsity.shrunk


def test_run_makes_and_load_finds(tmp_path: Path) -> None:
    words = ("network.width=0.03125",)
    made = implicit_sparsity.run("digits", *words, seeds=1, runs=tmp_path, steps=2, measurements=1, probes=0)
    assert isinstance(made, pd.DataFrame)
    assert set(made["spec.steps"]) == {2}
    assert made["spec.regularizer.strength"].min() == 0
    found = implicit_sparsity.load("digits", *words, seeds=1, runs=tmp_path, steps=2, measurements=1, probes=0)
    pd.testing.assert_frame_equal(made, found)


def test_a_run_computes_where_its_context_says(tmp_path: Path) -> None:
    elsewhere = implicit_sparsity.RunContext(device="quantum")
    with pytest.raises(UserError, match="--device quantum cannot be used here"):
        implicit_sparsity.run("digits", seeds=1, runs=tmp_path, steps=2, context=elsewhere)


def test_committed_records_are_loaded_in_one_line(tmp_path: Path) -> None:
    found = implicit_sparsity.load("digits", runs=tmp_path, table="curve")
    assert set(found["seed"]) == {0, 1, 2}


def test_names_that_are_wrong_or_belong_to_both_suites_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="unknown experiment 'digit'"):
        implicit_sparsity.load("digit", runs=tmp_path)
    with pytest.raises(UserError, match="suite='toy'"):
        implicit_sparsity.load("batch_size", runs=tmp_path)


def test_a_figure_and_verdicts_in_one_line(tmp_path: Path) -> None:
    assert implicit_sparsity.draw("digits_sparsity", runs=tmp_path).axes
    table = implicit_sparsity.verdicts("H1", runs=tmp_path)
    assert list(table["hypothesis"]) == ["H1"]
    assert set(table["verdict"]) <= {"supported", "refuted", "undecided"}


def test_translate_gives_three_meanings() -> None:
    assert len(implicit_sparsity.translate(implicit_sparsity.Recipe())["equivalents"]) >= 3
