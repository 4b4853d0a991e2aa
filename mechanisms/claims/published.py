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


@dataclass(frozen=True)
class PublishedShare:
    """What one paper says can go, as far as it could be read: a share, or a range of shares, of what."""

    method: str
    source: str
    network: str
    data: str
    what: str
    shares: tuple[float, ...]
    cost: str
    """What the paper says of the error."""


_NODES = "Ben-Guigui, Goldberger and Riklin-Raviv, arXiv 2012.03827, abstract"
_ENTROPIC = "Barisin and Horenko, arXiv 2404.04734, abstract"
_SLIGHTLY = "only slightly less accurate than the dense network"
_TENTHS = "0.1 to 0.5 points of accuracy"
PUBLISHED_SHARES = (
    PublishedShare("weight sampling and weight decay", _NODES, "MLP", "MNIST", "nodes", (0.5,), _SLIGHTLY),
    PublishedShare("weight sampling and weight decay", _NODES, "VGG-16", "CIFAR-10", "filters", (0.6,), _SLIGHTLY),
    PublishedShare("weight sampling and weight decay", _NODES, "U-Net", "instance segmentation", "channels", (0.6,), _SLIGHTLY),
    PublishedShare("entropic regression", _ENTROPIC, "LeNet", "MNIST", "weights or channels", (0.55, 0.84), _TENTHS),
    PublishedShare(
        "entropic regression", _ENTROPIC, "VGG-16, ResNet-18", "CIFAR-10", "weights or channels", (0.73, 0.89), _TENTHS
    ),
)
"""Networks, sizes and errors beyond the abstracts were not found, nor any number of the ℓ1/ℓ2 paper (2007.10022), of NISP (Yu
et al., CVPR 2018, arXiv 1711.05908) or of GAL (Lin et al., CVPR 2019, arXiv 1903.09291)."""

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
