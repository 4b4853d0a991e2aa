"""Which features of a layer respond alike: clusters of response vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechanisms.validation import require

FARTHEST = 2.0
"""1 − correlation of two responses that are exactly opposed."""


def merge_heights(responses: np.ndarray) -> np.ndarray:
    """For each feature the distance at which its cluster joins one with a stronger member, shape (features,), in [0, 2].

    Distance is 1 − correlation over exemplars, between clusters the mean over pairs (average linkage); strength is the mean
    response, of equal ones the first. The strongest of all has 2, features that never vary have 0.

    Args:
        responses: response of each feature to each exemplar, shape (exemplars, features).

    Source: Sokal and Michener, A statistical method for evaluating systematic relationships, 1958 (average linkage).
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import pdist

    responses = np.asarray(responses, np.float64)
    require(responses.ndim == 2 and len(responses) > 1, "shape of responses", responses.shape, "(exemplars, features), 2 or more")
    heights = np.zeros(responses.shape[1])
    varying = np.flatnonzero(np.ptp(responses, axis=0) > 0)
    if len(varying) == 0:
        return heights
    order = np.argsort(-responses[:, varying].mean(axis=0), kind="stable")
    place = np.empty(len(varying), int)
    place[order] = np.arange(len(varying))
    best = list(range(len(varying)))
    distances = np.clip(pdist(responses[:, varying].T, "correlation"), 0, FARTHEST)
    tree: Any = linkage(distances, "average") if len(varying) > 1 else []
    for first, second, height, _ in tree:
        stronger, weaker = sorted((best[int(first)], best[int(second)]), key=lambda member: int(place[member]))
        heights[varying[weaker]] = min(float(height), FARTHEST)
        best.append(stronger)
    heights[varying[order[0]]] = FARTHEST
    return heights
