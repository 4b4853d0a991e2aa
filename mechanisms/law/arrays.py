"""The few element-wise helpers that update rules may use, for NumPy arrays, torch tensors and compiled scalars alike.

Each asks the array which library made it, so that this package never imports torch. `toy.engines.numba_backend` gives every
function of this module a compiled meaning; a helper added here needs a line there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
"""A NumPy array, a torch tensor or a floating-point scalar."""


def sqrt(x: Array) -> Array:
    """The square root of each element."""
    return x.sqrt() if hasattr(x, "sqrt") else np.sqrt(x)


def exp(x: Array) -> Array:
    """Raise e to the power of each element."""
    return x.exp() if hasattr(x, "exp") else np.exp(x)


def maximum(x: Array, y: Array) -> Array:
    """The larger of the two, element by element."""
    return x.maximum(y) if hasattr(x, "maximum") else np.maximum(x, y)


def sign(x: Array) -> Array:
    """−1, 0 or 1 for each element; 0 at 0."""
    return x.sign() if hasattr(x, "sign") else np.sign(x)


def where(condition: Array, x: Array, y: Array) -> Array:
    """`x` where the condition holds, else `y`, element by element."""
    return x.where(condition, y) if hasattr(x, "new_full") else np.where(condition, x, y)


def filled(like: Array, value: Array) -> Array:
    """An array of the shape, type and library of `like`, filled with one value."""
    return like.new_full(like.shape, value) if hasattr(like, "new_full") else np.full_like(like, value)
