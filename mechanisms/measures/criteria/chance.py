"""The control that every criterion has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechanisms.records.rng import stream

if TYPE_CHECKING:
    import pandas as pd


def random(features: pd.DataFrame, seed: int) -> np.ndarray:
    """Uniform numbers from stream "random criterion" of the seed, in the order of the rows."""
    return stream(seed, "random criterion").random(len(features))
