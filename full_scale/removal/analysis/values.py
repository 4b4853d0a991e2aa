"""What is known of the values of each channel, whatever the image: bounds, and constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

INFINITY = float("inf")
AT_ONCE = 2**19
"""Weights that are converted to float64 at a time, to save memory."""

UNIFORM = 0
"""The pattern of a constant that is the same at all positions."""


@dataclass(frozen=True)
class Values:
    """For each channel of a tensor: `low` ≤ value ≤ `high` everywhere, and whether the value is a constant; shapes (channels,).

    `constant` is NaN where it is not. A constant channel with `pattern` UNIFORM has this value at all positions; with another
    pattern the value is constant × (a map that all channels of the same pattern share), as zero padding makes it.
    """

    low: Tensor
    high: Tensor
    constant: Tensor
    pattern: Tensor

    @staticmethod
    def bounded(low: Tensor, high: Tensor) -> Values:
        """Channels that vary within bounds; NaN bounds mean no bound; constant where both bounds are the same number."""
        low = torch.where(low.isnan(), -INFINITY, low)
        high = torch.where(high.isnan(), INFINITY, high)
        constant = torch.where((low == high) & low.isfinite(), low, torch.nan)
        return Values(low, high, constant, torch.zeros(len(low), dtype=torch.int64))

    @staticmethod
    def unknown(channels: int) -> Values:
        """Channels of which nothing is known."""
        return Values.bounded(torch.full((channels,), -INFINITY).double(), torch.full((channels,), INFINITY).double())

    @property
    def is_uniform(self) -> Tensor:
        """Where the value is the same at all positions and for all images."""
        return ~self.constant.isnan() & (self.pattern == UNIFORM)

    def magnitude(self) -> Tensor:
        """The largest possible |value| of each channel."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def with_constants(self, constant: Tensor, pattern: Tensor | None = None) -> Values:
        """The same, with constants also where `constant` is a finite number; uniform unless a pattern is given."""
        known = constant.isfinite()
        pattern = torch.zeros(len(constant), dtype=torch.int64) if pattern is None else pattern
        pattern = torch.where(known & (constant != 0), pattern, torch.where(known, UNIFORM, self.pattern))
        uniform = known & (pattern == UNIFORM)
        return Values(
            torch.where(uniform, constant, self.low),
            torch.where(uniform, constant, self.high),
            torch.where(known, constant, self.constant),
            pattern,
        )

    def without_patterns(self) -> Values:
        """The same, but only uniform constants are still constants."""
        return Values(self.low, self.high, torch.where(self.is_uniform, self.constant, torch.nan), self.pattern * 0)

    def widened(self, share: float) -> Values:
        """The same with bounds further apart by a share of the largest magnitude, for rounding; constants stay."""
        margin = self.magnitude() * share
        return Values.bounded(self.low - margin, self.high + margin).with_constants(self.constant, self.pattern)

    def including_zero(self) -> Values:
        """Bounds as wide as the values and 0, as zero padding has it; constants are lost unless 0."""
        constant = torch.where(self.constant == 0, 0.0, torch.nan)
        return Values.bounded(self.low.clamp(max=0), self.high.clamp(min=0)).with_constants(constant)

    def hull(self, channels: int) -> Values:
        """One interval that holds all channels, for each of `channels` new ones."""
        return Values.bounded(self.low.min().expand(channels).clone(), self.high.max().expand(channels).clone())

    def each(self, change: Callable[[Tensor], Tensor]) -> Values:
        """The same change of order or number for all four vectors: a slice, a repetition."""
        return Values(change(self.low), change(self.high), change(self.constant), change(self.pattern))


def concatenated(parts: list[Values]) -> Values:
    """The channels of all parts, one after the other."""
    fields = ("low", "high", "constant", "pattern")
    return Values(*(torch.cat([getattr(part, field) for part in parts]) for field in fields))


def either(a: Values, b: Values) -> Values:
    """What holds for a channel that is a at some positions and b at others."""
    same = a.is_uniform & b.is_uniform & (a.constant == b.constant)
    bounds = Values.bounded(torch.minimum(a.low, b.low), torch.maximum(a.high, b.high))
    return bounds.with_constants(torch.where(same, a.constant, torch.nan))


def product(a: Tensor, b: Tensor) -> Tensor:
    """The product a × b, where 0 × ∞ is 0: values are finite, only their bounds are not."""
    return torch.where((a == 0) | (b == 0), 0.0, a * b)


