"""What every network provides: a torch module and the list of its feature layers.

To add a network: one file in this folder with one final class, its torch modules in `parts/`. Import torch inside functions only.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.choices import INITIALIZATIONS
from mechanisms.records.added_fields import added
from mechanisms.validation import require, require_above, require_choice

if TYPE_CHECKING:
    from torch import Tensor, nn

    Reader = nn.Conv2d | nn.ConvTranspose2d | nn.Linear

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class FeatureLayer:
    """One layer of features: convolution (or linear map) → normalization → activation, and who reads it.

    `norm` has one scale (`weight`) and one shift (`bias`) a feature; None where the layer is not normalized. `activation` is the
    module whose output, (N, features, …) or for tokens (N, …, features), is the feature: the nonlinearity, or the normalization
    itself where it applies one, or where a residual sum or a concatenation comes next. `following` is the one module whose weight
    reads the features, through pools, dropout and flattening (channel by channel); None where several or none do, or only as a
    part of its inputs.
    """

    name: str
    conv: nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm | None
    activation: nn.Module
    following: nn.Conv2d | nn.ConvTranspose2d | nn.Linear | None

    @property
    def features(self) -> int:
        """How many features the layer has."""
        return int(getattr(self.conv, "out_features", None) or self.conv.out_channels)  # type: ignore[arg-type]

    @property
    def axis(self) -> int:
        """The axis of the features in what `activation` puts out: 1 of maps and vectors, the last of tokens (N, …, features)."""
        return -1 if hasattr(self.conv, "out_features") and self.norm is None else 1

    def incoming(self, values: Tensor | None = None) -> Tensor:
        """The weights that make each feature, shape (features, weights of each), or `values` of the shape of that weight."""
        return self._rows(self.conv, values, second_axis=_is_transposed(self.conv))

    def outgoing(self, values: Tensor | None = None) -> Tensor | None:
        """The weights that read each feature, or `values`, as `incoming`; None without `following`."""
        reader = self.following
        return None if reader is None else self._rows(reader, values, second_axis=not _is_transposed(reader))

    def _rows(self, part: Reader, values: Tensor | None, second_axis: bool) -> Tensor:
        """One row a feature, whose number is on the first or (group by group) on the second axis of the module's weight."""
        weight, groups = part.weight if values is None else values, getattr(part, "groups", 1)
        if second_axis:
            weight = weight.reshape(groups, weight.shape[0] // groups, self.features // groups, -1).transpose(1, 2)
        return weight.reshape(self.features, -1)


def _is_transposed(part: nn.Module) -> bool:
    """Whether the inputs are on the first axis of the weight."""
    return bool(getattr(part, "transposed", False))


@dataclass(frozen=True)
class BuiltNetwork:
    """A network ready to train: the module (images → class scores) and its feature layers, from input to output."""

    module: nn.Module
    layers: tuple[FeatureLayer, ...]


@dataclass(frozen=True)
class AbstractNetwork(abc.ABC):
    """What every network provides; `name` is what a user types."""

    name: ClassVar[str]

    @property
    def scores_pixels(self) -> bool:
        """Whether it puts out class scores for every pixel (N, classes, height, width), and not for every image (N, classes)."""
        return False

    @abc.abstractmethod
    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if images of this shape (channels, height, width) cannot pass the network."""

    @abc.abstractmethod
    def build(self, shape: Shape, classes: int, seed: int) -> BuiltNetwork:
        """The network with the initial weights of a seed (stream "init"); no global generator is touched."""


@dataclass(frozen=True)
class AbstractArchitecture(AbstractNetwork):
    """A network of this package: its modules, and how their weights are drawn.

    `norm_epsilon` is what all its normalizations add to a variance before they divide by its root.

    Raises:
        InvalidValue: `initialization` is not one of `INITIALIZATIONS`, or `norm_epsilon` is not above 0.
    """

    norm_epsilon: float = added(1e-5)

    def __post_init__(self) -> None:
        require_choice("initialization", self.initialization, INITIALIZATIONS)
        require_above("norm_epsilon", self.norm_epsilon, 0)

    @property
    @abc.abstractmethod
    def initialization(self) -> str:
        """How weights start, one of `INITIALIZATIONS`; normalizations start from scale 1 and shift 0."""

    @abc.abstractmethod
    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """The modules, images → class scores, with weights of no meaning."""

    def build(self, shape: Shape, classes: int, seed: int) -> BuiltNetwork:
        """See `AbstractNetwork`."""
        from full_scale.models.discovery import feature_layers
        from full_scale.models.parts.initialization import initialized
        from full_scale.models.parts.tracing import NORMS

        self.require_fits(shape)
        module = initialized(lambda: self.architecture(shape, classes), self.initialization, seed)
        for part in module.modules():
            if isinstance(part, NORMS):
                part.eps = self.norm_epsilon
        return BuiltNetwork(module, feature_layers(module))


def require_side(shape: Shape, least: int, field: str, value: object) -> None:
    """Raises `InvalidValue`, naming a field of the network, if images of this shape are less than `least` pixels high or wide."""
    valid = (
        f"images of at least {least} × {least} pixels, these have {shape[1]} × {shape[2]}, or a network that shrinks them less"
    )
    require(min(shape[1:]) >= least, field, value, valid)
