"""LeNet-5 with ReLU, and with BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape, require_side
from full_scale.models.choices import NORMALIZATIONS
from mechanisms.validation import require_choice, require_whole

if TYPE_CHECKING:
    from torch import nn

KERNEL = 5


@dataclass(frozen=True)
class LeNet(AbstractArchitecture):
    """Twice (5 × 5 convolution → normalization → ReLU → max-pool), then hidden linear layers with ReLU and a linear layer.

    The defaults are the sizes of LeNet-5 (LeCun et al. 1998, Proceedings of the IEEE 86): 6 and 16 feature maps, 120 and 84
    hidden units, the first convolution padded by 2 (`padding`). What is of today: ReLU, max-pools, every second map reads every
    first, and `normalization` ("batch", "layer", "none") of the convolutions. Caffe's LeNet has 20 and 50 `channels`, 500
    `hidden` units and no `padding`.
    """

    name: ClassVar[str] = "lenet"
    channels: tuple[int, ...] = (6, 16)
    hidden: tuple[int, ...] = (120, 84)
    padding: int = 2
    normalization: str = "batch"
    initialization: str = "torch"

    def __post_init__(self) -> None:
        for field in ("channels", "hidden"):
            for value in getattr(self, field):
                require_whole(field, value, 1)
        require_whole("channels (their number)", len(self.channels), 2, 2)
        require_whole("padding", self.padding, 0, KERNEL // 2)
        require_choice("normalization", self.normalization, NORMALIZATIONS)
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if the convolutions and pools shrink images of this shape to nothing."""
        require_side(shape, 4 * KERNEL - 4 - 2 * self.padding, "padding", self.padding)

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are conv1 and conv2."""
        from torch import nn

        from full_scale.models.parts.chains import named_chain, normalized

        parts: dict[str, nn.Module] = {}
        inputs, sides = shape[0], shape[1:]
        for number, outputs, padding in zip("12", self.channels, (self.padding, 0), strict=True):
            conv = nn.Conv2d(inputs, outputs, KERNEL, padding=padding, bias=self.normalization == "none")
            parts |= {**normalized(conv, number, self.normalization), f"pool{number}": nn.MaxPool2d(2)}
            inputs, sides = outputs, ((sides[0] + 2 * padding - KERNEL + 1) // 2, (sides[1] + 2 * padding - KERNEL + 1) // 2)
        parts["flatten"] = nn.Flatten()
        sizes = (inputs * sides[0] * sides[1], *self.hidden)
        for layer, (units, hidden) in enumerate(zip(sizes, self.hidden, strict=False), start=1):
            parts |= normalized(nn.Linear(units, hidden), str(layer), "none")
        return named_chain({**parts, f"fc{len(sizes)}": nn.Linear(sizes[-1], classes)})
