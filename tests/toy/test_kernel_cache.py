"""Kernels on disk: compiled once a machine, the same numbers, and nobody else's code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from toy.engines import kernel_cache

RUN = """
from toy.simulate import run
from toy.spec import ToySpec
from mechanisms.law.update_rules import Adam, RMSProp, SGD
for rule in (SGD(momentum=0.9), RMSProp(), Adam()):
    tables, _ = run(ToySpec(rule=rule, steps=50, features=3, records=1, learning_rate=0.01), 0)
    print(tables["features"]["scale"].tolist())
"""


def fresh_process(cache: Path, **more: str) -> tuple[str, str]:
    """What is printed, and what numba says of its cache."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "NUMBA_DEBUG_CACHE": "1"} | more
    done = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True)
    told = [line for line in done.stdout.splitlines() if line.startswith("[cache]")]
    return "\n".join(line for line in done.stdout.splitlines() if line not in told), "\n".join(told)


def test_a_second_process_compiles_no_law_and_gets_the_same_numbers(tmp_path: Path) -> None:
    first, saved = fresh_process(tmp_path)
    second, loaded = fresh_process(tmp_path)
    assert saved.count("data saved") >= 3
    assert "data saved" not in loaded
    assert loaded.count("data loaded") >= 3
    interpreted, nothing = fresh_process(tmp_path, TOY_ENGINE="interpreted")
    assert first == second == interpreted
    assert not nothing


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_folder_that_others_can_write_to_is_not_used(cache: Path) -> None:
    place = kernel_cache.folder.__wrapped__()
    assert place is not None
    assert place.is_relative_to(cache)
    place.chmod(0o777)
    assert kernel_cache.folder.__wrapped__() is None


def test_where_no_folder_can_be_made_nothing_is_kept(cache: Path) -> None:
    (cache / "implicit-filter-sparsity").write_text("a file")
    assert kernel_cache.folder.__wrapped__() is None


def test_kernels_with_functions_of_somebody_else_are_not_kept() -> None:
    def slope(x):
        return x

    kept = kernel_cache.kept_njit()(slope)
    foreign = kernel_cache.kept_njit(slope)(slope)
    assert type(foreign._cache).__name__ == "NullCache"
    assert kernel_cache.folder() is None or type(kept._cache).__name__ != "NullCache"


def test_kernels_of_other_versions_go_when_they_are_old(cache: Path) -> None:
    place = kernel_cache.folder.__wrapped__()
    old = place.parent / "old"
    old.mkdir()
    os.utime(old, (0, 0))
    kernel_cache.folder.__wrapped__()
    assert not old.exists()
    assert place.exists()
