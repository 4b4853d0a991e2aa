"""README's table "to add … touch …" is true: each recipe is followed by something to throw away, in a copy of the packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mechanisms

PACKAGES = ("mechanisms", "toy", "full_scale", "figures")
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
    """Share of images on which a feature is active, times its scale."""
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
    axes.hist(features["activity"])
    axes.set(xlabel="activity [fraction]", ylabel="features")
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


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the four packages, installed nowhere."""
    place = tmp_path_factory.mktemp("recipes")
    for name in PACKAGES:
        source = Path(str(mechanisms.__file__)).parents[1] / name
        shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_added_is_found(packages: Path, tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    file = packages / recipe.file
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text((before or "") + recipe.code, encoding="utf-8")
    words = [sys.executable, "-m", *recipe.command.split(), *recipe.words, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(packages), "TOY_ENGINE": "interpreted"}
    try:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    manifests = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("manifest.json")]
    assert any(recipe.told in text for text in (done.stdout, *manifests))
