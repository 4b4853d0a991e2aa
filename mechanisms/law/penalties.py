"""Penalties that know what belongs together: those of the papers that sparsify on purpose.

A regularizer (`mechanisms.law.regularizers`) acts element by element; a penalty acts on one kind of weights of one layer, given
as an array of shape (features, channels, taps), of NumPy or torch: the BatchNorm scales (features, 1, 1); the weights that make
each feature, by the channel that they read; or those that read it, by the channel that they make. `taps` are the positions of a
kernel, 1 in a linear layer. Each enters the update of any rule by its own `coupling`, as a regularizer does.

To add a penalty: one class here.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechanisms.law.arrays import Array, sign, sqrt, where
from mechanisms.law.regularizers import COUPLINGS, entrance
from mechanisms.validation import require_above, require_at_least, require_choice, require_whole

PARTS = ("scale", "incoming", "outgoing")
"""What a penalty acts on, of every layer that has it: BatchNorm scales, the weights that make features, those that read them."""
LEVELS = ("element", "filter", "group")


@dataclass(frozen=True, kw_only=True)
class AbstractPenalty(abc.ABC):
    """Strength λ >= 0, `coupling` and the `part` that it acts on; `name` is what a user types."""

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = PARTS
    """Those that it can act on."""
    measured: ClassVar[bool] = False
    """Whether its strength differs by feature, by measured selectivity (see `factors`)."""
    strength: float = 0.0
    coupling: str = "coupled"
    part: str = "incoming"

    def __post_init__(self) -> None:
        require_at_least("strength", self.strength, 0)
        require_choice("coupling", self.coupling, COUPLINGS)
        require_choice("part", self.part, self.parts)

    @abc.abstractmethod
    def value(self, weights: Array) -> Array:
        """The penalty of one layer at unit strength, a number; `weights` has shape (features, channels, taps)."""

    @abc.abstractmethod
    def slope(self, weights: Array) -> Array:
        """Its gradient at unit strength, of the shape of `weights`; 0 where it is not defined."""

    def factors(self, selectivity: Array) -> Array:
        """The strength of each feature in units of λ, (features,), from its selectivity in [0, 1]."""
        return 0 * selectivity + 1

    def entrance(self, learning_rate: float, schedule_scale: float) -> tuple[float, float]:
        """As `AbstractRegularizer.rates`."""
        return entrance(self.coupling, learning_rate, schedule_scale)


@dataclass(frozen=True, kw_only=True)
class L1OfPart(AbstractPenalty):
    """Σ|w| over one part of the network; over BatchNorm scales (`part="scale"`) it is the penalty of Network Slimming.

    Source: Liu, Li, Shen, Huang, Yan and Zhang, Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017,
    by subgradient: 0 at 0, and no exact zeros. `after_update.Proximal` makes those.
    """

    name: ClassVar[str] = "l1_of_part"
    part: str = "scale"

    def value(self, weights: Array) -> Array:
        """Σ|w|."""
        return abs(weights).sum()

    def slope(self, weights: Array) -> Array:
        """sign(w)."""
        return sign(weights)


@dataclass(frozen=True, kw_only=True)
class GroupLasso(AbstractPenalty):
    """Σ_g ‖W_g‖₂, a group for each feature: its filter (`incoming`), or the input channel that reads it (`outgoing`).

    Source: Wen, Wu, Wang, Chen and Li, Learning Structured Sparsity in Deep Neural Networks, NeurIPS 2016, without weights for
    the sizes of groups. The gradient is not defined where a whole group is 0: there it is 0, a dead group is left alone.
    Behind BatchNorm a filter's norm does not change the function.
    """

    name: ClassVar[str] = "group_lasso"

    def value(self, weights: Array) -> Array:
        """Sum of the norms."""
        return _norms(weights).sum()

    def slope(self, weights: Array) -> Array:
        """W_g/‖W_g‖₂."""
        return _over(weights, _norms(weights))


@dataclass(frozen=True, kw_only=True)
class L1OverL2(AbstractPenalty):
    """The ratio R(x) = ‖x‖₁/‖x‖₂, between 1 (one element is not 0) and √n (all are alike), whatever the scale of x.

    At the level `element`, x is all weights of the layer; at `filter`, the weights of one feature, summed over features; at
    `group`, the norms of the features' weights, so that whole features vanish. ∇R = sign(x)/‖x‖₂ − x·‖x‖₁/‖x‖₂³ is
    orthogonal to x: R makes small elements smaller and large ones larger, so that nothing shrinks as a whole, and what goes
    is told by size beside the layer's largest (`mechanisms.measures.criteria`, `relative_norm`).

    Source: Berthelier, Yan, Chateau, Blanc, Duffner and Garcia, Learning Sparse Filters in Deep Convolutional Neural Networks
    with a l1/l2 Pseudo-Norm, ICPR workshops 2020, arXiv 2007.10022. Open: how it weights levels and layers; here all count alike.
    """

    name: ClassVar[str] = "l1_over_l2"
    level: str = "group"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("level", self.level, LEVELS)

    def value(self, weights: Array) -> Array:
        """R, or its sum over features."""
        members = _norms(weights) if self.level == "group" else weights
        sizes = self._l2(members)
        return (_over(self._l1(members), sizes)).sum()

    def slope(self, weights: Array) -> Array:
        """∇R; 0 where x is 0, and for dead features at the level `group`."""
        if self.level == "group":
            norms = _norms(weights)
            return self._gradient(norms) * _over(weights, norms)
        return self._gradient(weights)

    def _gradient(self, x: Array) -> Array:
        size = self._l2(x)
        unit = _over(x, size)
        return _over(sign(x) - unit * _over(self._l1(x), size), size)

    def _l1(self, x: Array) -> Array:
        return abs(x).sum(axis=self._axes, keepdims=True)

    def _l2(self, x: Array) -> Array:
        return sqrt((x * x).sum(axis=self._axes, keepdims=True))

    @property
    def _axes(self) -> tuple[int, ...]:
        return (1, 2) if self.level == "filter" else (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class SelectiveL1(AbstractPenalty):
    """Σ_f s_f^power·Σ|w_f|: an L1 penalty that is stronger on selective features, s_f the measured selectivity of feature f.

    Selectivity is the share of images that leave the feature at or under 1e-3 of its own maximum, measured anew in the course of
    a training; between measurements s_f is a constant, with no gradient. A feature that all images use is not penalized.

    Source: Mehta, Kim and Theobalt, CVPR 2019, name such a penalty as what their observation suggests; the formula is this
    package's.
    """

    name: ClassVar[str] = "selective_l1"
    measured: ClassVar[bool] = True
    part: str = "scale"
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("power", self.power, 0)

    def value(self, weights: Array) -> Array:
        """Σ|w|, all features alike; `factors` tells them apart."""
        return abs(weights).sum()

    def slope(self, weights: Array) -> Array:
        """sign(w), all features alike."""
        return sign(weights)

    def factors(self, selectivity: Array) -> Array:
        """s^power."""
        return selectivity**self.power


@dataclass(frozen=True, kw_only=True)
class FilterBank(AbstractPenalty):
    """½‖k − P_B k‖² over all kernels k: what of a kernel lies outside of the span of a bank B, P_B the projection onto it.

    It pulls towards smooth kernels, not towards 0: a control that regularizes without decay. The bank is the `bank` lowest
    two-dimensional cosines of the kernel's size, ordered by the sum of their frequencies; kernels with no more taps than that,
    and those that are not square, are free.

    Source: Ayyoubzadeh and Wu, Filter Bank Regularization of Convolutional Neural Networks, arXiv 1907.11110. Open: which bank
    they take; the factor ½ is ours, as in L2.
    """

    name: ClassVar[str] = "filter_bank"
    parts: ClassVar[tuple[str, ...]] = ("incoming", "outgoing")
    bank: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("bank", self.bank, 1)

    def value(self, weights: Array) -> Array:
        """½‖k − P_B k‖², summed."""
        return (self.slope(weights) ** 2).sum() / 2

    def slope(self, weights: Array) -> Array:
        """Return k − P_B k, what is left of k outside the span of B."""
        outside = np.eye(weights.shape[2]) - projection(weights.shape[2], self.bank)
        return weights @ (weights.new_tensor(outside) if hasattr(weights, "new_tensor") else outside.astype(weights.dtype))


def projection(taps: int, bank: int) -> np.ndarray:
    """The projection onto the span of the lowest two-dimensional cosines of a kernel, shape (taps, taps).

    The identity where the kernel is not square or has no more taps than the bank has members.
    """
    side = round(taps**0.5)
    if side * side != taps or taps <= bank:
        return np.eye(taps)
    places = (np.arange(side) + 0.5) * np.pi / side
    waves = np.cos(np.arange(side)[:, None] * places)
    order = sorted(((row, column) for row in range(side) for column in range(side)), key=lambda both: (sum(both), both))
    members = np.array([np.outer(waves[row], waves[column]).ravel() for row, column in order[:bank]])
    members /= np.linalg.norm(members, axis=1, keepdims=True)
    return np.asarray(members.T @ members)


def _norms(weights: Array) -> Array:
    """The L2 norm of each feature's weights, shape (features, 1, 1)."""
    return sqrt((weights * weights).sum(axis=(1, 2), keepdims=True))


def _over(numerator: Array, denominator: Array) -> Array:
    """The quotient; 0 where the denominator is 0."""
    positive = denominator > 0
    return where(positive, numerator, 0 * numerator) / where(positive, denominator, 0 * denominator + 1)
