"""What no closed form is asked for: values that mean nothing to it, and decays that grow instead of shrinking.

Where a closed form is only off, `mechanisms.theory.conditions` says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mechanisms.law.arrays import Array
from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.validation import require


def require_each(valid: str, holds: Callable[[np.ndarray], np.ndarray], **named: Array) -> None:
    """Raise `InvalidValue` with the first wrong number unless `holds` of every number, of a scalar or an array."""
    for name, values in named.items():
        numbers = np.asarray(values, dtype=float)
        wrong = numbers[~holds(numbers)]
        require(wrong.size == 0, name, float(wrong[0]) if wrong.size else None, valid)


def require_positive(**named: Array) -> None:
    """Raise `InvalidValue` unless all are finite and above 0."""
    require_each("finite numbers > 0", lambda x: np.isfinite(x) & (x > 0), **named)


def require_not_negative(**named: Array) -> None:
    """Raise `InvalidValue` unless all are finite and at least 0."""
    require_each("finite numbers >= 0", lambda x: np.isfinite(x) & (x >= 0), **named)


def require_activity(p: Array) -> None:
    """Raise `InvalidValue` unless p is the fraction of the exemplars that use a feature, and some do."""
    require_each("a fraction of the exemplars, above 0 and at most 1", lambda x: (x > 0) & (x <= 1), p=p)


def require_memory(**named: Array) -> None:
    """Raise `InvalidValue` unless all are decay factors of a running mean, in [0, 1)."""
    require_each("numbers in [0, 1)", lambda x: (x >= 0) & (x < 1), **named)


def require_l2(regularizer: AbstractRegularizer) -> None:
    """Raise `InvalidValue` for a regularizer whose pull is not proportional to the scale: no closed form is known for it."""
    require(isinstance(regularizer, L2), "regularizer", regularizer.name, "l2, the only one with closed forms here")


def require_decaying(rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float) -> None:
    """Raise `InvalidValue` for a decay whose own steps overshoot zero ever further.

    Beside the update a step multiplies a scale by 1 − ηλ (independent: 1 − λ), which diverges from ηλ = 2 on. Coupled SGD is
    stable below ηλ = 2(1 + μ), with Nesterov momentum below 2(1 + μ)/(1 + 2μ). Coupled decay of a normalizing rule cannot
    diverge in this way: its denominator grows with the decay.
    """
    strength, coupling = regularizer.strength, regularizer.coupling
    if coupling == "coupled" and rule.normalizing:
        return
    unit, symbol = (1.0, "λ") if coupling == "independent" else (learning_rate, "ηλ")
    bound = stable_below(rule) if coupling == "coupled" else 2.0
    fault = f"less than {bound / unit:.4g}: at {symbol} = {strength * unit:.4g}, not below {bound:.4g}, the decay itself diverges"
    require(strength * unit < bound, "strength", strength, fault)


def stable_below(rule: AbstractUpdateRule) -> float:
    """The η·(curvature) from which a rule without denominator diverges: 2(1 + μ), Nesterov 2(1 + μ)/(1 + 2μ)."""
    momentum = float(getattr(rule, "momentum", 0.0))
    return 2 * (1 + momentum) / (1 + 2 * momentum if getattr(rule, "nesterov", False) else 1)
