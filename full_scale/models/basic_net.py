"""BasicNet: seven convolutions and two linear layers, the network of the CVPR 2019 paper on implicit filter sparsity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractNetwork, BuiltNetwork, FeatureLayer
from mechanisms.experiments.streams import stream
from mechanisms.validation import require, require_above, require_between, require_choice

if TYPE_CHECKING:
    import torch
    from torch import nn

CHANNELS = (64, 128, 128, 256, 256, 512, 512)
HIDDEN = 256
INITIALIZATIONS = ("torch", "xavier")


@dataclass(frozen=True)
class BasicNet(AbstractNetwork):
    """Seven times (convolution without bias → BatchNorm → ReLU), max-pools after the named layers, then linear → ReLU → linear.

    With a `negative_slope` above 0 every ReLU is a leaky ReLU; its features are then never silent, only their scales can
    be small.

    `width` multiplies the channels 64, 128, 128, 256, 256, 512, 512 and the 256 hidden units. These widths and the kernel
    sizes are recollected from Mehta, Kim and Theobalt, CVPR 2019, by memory, unverified; the hidden units and the
    positions of the pools are this package's own choice. BatchNorm starts from scale 1 and shift 0; `initialization` of the rest
    is "torch" (its default: uniform within ±1/√fan-in, biases too) or "xavier" (uniform, biases 0; recollected for the paper).
    """

    name: ClassVar[str] = "basic_net"
    width: float = 0.25
    pools_after: tuple[int, ...] = (2, 4)
    first_kernel: int = 3
    kernel: int = 3
    initialization: str = "torch"
    negative_slope: float = 0.0

    def __post_init__(self) -> None:
        require_above("width", self.width, 0)
        require(self.width <= 16, "width", self.width, "a number up to 16")
        known = set(self.pools_after) <= set(range(1, len(CHANNELS) + 1))
        rising = list(self.pools_after) == sorted(set(self.pools_after))
        require(known and rising, "pools_after", self.pools_after, f"rising layer numbers from 1 to {len(CHANNELS)}")
        require_between("negative_slope", self.negative_slope, 0, 1)
        require_choice("initialization", self.initialization, INITIALIZATIONS)
        for field in ("first_kernel", "kernel"):
            value = getattr(self, field)
            require(isinstance(value, int) and value in range(1, 32, 2), field, value, "an odd whole number from 1 to 31")

    @property
    def channels(self) -> tuple[int, ...]:
        """Features of each convolution, at least 1."""
        return tuple(max(1, round(self.width * channels)) for channels in CHANNELS)

    def require_fits(self, shape: tuple[int, int, int]) -> None:
        """Raises `InvalidValue` if the pools shrink images of this shape to nothing."""
        smallest = min(shape[1:]) >> len(self.pools_after)
        require(smallest >= 1, "pools_after", self.pools_after, f"fewer pools for images of {shape[1]} × {shape[2]} pixels")

    def _activation(self) -> nn.Module:
        from torch import nn

        return nn.LeakyReLU(self.negative_slope) if self.negative_slope else nn.ReLU()

    def build(self, shape: tuple[int, int, int], classes: int, seed: int) -> BuiltNetwork:
        """See `AbstractNetwork`; the feature layers are conv1 … conv7."""
        import torch
        from torch import nn

        module = nn.Sequential()
        for number, inputs, outputs in zip(range(1, 8), (shape[0], *self.channels), self.channels, strict=False):
            kernel = self.first_kernel if number == 1 else self.kernel
            conv = _uninitialized(nn.Conv2d, inputs, outputs, kernel, padding=kernel // 2, bias=False)
            module.add_module(f"conv{number}", conv)
            module.add_module(f"norm{number}", nn.BatchNorm2d(outputs))
            module.add_module(f"relu{number}", self._activation())
            if number in self.pools_after:
                module.add_module(f"pool{number}", nn.MaxPool2d(2))
        positions = (shape[1] >> len(self.pools_after)) * (shape[2] >> len(self.pools_after))
        hidden = max(1, round(self.width * HIDDEN))
        module.add_module("flatten", nn.Flatten())
        module.add_module("fc1", _uninitialized(nn.Linear, self.channels[-1] * positions, hidden))
        module.add_module("relu8", self._activation())
        module.add_module("fc2", _uninitialized(nn.Linear, hidden, classes))
        generator = torch.Generator().manual_seed(int(stream(seed, "init").integers(2**63)))
        _initialize(module, self.initialization == "xavier", generator)
        return BuiltNetwork(module, _feature_layers(module))


def _uninitialized(cls: type[nn.Module], *sizes: int, **options: object) -> nn.Module:
    """A module without torch's own initialization, which would draw from the global generator."""
    return cls(*sizes, device="meta", **options).to_empty(device="cpu")


def _initialize(module: nn.Sequential, xavier: bool, generator: torch.Generator) -> None:
    from torch import nn

    for part in module:
        if not isinstance(part, nn.Conv2d | nn.Linear):
            continue
        bound = part.weight[0].numel() ** -0.5
        for parameter in part.parameters():
            if not xavier:
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
            elif parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)


def _feature_layers(module: nn.Sequential) -> tuple[FeatureLayer, ...]:
    parts = dict(module.named_children())
    readers = [*(parts[f"conv{n}"] for n in range(2, 8)), parts["fc1"]]
    return tuple(
        FeatureLayer(f"conv{n}", parts[f"conv{n}"], parts[f"norm{n}"], parts[f"relu{n}"], reader)  # type: ignore[arg-type]
        for n, reader in enumerate(readers, start=1)
    )
