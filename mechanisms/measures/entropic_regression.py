"""Entropic regression: few channels that reproduce what a layer computes from all of them.

What a layer computes is a sum over input channels, y = Σ_c z_c. With weights w on the simplex (w_c >= 0, Σw = 1) and one
amplitude s it is approximated by s·Σ_c w_c z_c; the entropy −Σ w log w of the weights is a penalty, so that they concentrate.
"""

from __future__ import annotations

import numpy as np

from mechanisms.validation import require, require_at_least, require_whole

SMALLEST = 1e-30
"""Weights are kept above this, so that logarithms stay finite."""


def objective(gram: np.ndarray, weights: np.ndarray, strength: float) -> float:
    """Relative squared error at the best amplitude, plus strength × entropy of the weights in units of log(channels).

    `gram` holds the inner products ⟨z_c, z_d⟩ over samples and outputs, shape (channels, channels); `weights` (channels,).
    """
    with_all = gram.sum(axis=1)
    explained = (weights @ with_all) ** 2 / max(weights @ gram @ weights, SMALLEST)
    return float(1 - explained / max(with_all.sum(), SMALLEST) + strength * _entropy(weights))


def entropic_weights(gram: np.ndarray, strength: float = 0.1, steps: int = 500) -> np.ndarray:
    """The weights of channels on the simplex that make the objective small, shape (channels,), from `starting_weights`.

    Exponentiated gradient: w ← w·exp(−rate·∇)/Σ, with a rate that halves where the objective would rise, so that it never does.

    Source: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural Networks,
    arXiv 2404.04734: a convolution as a linear regression whose weights are the trained ones times a diagonal of channel
    weights, with squared error and the entropy of the channel weights as objective, layer by layer. Open: their L2 term,
    strengths and solver (they extend SPARTAn); the amplitude and the solver here are ours.

    Raises:
        InvalidValue: the matrix is not square.
    """
    require(gram.ndim == 2 and gram.shape[0] == gram.shape[1], "gram", gram.shape, "a square matrix")
    require_at_least("strength", strength, 0)
    require_whole("steps", steps, 1)
    weights = starting_weights(gram)
    best, rate = objective(gram, weights, strength), 1.0
    for _ in range(steps):
        logarithm = np.log(weights) - rate * _gradient(gram, weights, strength)
        proposed = np.exp(logarithm - logarithm.max())
        proposed = np.maximum(proposed / proposed.sum(), SMALLEST)
        found = objective(gram, proposed, strength)
        if found <= best:
            weights, best, rate = proposed, found, 1.5 * rate
        else:
            rate /= 2
    final: np.ndarray = weights / weights.sum()
    return final


def starting_weights(gram: np.ndarray) -> np.ndarray:
    """The share of each channel in what all compute together, ⟨z_c, y⟩, at least a thousandth of an equal one.

    Equal weights would not do: they reproduce y, and their entropy is the largest, so that nothing moves them.
    """
    shares = np.maximum(gram.sum(axis=1), SMALLEST)
    kept = np.maximum(shares / shares.sum(), 1e-3 / len(gram))
    found: np.ndarray = kept / kept.sum()
    return found


def _entropy(weights: np.ndarray) -> float:
    return float(-(weights * np.log(np.maximum(weights, SMALLEST))).sum() / max(np.log(len(weights)), SMALLEST))


def _gradient(gram: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    """Of the objective, but for a constant, which the simplex does not feel."""
    with_all = gram.sum(axis=1)
    linear, square = weights @ with_all, max(weights @ gram @ weights, SMALLEST)
    explained = 2 * linear / square * with_all - 2 * (linear / square) ** 2 * (gram @ weights)
    return np.asarray(
        -explained / max(with_all.sum(), SMALLEST) - strength * np.log(weights) / max(np.log(len(weights)), SMALLEST)
    )
