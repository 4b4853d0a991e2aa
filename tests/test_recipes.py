"""The table "to add … touch …" of CONTRIBUTING is true: each recipe is followed by something to throw away, in a copy."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mechanisms

PACKAGES = ("mechanisms", "toy", "full_scale", "figures", "tests")
TESTS = Path(__file__).parent
QUICK = ("steps=4", "--seeds", "1")
TINY = (*QUICK, "network.width=0.03125", "measurements=1")


@dataclass(frozen=True)
class Recipe:
    """Code that goes to the end of a file, or into a new one, and a command that then says `told`, there or in a manifest."""

    file: str
    code: str
    command: str
    told: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generic:
    """What the README asks to be added to a test: after `beside`, in a file; and the generic tests that then pass with it."""

    recipe: str
    suite: tuple[str, ...]
    chosen: str
    file: str = ""
    beside: str = ""
    code: str = ""


RULE = '''

@dataclass(frozen=True)
class HalfDescent(AbstractUpdateRule):
    """u = G/2."""

    name: ClassVar[str] = "half_descent"
    slots: ClassVar[tuple[str, ...]] = ()
    normalizing: ClassVar[bool] = False

    def coefficients(self, step):
        return (2.0,)

    @staticmethod
    def direction(loss, penalty, state, coefficients):
        return loss / coefficients[0], penalty / coefficients[0], coefficients[0] + 0 * loss, ()
'''
RECIPES = {
    "rule": Recipe("mechanisms/law/update_rules.py", RULE, "toy run arrival rule=half_descent", "half_descent", QUICK),
    "rule, at full scale": Recipe(
        "mechanisms/law/update_rules.py", RULE, "full_scale run leaky rule=half_descent", "half_descent", TINY
    ),
    "regularizer": Recipe(
        "mechanisms/law/regularizers.py",
        '''

@dataclass(frozen=True)
class Cubic(AbstractRegularizer):
    """Penalty ⅓ λ |w|³."""

    name: ClassVar[str] = "cubic"

    @staticmethod
    def slope(w):
        return w * abs(w)
''',
        "toy run arrival regularizer=cubic",
        "cubic",
        QUICK,
    ),
    "criterion": Recipe(
        "mechanisms/measures/criteria/throwaway.py",
        '''"""Criteria of my own."""


def activity_times_scale(features):
    """Share of images on which a feature is active, times its scale. Derivation: made up for this test."""
    return features["activity"] * features["scale"].abs()
''',
        "full_scale run criteria criteria=activity_times_scale,random ratios=0.5 rankings=layer protocols=one_shot images=40",
        "activity_times_scale",
        ("train.steps=4", "train.network.width=0.03125", "train.measurements=1", "tuning_steps=1", "--seeds", "1"),
    ),
    "figure": Recipe(
        "figures/gallery/throwaway.py",
        '''"""Activities of digits."""

import matplotlib.pyplot as plt

from mechanisms.records.loading import Need

NEEDS = (Need("full_scale", "digits"),)


def draw(features):
    """A histogram."""
    figure, axes = plt.subplots()
    axes.hist(features["activity"], label="all settings")
    axes.set(xlabel="activity [fraction]", ylabel="features", title=f"n = {features['seed'].nunique()} seeds")
    axes.legend()
    return figure
''',
        "figures draw throwaway",
        "throwaway.svg",
    ),
    "hypothesis": Recipe(
        "mechanisms/claims/throwaway.py",
        '''"""One that is easily decided."""

from mechanisms.records.loading import Need
from mechanisms.claims.hypothesis import Hypothesis, exactly, expect_value

HYPOTHESES = (
    Hypothesis(
        "P99",
        "Activities are fractions.",
        "common sense",
        "one is not",
        (Need("full_scale", "digits"),),
        lambda table: (expect_value("share", exactly(table["activity"].between(0, 1).mean()), 1.0, 0.0, exact=True),),
    ),
)
''',
        "mechanisms verdict P99",
        "supported",
    ),
    "data set": Recipe(
        "full_scale/data/throwaway.py",
        '''"""Noise with labels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from full_scale.data.arrays import Stored, prepared
from full_scale.data.base import AbstractDataset


@dataclass(frozen=True)
class Noise(AbstractDataset):
    """Eighty images."""

    name: ClassVar[str] = "noise"
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 2
    train_size: ClassVar[int] = 80
    test_size: ClassVar[int] = 80

    def load(self):
        """Both parts."""
        one = Stored(np.random.default_rng(0).standard_normal((80, 8, 8, 1)), np.arange(80) % 2)
        return prepared(one, one, name=self.name, classes=2, label_noise=0.0, pixel_noise=0.0)
''',
        "full_scale run leaky data=noise batch_size=20",
        "noise",
        TINY,
    ),
    "network": Recipe(
        "full_scale/models/throwaway.py",
        '''"""One layer."""

from dataclasses import dataclass
from typing import ClassVar

from full_scale.models.base import AbstractArchitecture


