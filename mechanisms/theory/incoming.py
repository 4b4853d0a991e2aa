"""Weights in front of a normalization: the norm at which noise and decay balance, how fast they turn there, when that breaks.

The gradient is orthogonal to the weights and falls with their norm r as G/r, so steps only lengthen them and decay only shortens
them. Of `inputs` weights d and a gradient that is noise from batch to batch Adam makes steps of η in every one of them.

Source: rotational equilibrium, Kosson, Messmer and Jaggi, arXiv 2305.17212; Wan et al., arXiv 2006.08419; the threshold is ours.
"""

from __future__ import annotations

import numpy as np

from mechanisms.law.arrays import Array
from mechanisms.law.regularizers import L2
from mechanisms.theory.refusals import require_not_negative, require_positive


def equilibrium_norm(regularizer: L2, *, learning_rate: float, inputs: Array, gradient: Array = 1.0) -> Array:
    """r* under Adam, where noise rules the gradient; `gradient` is G, which only coupled decay asks for.

    Decoupled: r*² = ηd/(2λ), whatever the gradient, so all features have one norm (independent: λ is ηλ). Coupled: the decay is
    divided by the denominator G/(r√d) too, and r*³ = η√d·G/(2λ): weak features have small norms.
    """
    require_positive(learning_rate=learning_rate, inputs=inputs, strength=regularizer.strength)
    require_not_negative(gradient=gradient)
    if regularizer.coupling == "coupled":
        return np.cbrt(learning_rate * np.sqrt(inputs) * np.asarray(gradient) / (2 * regularizer.strength))
    strength = regularizer.strength / (learning_rate if regularizer.coupling == "independent" else 1.0)
    return np.sqrt(learning_rate * np.asarray(inputs) / (2 * strength))


def turning_rate(regularizer: L2, *, learning_rate: float, inputs: Array, gradient: Array = 1.0) -> Array:
    """The angle, in radians, by which a step turns the weights at their equilibrium norm: η√d/r*; decoupled √(2ηλ)."""
    norm = equilibrium_norm(regularizer, learning_rate=learning_rate, inputs=inputs, gradient=gradient)
    return learning_rate * np.sqrt(inputs) / norm


def runaway_threshold(regularizer: L2, *, learning_rate: float, inputs: Array) -> Array:
    """G_c = η²dλ/4: the gradient below which coupled decay takes the norm away and nothing holds it; 0 beside the update.

    There r* is half the length of a step, η√d/2, and the decay λr as large as the noise of the gradient.
    """
    require_positive(learning_rate=learning_rate, inputs=inputs)
    if regularizer.coupling != "coupled":
        return np.zeros(np.shape(inputs))
    return learning_rate**2 * np.asarray(inputs) * regularizer.strength / 4