def added(a: Values, b: Values) -> Values:
    """What is known of a + b; a constant with a pattern survives the addition of 0."""
    constant = torch.where(a.is_uniform & b.is_uniform, a.constant + b.constant, torch.nan)
    pattern = torch.zeros_like(a.pattern)
    for one, other in ((a, b), (b, a)):
        survives = (other.constant == 0) & ~one.constant.isnan()
        constant, pattern = torch.where(survives, one.constant, constant), torch.where(survives, one.pattern, pattern)
    return Values.bounded(a.low + b.low, a.high + b.high).with_constants(constant, pattern)


def multiplied(a: Values, b: Values) -> Values:
    """What is known of a × b: 0 times anything is 0, and a uniform constant keeps the other's pattern."""
    corners = torch.stack([product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)])
    constant = torch.where(a.is_uniform | b.is_uniform, a.constant * b.constant, torch.nan)
    constant = torch.where((a.constant == 0) | (b.constant == 0), 0.0, constant)
    return Values.bounded(corners.amin(0), corners.amax(0)).with_constants(constant, torch.maximum(a.pattern, b.pattern))


def contracted(weight: Tensor, bias: Tensor | None, values: Values, drops_taps: bool, rounding: float) -> Values:
    """What is known of a convolution or linear map of channels.

    Args:
        weight: shape (groups, outputs of a group, inputs of a group, taps), of any real dtype.
        bias: shape (groups × outputs of a group,), float64, or None.
        values: of groups × inputs of a group channels.
        drops_taps: some positions do not see all taps: zero padding, or the phases of a transposed convolution.
        rounding: unit roundoff of the arithmetic that the network runs in; the bounds hold in it.
    """
    groups, outputs, inputs, taps = weight.shape
    rows = max(1, AT_ONCE // (groups * inputs * taps))
    parts = [_contracted(chunk.double(), values, drops_taps) for chunk in torch.split(weight, rows, dim=1)]
    lower, upper, below, above, constant = (torch.cat(column, dim=1).flatten() for column in zip(*parts, strict=True))
    offset = torch.zeros(groups * outputs).double() if bias is None else bias
    share = rounding * (inputs * taps + 16)
    lower, upper = lower + offset - share * (below + offset.abs()), upper + offset + share * (above + offset.abs())
    return Values.bounded(lower, upper).with_constants(constant + offset)


def _contracted(weight: Tensor, values: Values, drops_taps: bool) -> tuple[Tensor, ...]:
    """For each output, without bias: lower and upper bound, Σ |terms| of either, constant (NaN where none).

    A sum of n terms, each at most its bound, exceeds the sum of the bounds by at most n roundings of Σ |bounds|.
    """
    groups, outputs, inputs, taps = weight.shape
    usable = values.is_uniform & (values.constant == 0) if drops_taps else values.is_uniform
    columns = _finite_and_infinite(values.low) + _finite_and_infinite(values.high)
    columns += [(~usable).double(), torch.where(usable, values.constant, 0.0)]
    channels = torch.stack(columns, -1).view(groups, inputs, len(columns))
    rows = weight.transpose(2, 3).double().reshape(groups, outputs * taps, inputs)
    positive, negative = (
        (rows.clamp(**sign) @ channels).view(groups, outputs, taps, len(columns)).unbind(-1) for sign in ({"min": 0}, {"max": 0})
    )
    # Of 0: the sum of the finite bounds; of 1: their sizes; of 2: above 0 where an infinite bound has a weight.
    low, high, share = slice(0, 3), slice(3, 6), 6
    upper, above = _total(positive[high], negative[low])
    lower, below = _total(positive[low], negative[high])
    upper, lower = torch.where(above.isinf(), INFINITY, upper), torch.where(below.isinf(), -INFINITY, lower)
    if drops_taps:
        upper, lower = upper.clamp(min=0), lower.clamp(max=0)
    varying = (positive[share] - negative[share]).sum(2)
    constant = torch.where(varying == 0, (positive[share + 1] + negative[share + 1]).sum(2), torch.nan)
    return *(part.sum(2) for part in (lower, upper, below, above)), constant


def _finite_and_infinite(bound: Tensor) -> list[Tensor]:
    """The finite bounds (0 elsewhere), their sizes, and 1 where a bound is infinite."""
    finite = torch.where(bound.isfinite(), bound, 0.0)
    return [finite, finite.abs(), bound.isinf().double()]


def _total(of_positive: Sequence[Tensor], of_negative: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Σ weight × bound over the finite bounds, and Σ |weight × bound|, ∞ where an infinite bound has a weight."""
    sizes = of_positive[1] - of_negative[1]
    return of_positive[0] + of_negative[0], torch.where(of_positive[2] - of_negative[2] > 0, INFINITY, sizes)
