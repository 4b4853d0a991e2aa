"""Criteria that read the weights alone: those that make a feature, and those that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def filter_l1(features: pd.DataFrame) -> pd.Series:
    """Sum of the absolute weights that make a feature.

    Behind BatchNorm their size does not change the function (Ye et al. 2018, arXiv 1802.00124); it tells how long ago the loss
    last fed them. Li et al. rank within a layer.

    Source: Li, Kadav, Durdanovic, Samet and Graf, Pruning Filters for Efficient ConvNets, ICLR 2017.
    """
    return features["incoming_l1"]


def filter_l2(features: pd.DataFrame) -> pd.Series:
    """L2 norm of the weights that make a feature.

    Source: He, Kang, Dong, Fu and Yang, Soft Filter Pruning, IJCAI 2018, with p = 2.
    """
    return features["incoming"]


def geometric_median(features: pd.DataFrame) -> pd.Series:
    """Sum of the distances from the weights that make a feature to those of all others in its layer.

    The smallest sum is next to the layer's geometric median: what it does, the others can take over.

    Source: He, Liu, Wang, Hu and Yang, Filter Pruning via Geometric Median, CVPR 2019.
    """
    return features["distance_sum"]


def outgoing(features: pd.DataFrame) -> pd.Series:
    """L2 norm of the weights that read a feature.

    Source: He, Fan, Qian, Tan and Yu, Reshaping deep neural network for fast decoding by node-pruning, ICASSP 2014,
    whose "output weights norm" is the mean absolute weight.
    """
    return features["outgoing"]
