"""The criteria that figures show by a line each, in one order and colour everywhere."""

from __future__ import annotations

import numpy as np

from figures.style import palette

LABELS = {
    "scale": "BN scale",
    "product": "scale × outgoing",
    "filter_l1": "filter L1",
    "taylor": "Taylor",
    "mean_activation": "mean activation",
    "selectivity": "selective first",
    "universality": "universal first",
    "effective_strength": "effective strength",
    "redundancy": "redundancy",
    "random": "random",
}
MARKERS = dict(zip(LABELS, "osD^v<>PX.", strict=True))


def colours() -> dict[str, str]:
    """Criterion → its colour, those of `LABELS`."""
    return dict(zip(LABELS, palette(len(LABELS)), strict=True))


def finite(reach: np.ndarray) -> np.ndarray:
    """Lengths of error bars: none where one replicate has no interval."""
    return np.where(np.isfinite(reach), reach, 0.0)