@dataclass(frozen=True)
class OneLayer(AbstractArchitecture):
    """Convolution, normalization, ReLU, and a linear layer."""

    name: ClassVar[str] = "one_layer"
    channels: int = 4
    initialization: str = "torch"

    def require_fits(self, shape):
        """Never raises."""

    def architecture(self, shape, classes):
        """See `AbstractArchitecture`."""
        from torch import nn

        from full_scale.models.parts.chains import named_chain, normalized

        conv = nn.Conv2d(shape[0], self.channels, 3, padding=1, bias=False)
        pixels = self.channels * shape[1] * shape[2]
        return named_chain(
            {**normalized(conv, "1", "batch"), "flatten": nn.Flatten(), "fc": nn.Linear(pixels, classes)}
        )
''',
        "full_scale run digits network=one_layer",
        "one_layer",
        (*QUICK, "measurements=1"),
    ),
    "experiment": Recipe(
        "toy/experiments/throwaway.py",
        '''"""Mine."""

from toy.features.gradients import Dead
from toy.spec import ToySpec


def throwaway():
    """A dead feature, alone."""
    return (ToySpec(gradient=Dead(), steps=10, features=1),)
''',
        "toy run throwaway",
        "dead",
        ("--seeds", "1"),
    ),
}


GENERIC = {
    "rule": Generic(
        "rule",
        ("tests/mechanisms/test_update_rules.py", "tests/mechanisms/test_dynamics.py"),
        "half_descent or HalfDescent",
        "tests/mechanisms/test_update_rules.py",
        'REFERENCES = {"adabelief": adabelief_reference',
        """, "half_descent": lambda w, gradients, rule, strength, coupling: _half(w, gradients, strength, coupling)}


def _half(w, gradients, strength, coupling):
    decay = {"coupled": 0.0, "decoupled": RATE * strength, "independent": strength}[coupling]
    for gradient in gradients:
        w = w - decay * w - RATE * (gradient + strength * w * (coupling == "coupled")) / 2
    return w


_ = {""",
    ),
    "regularizer": Generic("regularizer", ("tests/mechanisms/test_dynamics.py", "tests/full_scale/test_optimizer.py"), "cubic"),
    "criterion": Generic(
        "criterion",
        ("tests/mechanisms/test_criteria.py",),
        "activity_times_scale",
        "tests/mechanisms/test_criteria.py",
        "BY_HAND: dict[str, tuple[dict[str, list[float]], list[float]]] = {",
        """
    "activity_times_scale": ({"activity": [1, 0.5, 1, 0], "scale": [-2.0, 1.0, 0.5, 3.0]}, [2.0, 0.5, 0.5, 0.0]),""",
    ),
    "figure": Generic(
        "figure",
        ("tests/figures/test_gallery.py",),
        "throwaway",
        "tests/figures/test_gallery.py",
        "SERIES = {",
        ' "throwaway": [0],',
    ),
    "hypothesis": Generic("hypothesis", ("tests/mechanisms/test_hypotheses.py",), "P99"),
    "data set": Generic("data set", ("tests/full_scale/test_data.py",), "noise and not label"),
    "network": Generic("network", ("tests/full_scale/models/test_every_network.py",), "one_layer"),
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the four packages and their tests, installed nowhere."""
    place = tmp_path_factory.mktemp("recipes")
    for name in PACKAGES:
        source = TESTS if name == "tests" else Path(str(mechanisms.__file__)).parents[1] / name
        shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@contextlib.contextmanager
def followed(recipe: Recipe, packages: Path) -> Iterator[None]:
    """The copy with what a recipe adds; without it afterwards."""
    file = packages / recipe.file
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text((before or "") + recipe.code, encoding="utf-8")
    try:
        yield
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")


def environment(packages: Path) -> dict[str, str]:
    """That of a process which imports the copy."""
    return {**os.environ, "PYTHONPATH": str(packages), "TOY_ENGINE": "interpreted"}


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_added_is_found(packages: Path, tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    words = [sys.executable, "-m", *recipe.command.split(), *recipe.words, "--json"]
    with followed(recipe, packages):
        done = subprocess.run(words, cwd=tmp_path, env=environment(packages), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    manifests = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("manifest.json")]
    assert any(recipe.told in text for text in (done.stdout, *manifests))


@pytest.mark.parametrize("name", GENERIC)
def test_the_generic_tests_pass_with_what_is_added(packages: Path, name: str) -> None:
    tested = GENERIC[name]
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "--rootdir",
        str(packages),
    ]
    place = packages / (tested.file or "tests/conftest.py")
    before = place.read_text(encoding="utf-8")
    assert tested.beside in before
    place.write_text(before.replace(tested.beside, tested.beside + tested.code, 1), encoding="utf-8")
    try:
        with followed(RECIPES[tested.recipe], packages):
            done = subprocess.run(
                [*words, "--rootdir", str(packages), *tested.suite, "-k", tested.chosen],
                cwd=packages,
                env=environment(packages),
                capture_output=True,
                text=True,
                timeout=600,
            )
    finally:
        place.write_text(before, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
