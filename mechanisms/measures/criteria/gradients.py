"""Criteria that read the gradient of the loss, exemplar by exemplar, and the law that moves the scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def taylor(features: pd.DataFrame) -> pd.Series:
    """Mean over images of |Σ a·∂L/∂a| over positions, evaluation mode: what removing a feature changes to first order.

    Source: Molchanov, Tyree, Karras, Aila and Kautz, Pruning Convolutional Neural Networks, ICLR 2017, without the
    division of each layer by its L2 norm, and with the sum over positions instead of their mean.
    """
    return features["taylor"]


def affine_gradient(features: pd.DataFrame) -> pd.Series:
    """Root mean square over exemplars of the length of (∂ℓ/∂γ, ∂ℓ/∂β), training mode: how hard single exemplars pull.

    Derivation: its square is the trace of the feature's 2 × 2 block of the empirical Fisher matrix, to second order the mean
    price of a step of unit length of (γ, β) in any direction. It does not cancel over exemplars as the gradient of a batch does,
    and is 0 for a feature that no exemplar opens.

    Source of the Fisher matrix as a price: Theis, Korshunova, Tejani and Huszár, Faster gaze prediction, arXiv 1801.05787.
    """
    return features["affine_gradient"]


def fisher(features: pd.DataFrame) -> pd.Series:
    """Mean over exemplars of (γ·∂ℓ/∂γ + β·∂ℓ/∂β)², training mode: the curvature of the loss along the size of a feature.

    Half of it is what removing the feature costs to second order where the mean gradient is 0 and the empirical Fisher matrix is
    the curvature.

    Source: Theis, Korshunova, Tejani and Huszár, Faster gaze prediction, arXiv 1801.05787.
    """
    return features["affine_taylor_square"]


def gradient_scale(features: pd.DataFrame) -> pd.Series:
    """The denominator of the scale: the root mean square gradient that a normalizing rule has seen; 1 under SGD.

    Derivation: coupled decay shrinks a scale by ηλ/D a step (`predictions.decay_rate`), fastest where D is smallest.
    """
    return features["denominator"]


def effective_strength(features: pd.DataFrame) -> np.ndarray:
    """p·k·a − λ_eff: by how much the loss would hold a feature at 0 more strongly than the regularizer pulls it there.

    Below 0 the feature is predicted to die. Derivation: a feature puts out r·f, r = √(γ² + β²) by the homogeneity of ReLU, and is
    read by weights of norm v, so that it acts through u = r·v. To second order in u, the mean loss pulls by
    −dL/du = p·k·(a − u); then −∂L/∂r = v·p·k·(a − u) and ∂²L/∂r² = v²·p·k, and the pull at u = 0 is

        p·k·a = p·k·(a − u) + p·k·u = (−∂L/∂r + r·∂²L/∂r²)/v.

    With t = γ·∂ℓ/∂γ + β·∂ℓ/∂β = r·∂ℓ/∂r of one exemplar and the curvature taken as the empirical Fisher E[(∂ℓ/∂r)²],

        p·k·a = (E[t²] − E[t])/(r·v).

    Equal L2 on both factors costs λ_eff·|u| at balance (r = v), an L1 penalty: the product dies outright where
    p·k·a < λ_eff (`predictions.product_threshold`). λ_eff is λ under coupled decay, and follows the measured denominator of
    the scale otherwise (`predictions.effective_strength`). No such threshold exists beside a normalizing rule under decoupled and
    independent decay, where the denominator falls with the product: there the sign means nothing and only the order may.
    Where no single module reads a feature, v = 1. A feature with r = 0 or v = 0 has no loss to hold it: −λ_eff.

    Four assumptions that networks break: the loss is quadratic in u as far as 0; the empirical Fisher is its curvature (it
    vanishes as the training set is fitted); both factors are at balance; features do not compete. Where the next layer
    normalizes, the E[t] of a layer add up to 0 (THEORY P10): the loss holds its features against each other only, and the
    threshold cannot be absolute.
    """
    length = np.hypot(features["scale"], features["shift"].fillna(0.0))
    acting = np.asarray(length * features["outgoing"].fillna(1.0), np.float64)
    pull = np.asarray(features["affine_taylor_square"] - features["affine_taylor"], np.float64)
    held = np.divide(pull, acting, out=np.where(np.isnan(acting), np.nan, 0.0), where=acting > 0)
    return held - np.asarray(features["effective_strength"], np.float64)
