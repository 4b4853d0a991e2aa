"""What several networks let a user choose, and the checks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.validation import require, require_above

if TYPE_CHECKING:
    from torch import nn

INITIALIZATIONS = ("torch", "xavier", "he")
"""torch: its default, uniform within ±1/√fan-in, biases too. xavier: uniform, biases 0 (Glorot and Bengio 2010). he: normal with
standard deviation √(2/fan-in), biases 0 (He et al. 2015, arXiv 1502.01852, equation 10)."""

NORMALIZATIONS = ("batch", "layer", "none")
"""batch: BatchNorm. layer: over all features and positions of an image, a scale and a shift a feature. none: a bias instead."""

ACTIVATIONS = ("relu", "gelu")


def require_width(width: float) -> None:
    """Raises `InvalidValue` unless the multiplier of a network's channels is above 0 and at most 16."""
    require_above("width", width, 0)
    require(width <= 16, "width", width, "a number up to 16")


def scaled(channels: int, width: float) -> int:
    """The channels times the width, rounded, at least 1."""
    return max(1, round(width * channels))


def normalization_layer(normalization: str, features: int, flat: bool = False) -> nn.Module | None:
    """The module of a choice of `NORMALIZATIONS` for maps, or for `flat` vectors of features; None for "none"."""
    from torch import nn

    if normalization == "none":
        return None
    if normalization == "layer":
        return nn.GroupNorm(1, features)
    return nn.BatchNorm1d(features) if flat else nn.BatchNorm2d(features)
