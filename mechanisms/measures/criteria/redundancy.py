"""Criteria that compare features with the others of their layer by what they respond to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def redundancy(features: pd.DataFrame) -> pd.Series:
    """1 − correlation at which a feature's cluster of like responses swallows it; 0 for one that never varies.

    Response vectors on a set of images are clustered; a cluster is represented by its strongest member. The score of a
    feature is the distance at which its cluster joins one with a stronger member
    (`mechanisms.measures.redundancy.merge_heights`): cutting the tree at any distance keeps one feature of each cluster, those
    with larger scores.

    Source of the question: Qin, Yu, Liu and Chen, Functionality-Oriented Convolutional Filter Pruning, arXiv 1810.07322, who
    cluster by maximized inputs. The method is this package's own.
    """
    return features["redundancy"]
