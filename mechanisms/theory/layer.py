"""Closed forms for features of several factors and for layers: penalty exponent, balance, conservation.

Symbols as in `mechanisms.theory.feature`. Each function says where it holds; each is tested against simulation or autograd.
"""

from __future__ import annotations

import numpy as np

from mechanisms.law.arrays import Array
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.theory.feature import decay_rate
from mechanisms.theory.refusals import require_decaying, require_l2, require_not_negative, require_positive
from mechanisms.validation import require_whole


def penalty_exponent(rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, factors: int = 2) -> float:
    """α of the penalty |u|^α that L2 on each of n balanced factors puts on their product u.

    Coupled decay, and any decay of a rule that does not normalize: (λ/2)·Σw² = (nλ/2)|u|^(2/n), so α = 2/n: 1 for two
    factors, a soft threshold. Decay beside a normalizing rule, where noise dominates its denominator: the gradient of
    each factor, and with it D, carries |u|^((n−1)/n), so that the pull is λ_eff·σ·|u|^(1/n) and α = 1 + 1/n: 3/2 for two
    factors, no threshold.
    """
    require_l2(regularizer)
    require_whole("factors", factors, 1)
    if regularizer.coupling == "coupled" or not rule.normalizing:
        return 2 / factors
    return 1 + 1 / factors


def measured_penalty_exponent(target: Array, settled: Array, *, smallest: float = 0.02) -> tuple[float, float]:
    """(α, standard error) from where products settle: the loss pulls with p·k·(a − u) = dP/du ∝ u^(α − 1).

    Args:
        target: a, one for each feature; p, k and the noise must be the same for all.
        settled: the time-averaged product u of each; those under `smallest` or above the target are left out.
        smallest: below it a product counts as dead and says nothing about the exponent.

    Raises:
        ValueError: fewer than three usable features.
    """
    target, settled = np.asarray(target, dtype=float), np.asarray(settled, dtype=float)
    usable = (settled > smallest) & (settled < target)
    if usable.sum() < 3:
        found = f"{int(usable.sum())} of {len(settled)} products settled between {smallest:g} and their target"
        raise ValueError(f"{found}: use a weaker strength")
    x, y = np.log(settled[usable]), np.log(target[usable] - settled[usable])
    (slope, _), covariance = np.polyfit(x, y, 1, cov="unscaled")
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    error = float(np.sqrt(covariance[0, 0] * (residual**2).sum() / max(1, len(x) - 2)))
    return 1 + float(slope), error


def balance_gap(
    gap: Array,
    steps: Array,
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    *,
    learning_rate: float,
) -> Array:
    """γ² + β² − |v|² after `steps`, from its start: equal L2 on all factors shrinks it at rate 2ηλ/(1 − μ).

    Homogeneity: the loss leaves it alone. Holds for gradient flow of a rule that does not normalize (small steps, no noise).
    """
    require_positive(learning_rate=learning_rate)
    require_not_negative(steps=steps)
    require_decaying(rule, regularizer, learning_rate=learning_rate)
    return gap * np.exp(-2 * decay_rate(rule, regularizer, learning_rate=learning_rate) * np.asarray(steps))


def layer_sum(
    start: Array,
    steps: Array,
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    *,
    learning_rate: float,
) -> Array:
    """Σ_k(γ_k² + β_k²) of a layer that feeds only convolution + BatchNorm: only L2 changes it, at rate −2ηλ/(1 − μ).

    Under gradient flow, whatever the loss. Noise makes finite steps add η²|∂γ|² each: the sum then falls to a floor.
    """
    return balance_gap(start, steps, rule, regularizer, learning_rate=learning_rate)
