"""In which order features leave a network that a sparsifier trained: scores beside the layer's largest, so that layers compare.

Unlike a pruning criterion (`mechanisms.measures.criteria`), a score has a number where a layer has no BatchNorm: what is not
there counts as alike for all. Each is a function of one network's `features` table at one moment; the lowest go first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mechanisms.validation import require_choice

if TYPE_CHECKING:
    import pandas as pd


def relative_norm(features: pd.DataFrame) -> pd.Series:
    """Norm of the weights that make a feature beside the layer's largest, times |BatchNorm scale|.

    Of a penalty that does not depend on scale, such as ℓ1/ℓ2, only the relative size tells what is to go.
    """
    return _beside_largest(features, "incoming") * features["scale"].abs().fillna(1.0)


def activation(features: pd.DataFrame) -> pd.Series:
    """Mean over images of the largest |activation| of each, beside the layer's largest."""
    return _beside_largest(features, "mean_activation")


def reach(features: pd.DataFrame) -> pd.Series:
    """Activation as above times the norm of the weights that read the feature beside the layer's largest."""
    return activation(features) * _beside_largest(features, "outgoing")


def entropic(features: pd.DataFrame) -> pd.Series:
    """Weigh each channel by an entropic regression of what its reader computes, times their number.

    See `mechanisms.measures.entropic_regression`.

    Source: Barisin and Horenko, arXiv 2404.04734.
    """
    weights = features["entropic_weight"]
    return weights * weights.groupby(features["layer"]).transform("size")


SCORES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    one.__name__: one for one in (relative_norm, activation, reach, entropic)
}


def require_scores(field: str, names: tuple[str, ...]) -> None:
    """Raises `InvalidValue`, with the list of what there is, unless all are names of scores."""
    for name in names:
        require_choice(field, name, tuple(SCORES))


def _beside_largest(features: pd.DataFrame, column: str) -> pd.Series:
    sizes = features[column].abs()
    largest = sizes.groupby(features["layer"]).transform("max")
    return (sizes / largest).fillna(0.0).where(sizes.notna(), 1.0)
