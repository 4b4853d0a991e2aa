"""What every network provides: a torch module and the list of its feature layers.

To add a network: one file in this folder with one final class. Import torch inside `build` only.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FeatureLayer:
    """One layer of features: convolution → BatchNorm → activation, and who reads it.

    `following` is the one module whose `weight` reads the features, input channels on its second axis (for a linear module that
    reads a flattened map: channel by channel); None where there is no such single module.
    """

    name: str
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    activation: nn.Module
    following: nn.Conv2d | nn.Linear | None


@dataclass(frozen=True)
class BuiltNetwork:
    """A network ready to train: the module (images → class scores) and its feature layers, from input to output."""

    module: nn.Module
    layers: tuple[FeatureLayer, ...]


@dataclass(frozen=True)
class AbstractNetwork(abc.ABC):
    """What every network provides; `name` is what a user types."""

    name: ClassVar[str]

    @abc.abstractmethod
    def require_fits(self, shape: tuple[int, int, int]) -> None:
        """Raises `InvalidValue` if images of this shape (channels, height, width) cannot pass the network."""

    @abc.abstractmethod
    def build(self, shape: tuple[int, int, int], classes: int, seed: int) -> BuiltNetwork:
        """The network with the initial weights of a seed (stream "init"); no global generator is touched."""
