"""Criteria that read how much and on how many images a feature is active; on the images that were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def apoz(features: pd.DataFrame) -> pd.Series:
    """1 − the average percentage of zeros: the share of images and positions at which a feature is not 0.

    Source: Hu, Peng, Tai and Tang, Network Trimming, arXiv 1607.03250. Most zeros go first.
    """
    return 1 - features["zero_share"]


def mean_activation(features: pd.DataFrame) -> pd.Series:
    """Mean over images of the largest |activation| on each.

    Source: Molchanov, Tyree, Karras, Aila and Kautz, ICLR 2017 ("activation"), there the mean over positions too.
    """
    return features["mean_activation"]


def max_activation(features: pd.DataFrame) -> pd.Series:
    """Largest |activation| over all images and positions; 0 is what `sparsity` by activation calls inactive.

    Source: Mehta, Kim and Theobalt, CVPR 2019 (their definition of an inactive feature, taken as a score).
    """
    return features["max_activation"]


def selectivity(features: pd.DataFrame) -> pd.Series:
    """Removes selective features first: the share of images that activate a feature above 1e-3 of its own maximum.

    Source: Mehta, Kim and Theobalt, CVPR 2019: training with L2 removes selective features, which makes it a criterion.
    """
    return 1 - features["selectivity"]


def selectivity_tenth(features: pd.DataFrame) -> pd.Series:
    """As `selectivity`, with a threshold of a tenth of the feature's own maximum.

    Source: as `selectivity`; the threshold is this package's.
    """
    return 1 - features["selectivity_1e-1"]


def universality(features: pd.DataFrame) -> pd.Series:
    """Removes universal features first: the share of images that leave a feature at or under 1e-3 of its own maximum.

    Source: Mehta, Kim and Theobalt, CVPR 2019, conclusion: features that are always on tell images apart as little as those that
    are never; removing them costs accuracy until the network is tuned again. A silent feature counts as selective: it goes last.
    """
    return features["selectivity"]


def universality_tenth(features: pd.DataFrame) -> pd.Series:
    """As `universality`, with a threshold of a tenth of the feature's own maximum.

    Source: as `universality`; the threshold is this package's.
    """
    return features["selectivity_1e-1"]
