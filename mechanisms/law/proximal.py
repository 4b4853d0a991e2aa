"""What some sparsifiers do to parameters after each update: no gradient of a penalty, and no part of the optimizer.

To add one: one class here.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from mechanisms.law.arrays import Array, exp, maximum, sign, where
from mechanisms.validation import require_above, require_at_least, require_between, require_whole


@dataclass(frozen=True, kw_only=True)
class AbstractAfterUpdate(abc.ABC):
    """Acts after every `every`-th update; `name` is what a user types."""

    name: ClassVar[str]
    acts_on: ClassVar[str]
    draws: ClassVar[bool] = False
    """Whether it needs numbers that are uniform in [0, 1)."""
    every: int = 1

    def __post_init__(self) -> None:
        require_whole("every", self.every, 1)

    @property
    def keeps_zeros(self) -> bool:
        """Whether what it sets to 0 stays 0 for the rest of the training."""
        return False

    @abc.abstractmethod
    def applied(self, w: Array, *, learning_rate: float, cost: float, uniform: Array) -> Array:
        """The parameters after the step, of the shape of `w`.

        Args:
            w: the parameters after the update, of NumPy or torch.
            learning_rate: η_t.
            cost: what a feature of this layer costs, in units of the mean over layers.
            uniform: uniform numbers in [0, 1) of the shape of `w` where it `draws`, else `w` itself.
        """


@dataclass(frozen=True, kw_only=True)
class Proximal(AbstractAfterUpdate):
    """γ ← sign(γ)·max(|γ| − η_t·λ·c, 0): one step of iterative soft thresholding (ISTA) on BatchNorm scales; exact zeros.

    c is the `cost` of a feature, the number of weights that make and read it beside the mean over layers, or 1 with
    `cost_weighted=false`. Scales that start smaller beside their threshold reach 0 sooner: the intervention `rescale` (γ and β
    times α, the weights that read them over α) at step 0 does that without a change of the function.

    Source: Ye, Lu, Lin and Wang, Rethinking the Smaller-Norm-Less-Informative Assumption in Channel Pruning, ICLR 2018. Open:
    their weights c, which also count the memory of activations; and they use SGD: under a rule that normalizes, the threshold is
    not divided by its denominator here.
    """

    name: ClassVar[str] = "proximal"
    acts_on: ClassVar[str] = "scale"
    strength: float = 1e-3
    cost_weighted: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("strength", self.strength, 0)

    def applied(self, w: Array, *, learning_rate: float, cost: float, uniform: Array) -> Array:
        """See `AbstractAfterUpdate`."""
        return soft_threshold(w, learning_rate * self.strength * (cost if self.cost_weighted else 1.0))


@dataclass(frozen=True, kw_only=True)
class WeightSampling(AbstractAfterUpdate):
    """Each weight becomes 0 with probability p(w) = probability·exp(−|w|/width), drawn anew after each update.

    With `permanent` a weight that was drawn stays 0. A feature whose incoming or outgoing weights are all gone is gone; one
    that is read by nothing gets no gradient any more, and what the regularizer does to the rest of it is
    `mechanisms.measures.disconnected`.

    Source: Ben-Guigui, Goldberger and Riklin-Raviv, The Role of Regularization in Shaping Weight and Node Pruning Dependency and
    Dynamics, arXiv 2012.03827, which samples "from a probability function that favors the zeroing of smaller weights". Open:
    the function, and whether zeros are for good.
    """

    name: ClassVar[str] = "weight_sampling"
    acts_on: ClassVar[str] = "weight"
    draws: ClassVar[bool] = True
    probability: float = 0.01
    width: float = 0.01
    permanent: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("probability", self.probability, 0, 1)
        require_above("width", self.width, 0)

    @property
    def keeps_zeros(self) -> bool:
        """See `AbstractAfterUpdate`."""
        return self.permanent

    def applied(self, w: Array, *, learning_rate: float, cost: float, uniform: Array) -> Array:
        """See `AbstractAfterUpdate`."""
        return where(uniform < zeroing_probability(w, self.probability, self.width), 0 * abs(w), w)


def soft_threshold(w: Array, threshold: float) -> Array:
    """sign(w)·max(|w| − threshold, 0), the proximal operator of threshold·|w|, element by element."""
    return sign(w) * maximum(abs(w) - threshold, 0 * w)


def zeroing_probability(w: Array, probability: float, width: float) -> Array:
    """probability·exp(−|w|/width), element by element: falls with |w|, from `probability` at 0."""
    return probability * exp(-abs(w) / width)
