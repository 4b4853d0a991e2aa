"""A small U-Net, for classes of images or of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape
from full_scale.models.choices import require_width, scaled
from mechanisms.records.added_fields import added
from mechanisms.validation import require, require_whole

if TYPE_CHECKING:
    from torch import nn

CHANNELS = 64


@dataclass(frozen=True)
class UNet(AbstractArchitecture):
    """Encoder, decoder and skip concatenations of Ronneberger et al. 2015 (arXiv 1505.04597), with BatchNorm and padding.

    It is a network for segmentation: with `maps` its head, a 1 × 1 convolution, puts out one map a class. Without, that is
    averaged over all positions, so that it gives class scores and trains on images with one label. `levels` is how often the
    map is halved; the channels are 64 times `width`, doubled at each level. Weights start He normal, those of the head too.
    """

    name: ClassVar[str] = "unet"
    width: float = 0.25
    levels: int = 2
    initialization: str = "he"
    maps: bool = added(False)

    def __post_init__(self) -> None:
        require_width(self.width)
        require_whole("levels", self.levels, 1, 6)
        super().__post_init__()

    @property
    def scores_pixels(self) -> bool:
        """See `AbstractNetwork`."""
        return self.maps

    def require_fits(self, shape: Shape) -> None:
        """Raises `InvalidValue` if images of this shape cannot be halved that often."""
        factor = 2**self.levels
        fits = min(shape[1:]) >= factor and not (shape[1] % factor or shape[2] % factor)
        require(fits, "levels", self.levels, f"a number that halves {shape[1]} × {shape[2]} pixels without remainder")

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are body.encoders.0.conv1 … body.decoders.N.conv2."""
        from torch import nn

        from full_scale.models.parts.chains import named_chain
        from full_scale.models.parts.u_shaped import UShaped

        channels = tuple(scaled(CHANNELS * 2**level, self.width) for level in range(self.levels + 1))
        head: dict[str, nn.Module] = {"head": nn.Conv2d(channels[0], classes, 1)}
        if not self.maps:
            head |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        return named_chain({"body": UShaped(shape[0], channels), **head})
