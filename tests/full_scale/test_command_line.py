"""The command line of the layer, in processes of its own where imports and exit statuses are the question."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from full_scale.suite import LAYER
from full_scale.training.summary import decay_budget_of, summarize
from mechanisms.command_line.framework import main
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD
from mechanisms.measures.sparsity import CAUSES
from mechanisms.records.store import Store

ROOT = Path(__file__).parents[2]
TINY = [
    "network.width=0.0625", "batch_size=20", "steps=6", "measurements=2",
]  # fmt: skip
LISTING = """
import runpy, sys
sys.argv = ["full_scale", *sys.argv[1:]]
try:
    runpy.run_module("full_scale", run_name="__main__")
except SystemExit as done:
    status = done.code
heavy = {"torch", "pandas", "sklearn", "scipy", "numba"} & set(sys.modules)
sys.exit(f"status {status}, imported {sorted(heavy)}" if status or heavy else 0)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [["list"], ["show", "digits"], ["show", "digits", "rule=adabelief", "decayed=conv"]])
def test_listing_and_showing_import_no_heavy_library(arguments: list[str]) -> None:
    done = python("-c", LISTING, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits" in done.stdout


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("nonsense=1", "nonsense"),
        ("decayed=gamma", "no_norm"),
        ("rule=adamw", "adabelief"),
        ("data=emnist", "digits"),
        ("network=transformer", "basic_net"),
        ("batch_size=9999", "1347"),
        ("learning_rate=fast", "learning_rate"),
        ("steps=100,200", "one value a field"),
    ],
)
def test_bad_values_are_refused_in_one_line_that_names_what_is_valid(
    override: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(LAYER, ["run", "digits", override, "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_bad_field_ends_the_process_with_status_2() -> None:
    done = python("-m", "full_scale", "run", "digits", "nonsense=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown field 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_diverging_run_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "digits", *TINY, "rule=sgd", "learning_rate=1e35", "--seeds", "1", "--runs", str(tmp_path)]
    assert main(LAYER, arguments) == 2
    assert "training diverged" in capsys.readouterr().err


def test_run_leaves_records_and_prints_one_row_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "digits", *TINY, "--seeds", "2", "--runs", str(tmp_path), "--json"]
    assert main(LAYER, arguments) == 0
    first = capsys.readouterr()
    rows = json.loads(first.out)
    assert [(row["rule"], row["coupling"]) for row in rows] == [
        ("adam", "coupled"),
        ("adam", "independent"),
        ("sgd", "coupled"),
        ("adam", "none"),
    ]
    assert all(row["seeds"] == 2 for row in rows)
    assert main(LAYER, arguments) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "[8/8]" in first.err
    assert "8/8" not in again.err

    store, specs = Store(tmp_path, LAYER.name), LAYER.specs("digits", TINY)
    assert set(store.load(specs[0], 1)) == {"features", "curve"}
    manifest = store.manifest(specs[0], 1)
    assert manifest["decayed_parameters"][0] == "conv1.weight"
    assert manifest["versions"]["torch"]

    table = summarize(store, specs, (0, 1))
    errors = [store.load(specs[2], seed)["curve"]["test_error"].iloc[-1] for seed in (0, 1)]
    row = table.iloc[2]
    assert row["test_error"] == pytest.approx(sum(errors) / 2)
    assert row["sparsity_min"] <= row["sparsity_by_activation"] <= row["sparsity_max"]
    features = store.load(specs[2], 0)["features"]
    assert (features["scale"] > 0.5).all()
    assert row["sparsity_by_scale"] == 0
    died = [row[f"died_by_{name.replace(' ', '_')}"] for name in CAUSES]
    assert sum(died) == pytest.approx(row["sparsity_by_activation"])


def test_the_decay_budget_of_the_summary(tmp_path: Path) -> None:
    """SGD: λ η T_eff/(1 − μ). Adam under independent decay: λ T_eff. Adam under coupled decay: divided by the denominator."""
    overrides = [*TINY, "schedule=constant"]
    assert main(LAYER, ["run", "digits", *overrides, "--seeds", "1", "--runs", str(tmp_path)]) == 0
    store, specs = Store(tmp_path, LAYER.name), LAYER.specs("digits", overrides)
    coupled, independent, sgd, none = summarize(store, specs, (0,))["decay_budget"]
    assert (specs[2].rule, specs[2].regularizer) == (SGD(momentum=0.9), L2(strength=5e-3))
    assert sgd == pytest.approx(0.1 * 5e-3 * 6 / (1 - 0.9), rel=0.05)
    assert independent == pytest.approx(3e-3 * 6, rel=0.05)
    assert none == 0
    denominator = store.load(specs[0], 0)["features"]["denominator"].median()
    assert coupled == pytest.approx(1e-2 * 3e-3 * 6 / denominator, rel=0.05)
    diverges = replace(specs[1], regularizer=L2(strength=2.5, coupling="independent"))
    assert math.isnan(decay_budget_of(diverges, store.load(specs[1], 0)["features"]))
