"""Named random streams: one seed, one independent generator for each purpose."""

from __future__ import annotations

import zlib

import numpy as np

from mechanisms.validation import require


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose ("gradient", "init", "data_order", …) under a seed.

    Streams of different purposes are independent, and drawing more from one moves no other.

    >>> bool(stream(0, "init").random() == stream(0, "init").random())
    True
    >>> bool(stream(0, "init").random() == stream(0, "gradient").random())
    False
    """
    require(isinstance(seed, int) and seed >= 0, "seed", seed, "a whole number >= 0")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, zlib.crc32(purpose.encode())))))
