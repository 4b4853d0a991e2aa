"""Criteria that read the scale of the normalization behind a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def scale(features: pd.DataFrame) -> pd.Series:
    """|γ|, the size of the BatchNorm scale.

    Source: Liu, Li, Shen, Huang, Yan and Zhang, Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017.
    They rank over the whole network, after training under an L1 penalty on γ.
    """
    return features["scale"].abs()


def product(features: pd.DataFrame) -> pd.Series:
    """|γ|·‖outgoing weights‖, or |γ| where no single module reads the feature.

    Derivation: ReLU is positively homogeneous, so that γ → cγ, v → v/c (with the shift beside γ) changes nothing the network
    does, and neither |γ| nor ‖v‖ alone says anything of the function; their product does not change. Under L2 on both, the
    penalty of a feature at balance is λ·|γ|·‖v‖ (`predictions.product_threshold`), so that this is also what it costs.
    """
    return features["product"].abs()
