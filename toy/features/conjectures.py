"""Gradient models for what is conjectured of whole networks: a ReLU barrier, a shift inside the product, competition in a layer.

Each is the smallest system that has the mechanism; `mechanisms.claims` says what each must show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechanisms.law.arrays import Array, maximum, sqrt, where
from mechanisms.validation import require_above, require_at_least, require_between, require_whole
from toy.features.gradients import (
    AbstractGradient,
    Fields,
    Parameters,
    Settings,
    require_selective,
    selective_settings,
    selective_slope,
)


@dataclass(frozen=True, kw_only=True)
class Barrier(AbstractGradient):
    """A ReLU feature with scale γ and shift β whose gradient is zero once no exemplar opens it: an absorbing barrier.

    Pre-activations γ·x + β with x uniform of unit variance open the ReLU on a share p = clip(½ + β/(2√3·|γ|), 0, 1) of
    the exemplars. While p > 0 the loss pulls γ to `target` and β to `target_shift` with force p·k and noise k·s·√(p/B);
    at p = 0, that is at β <= −√3·|γ|, the feature is silent for good. The noise of β is a fair sign, independent of that
    of γ.
    """

    name: ClassVar[str] = "barrier"
    parameters: ClassVar[tuple[str, ...]] = ("scale", "shift")
    batch_size: int = 40
    curvature: float = 1e-2
    target: float = 1.0
    target_shift: float = 0.0
    noise: float = 1.0
    initial_shift: float = 0.0

    def __post_init__(self) -> None:
        require_whole("batch_size", self.batch_size, 1)
        require_above("curvature", self.curvature, 0)
        require_at_least("noise", self.noise, 0)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """k·[p(γ − target) + √(p/B)·s·z] and the same for β with a fair sign instead of z."""
        curvature, target, target_shift, noise, half, slope_of_share, zero, one = settings
        scale, shift = parameters
        size = abs(scale)
        lean = shift * slope_of_share / where(size > zero, size, one)
        share = -maximum(-maximum(half + lean, zero), -one)
        spread = sqrt(share) * noise
        sign = visits - half
        return (
            curvature * (share * (scale - target) + spread * normal),
            curvature * (share * (shift - target_shift) + spread * (sign + sign)),
        )

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """k, targets, s/√B, ½, 1/(2√3), 0, 1."""
        ones = np.ones_like(fields["curvature"])
        noise = fields["noise"] / np.sqrt(fields["batch_size"])
        numbers = (ones / 2, ones / np.sqrt(12), 0 * ones, ones)
        return fields["curvature"], fields["target"], fields["target_shift"], noise, *numbers

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """One fair coin a step."""
        return np.ones_like(fields["curvature"]), np.full_like(fields["curvature"], 0.5)


@dataclass(frozen=True, kw_only=True)
class ShiftedProduct(AbstractGradient):
    """The product with the shift included: outgoing weight v times the pair (γ, β), which the ReLU scales together.

    What the feature does is the vector (vγ, vβ); the loss pulls it to (a, b) = (`target`, `target_shift`) with g_γ = h₁v,
    g_β = h₂v, g_v = h₁γ + h₂β, where h₁ and h₂ are the selective slope of either component (the noise acts on the first).
    """

    name: ClassVar[str] = "shifted_product"
    parameters: ClassVar[tuple[str, ...]] = ("scale", "shift", "outgoing")
    p: float = 0.1
    batch_size: int = 40
    curvature: float = 0.1
    target: float = 0.8
    target_shift: float = -0.6
    noise: float = 1.0
    initial_shift: float = -0.4
    initial_outgoing: float = 0.7

    def __post_init__(self) -> None:
        require_selective(self)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """(h₁v, h₂v, h₁γ + h₂β)."""
        rate, target, noise, target_shift = settings
        scale, shift, outgoing = parameters
        h1 = selective_slope(scale * outgoing, normal, visits, (rate, target, noise))
        h2 = rate * visits * (shift * outgoing - target_shift)
        return h1 * outgoing, h2 * outgoing, h1 * scale + h2 * shift

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """k/B, a, s, b."""
        return *selective_settings(fields), fields["target_shift"]

    @staticmethod
    def product(parameters: Parameters) -> Array:
        """The length of (vγ, vβ)."""
        scale, shift, outgoing = parameters
        return sqrt(scale * scale + shift * shift) * abs(outgoing)

    @staticmethod
    def visit_law(fields: Fields) -> tuple[np.ndarray, np.ndarray] | None:
        """The parameters of a binomial draw: B trials, each with probability p."""
        return fields["batch_size"], fields["p"]


@dataclass(frozen=True, kw_only=True)
class Competition(AbstractGradient):
    """Two features whose sum is normalized by the next layer's BatchNorm, so that the loss sees only their shares.

    With c_i = γ_i·v_i, R = |c| and u = c/R the loss is k·(1 − u·t), t = (`share`, √(1 − share²)): its gradient in c is tangent,
    −(k/R)(t·τ + s·z)·τ with τ = (−u₂, u₁), so γ₁∂γ₁ + γ₂∂γ₂ = 0 in every batch: the loss cannot change γ₁² + γ₂².
    `rescale` multiplies γ₁ and divides v₁ at the start: the function is the same, the relative size is not.
    """

    name: ClassVar[str] = "competition"
    parameters: ClassVar[tuple[str, ...]] = ("scale", "outgoing", "rival_scale", "rival_outgoing")
    share: float = 0.6
    curvature: float = 0.1
    noise: float = 1.0
    rescale: float = 1.0
    initial_outgoing: float = 1.0
    initial_rival_scale: float = 1.0
    initial_rival_outgoing: float = 1.0

    def __post_init__(self) -> None:
        require_between("share", self.share, 0, 1)
        require_above("curvature", self.curvature, 0)
        require_at_least("noise", self.noise, 0)
        require_above("rescale", self.rescale, 0)

    @staticmethod
    def slope(parameters: Parameters, normal: Array, visits: Array, step: Array, settings: Settings) -> Parameters:
        """The tangent slope of c₁ and c₂, handed to the factors of each."""
        curvature, share, rival_share, noise, tiny = settings
        scale, outgoing, rival_scale, rival_outgoing = parameters
        own, rival = scale * outgoing, rival_scale * rival_outgoing
        square = own * own + rival * rival + tiny
        pull = curvature * (share * -rival + rival_share * own + noise * normal * sqrt(square)) / (square * sqrt(square))
        own_slope, rival_slope = pull * rival, -pull * own
        return own_slope * outgoing, own_slope * scale, rival_slope * rival_outgoing, rival_slope * rival_scale

    @staticmethod
    def settings(fields: Fields) -> Settings:
        """k, t₁, t₂, s, and BatchNorm's ε against 0/0 (1e-30)."""
        share = fields["share"]
        return fields["curvature"], share, np.sqrt(1 - share**2), fields["noise"], np.full_like(share, 1e-30)

    @staticmethod
    def product(parameters: Parameters) -> Array:
        """The share u₁ of the first feature."""
        own, rival = parameters[0] * parameters[1], parameters[2] * parameters[3]
        return own / sqrt(own * own + rival * rival)

    @classmethod
    def initial(cls, fields: Fields, initial_scale: np.ndarray) -> Parameters:
        """γ₁·rescale, v₁/rescale, γ₂, v₂."""
        scale, outgoing, *rival = super().initial(fields, initial_scale)
        return scale * fields["rescale"], outgoing / fields["rescale"], *rival
