"""BasicNet: seven convolutions and two linear layers, the network of the CVPR 2019 paper on implicit filter sparsity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape
from full_scale.models.choices import (
    ACTIVATIONS,
    NORMALIZATIONS,
    normalization_layer,
    require_width,
    scaled,
)
from mechanisms.validation import require, require_between, require_choice

if TYPE_CHECKING:
    from torch import nn

CHANNELS = (64, 128, 128, 256, 256, 512, 512)
HIDDEN = 256


@dataclass(frozen=True)
class BasicNet(AbstractArchitecture):
    """Seven times (convolution without bias → BatchNorm → ReLU), max-pools after the named layers, then linear → ReLU → linear.

    With a `negative_slope` above 0 every ReLU is a leaky ReLU; its features are then never silent, only their scales can
    be small. For contrast, `normalization` is "layer" instead of "batch", or "none" (the convolutions then have a bias), and
    `activation` is "gelu" instead of "relu".

    `width` multiplies the channels 64, 128, 128, 256, 256, 512, 512 and the 256 hidden units. These widths and the kernel
    sizes are recollected from Mehta, Kim and Theobalt, CVPR 2019, by memory, unverified; the hidden units and the
    positions of the pools are this package's own choice. BatchNorm starts from scale 1 and shift 0; `initialization` of the rest
    is "torch" (its default: uniform within ±1/√fan-in, biases too), "xavier" (uniform, biases 0; recollected for the paper) or
    "he" (normal).
    """

    name: ClassVar[str] = "basic_net"
    width: float = 0.25
    pools_after: tuple[int, ...] = (2, 4)
    first_kernel: int = 3
    kernel: int = 3
    initialization: str = "torch"
    negative_slope: float = 0.0
    normalization: str = "batch"
    activation: str = "relu"

    def __post_init__(self) -> None:
        require_width(self.width)
        known = set(self.pools_after) <= set(range(1, len(CHANNELS) + 1))
        rising = list(self.pools_after) == sorted(set(self.pools_after))
        require(known and rising, "pools_after", self.pools_after, f"rising layer numbers from 1 to {len(CHANNELS)}")
        require_between("negative_slope", self.negative_slope, 0, 1)
        super().__post_init__()
        require_choice("normalization", self.normalization, NORMALIZATIONS)
        require_choice("activation", self.activation, ACTIVATIONS)
        leaky = self.negative_slope > 0
        require(not leaky or self.activation == "relu", "negative_slope", self.negative_slope, "0 with any activation but relu")
        for field in ("first_kernel", "kernel"):
            value = getattr(self, field)
            require(isinstance(value, int) and value in range(1, 32, 2), field, value, "an odd whole number from 1 to 31")

    @property
    def channels(self) -> tuple[int, ...]:
        """Features of each convolution, at least 1."""
        return tuple(scaled(channels, self.width) for channels in CHANNELS)

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if the pools shrink images of this shape to nothing."""
        smallest = min(shape[1:]) >> len(self.pools_after)
        require(smallest >= 1, "pools_after", self.pools_after, f"fewer pools for images of {shape[1]} × {shape[2]} pixels")

    def _activation(self) -> nn.Module:
        from torch import nn

        if self.activation == "gelu":
            return nn.GELU()
        return nn.LeakyReLU(self.negative_slope) if self.negative_slope else nn.ReLU()

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1 … conv7, and "relu" in a name is any activation."""
        from torch import nn

        module = nn.Sequential()
        for number, inputs, outputs in zip(range(1, 8), (shape[0], *self.channels), self.channels, strict=False):
            kernel = self.first_kernel if number == 1 else self.kernel
            norm = normalization_layer(self.normalization, outputs)
            module.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm is None))
            if norm is not None:
                module.add_module(f"norm{number}", norm)
            module.add_module(f"relu{number}", self._activation())
            if number in self.pools_after:
                module.add_module(f"pool{number}", nn.MaxPool2d(2))
        positions = (shape[1] >> len(self.pools_after)) * (shape[2] >> len(self.pools_after))
        hidden = scaled(HIDDEN, self.width)
        module.add_module("flatten", nn.Flatten())
        module.add_module("fc1", nn.Linear(self.channels[-1] * positions, hidden))
        module.add_module("relu8", self._activation())
        module.add_module("fc2", nn.Linear(hidden, classes))
        return module
