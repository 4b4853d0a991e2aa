"""The wheel: what is in it, and that it runs from another folder without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"toy", "mechanisms", "full_scale", "figures"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The contents of the wheel that is made of this checkout."""
    if not (ROOT / "toy").is_dir():
        pytest.skip("no checkout here: these are the tests beside an installed wheel")
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "implicit_sparsity.py"):
        shutil.copy(ROOT / name, source)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(source)],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "unpacked")
    return place / "unpacked"


def test_it_holds_four_packages_and_what_they_read(unpacked):
    found = {path.name for path in unpacked.iterdir() if path.is_dir()}
    assert {name for name in found if not name.endswith(".dist-info")} == PACKAGES
    inside = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    assert Path("implicit_sparsity.py") in inside
    kept = [path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*") if path.suffix in (".json", ".npz")]
    assert kept
    assert set(kept) <= inside


def test_it_runs_from_another_folder(unpacked, tmp_path):
    words = ["toy", "run", "arrival", "steps=20", "--seeds", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "toy").glob("*/seed_0/manifest.json"))) > 0
    where = [sys.executable, "-c", "import toy; print(toy.__file__)"]
    assert subprocess.check_output(where, cwd=tmp_path, env=environment, text=True).startswith(str(unpacked))
