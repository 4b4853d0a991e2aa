"""How many exemplars use a feature: activity, selectivity and universality, from its largest |activation| on each exemplar.

`peaks` has shape (exemplars, features), a NumPy array or a torch tensor; results have shape (features,) and the same library.
"""

from __future__ import annotations

from mechanisms.law.arrays import Array
from mechanisms.validation import require, require_at_least, require_between

SELECTIVITY_LEVEL = 1e-3
"""An exemplar activates a feature above this share of the feature's own maximum. Source: Mehta et al., CVPR 2019."""


def activity(peaks: Array) -> Array:
    """The share of exemplars on which a feature is active at all; after a ReLU, those that give it a loss gradient."""
    _require_peaks(peaks)
    return (peaks > 0).sum(0) / peaks.shape[0]


def selectivity(peaks: Array, threshold: float = SELECTIVITY_LEVEL, relative: bool = True) -> Array:
    """The share of exemplars that leave a feature at or under the threshold; 1 for a silent feature.

    The threshold is a share, in [0, 1), of the feature's own maximum over these exemplars, or with `relative=False` an
    activation. An absolute threshold measures mostly how large a feature's scale is.

    Source: Mehta, Kim and Theobalt, CVPR 2019 (relative, 1e-3).
    """
    _require_peaks(peaks)
    if relative:
        require_between("threshold", threshold, 0, 1)
    else:
        require_at_least("threshold", threshold, 0)
    return (peaks <= (threshold * _largest(peaks) if relative else threshold)).sum(0) / peaks.shape[0]


def universality(peaks: Array, threshold: float = SELECTIVITY_LEVEL, relative: bool = True) -> Array:
    """1 − `selectivity`: the share of exemplars that activate a feature above the threshold."""
    return 1 - selectivity(peaks, threshold, relative)


def _require_peaks(peaks: Array) -> None:
    shape = tuple(peaks.shape)
    require(len(shape) == 2 and shape[0] > 0, "shape of peaks", shape, "(exemplars, features) with at least one exemplar")


def _largest(peaks: Array) -> Array:
    return peaks.amax(0) if hasattr(peaks, "amax") else peaks.max(0)
