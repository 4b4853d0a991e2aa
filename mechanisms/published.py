"""Numbers of others that ours stand beside; each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPruning:
    """One published result: the share of filters removed in each layer, errors in percent, and what was saved."""

    source: str
    data: str
    removed: dict[str, float]
    filters_removed: float
    error_before: float
    error_after: float
    error_from_scratch: float
    parameters_removed: float
    operations_removed: float


LI_VGG16_A = PublishedPruning(
    source="Li, Kadav, Durdanovic, Samet and Graf, Pruning Filters for Efficient ConvNets, ICLR 2017 (VGG-16-pruned-A)",
    data="CIFAR-10",
    removed={f"conv{number}": 0.5 if number in (1, *range(8, 14)) else 0.0 for number in range(1, 14)},
    filters_removed=1568 / 4224,
    error_before=6.75,
    error_after=6.60,
    error_from_scratch=6.88,
    parameters_removed=0.640,
    operations_removed=0.342,
)
"""Smallest L1 norms of layers 1 and 8 to 13, then 40 epochs at rate 0.001; the share of all filters follows from the layers."""
