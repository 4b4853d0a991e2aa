"""Which filters an intervention treats; the others of the same network are its controls."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mechanisms.validation import require, require_above

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class AbstractSelection(abc.ABC):
    """Chooses filters of the named `layers`, of all layers where none is named; `name` is what a user types."""

    name: ClassVar[str]
    measured: ClassVar[bool] = False
    """Whether it needs the filters' activations on the training set."""
    layers: tuple[str, ...] = ()

    @abc.abstractmethod
    def chosen(self, layer: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
        """Whether each filter of one layer is chosen, from its rows of a features table (`scale`; all columns if `measured`)."""


@dataclass(frozen=True, kw_only=True)
class All(AbstractSelection):
    """Every filter: by layer, if layers are named."""

    name: ClassVar[str] = "all"

    def chosen(self, layer: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
        """All of them."""
        return np.ones(len(layer), bool)


@dataclass(frozen=True, kw_only=True)
class AbstractShare(AbstractSelection):
    """A `share` of each layer (rounded), the first by some order."""

    share: float = 0.5

    def __post_init__(self) -> None:
        require_above("share", self.share, 0)
        require(self.share <= 1, "share", self.share, "a number above 0 and at most 1")

    def chosen(self, layer: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
        """The first by `order`; equal ones in random order."""
        shuffled = generator.permutation(len(layer))
        ranked = shuffled[np.argsort(self.order(layer)[shuffled], kind="stable")]
        marks = np.zeros(len(layer), bool)
        marks[ranked[: round(self.share * len(layer))]] = True
        return marks

    @abc.abstractmethod
    def order(self, layer: pd.DataFrame) -> np.ndarray:
        """A number for each filter; the smallest come first."""


@dataclass(frozen=True, kw_only=True)
class Random(AbstractShare):
    """A random share of each layer, decided by the seed."""

    name: ClassVar[str] = "random"

    def order(self, layer: pd.DataFrame) -> np.ndarray:
        """Equal for all."""
        return np.zeros(len(layer))


@dataclass(frozen=True, kw_only=True)
class ByScale(AbstractShare):
    """The filters of the smallest |scale|, or with `largest` of the largest."""

    name: ClassVar[str] = "by_scale"
    largest: bool = False

    def order(self, layer: pd.DataFrame) -> np.ndarray:
        """|scale|, or less it."""
        size = layer["scale"].abs().to_numpy(float)
        return -size if self.largest else size


@dataclass(frozen=True, kw_only=True)
class BySelectivity(AbstractShare):
    """The most selective filters on the training set, or without `largest` the least selective ones."""

    name: ClassVar[str] = "by_selectivity"
    measured: ClassVar[bool] = True
    largest: bool = True

    def order(self, layer: pd.DataFrame) -> np.ndarray:
        """Selectivity, or less it."""
        selectivity = layer["selectivity"].to_numpy(float)
        return -selectivity if self.largest else selectivity
