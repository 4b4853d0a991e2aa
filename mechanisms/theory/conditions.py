"""Where the closed forms hold: each function takes what its namesake in `feature` or `layer` takes, and tells what is outside.

Values that mean nothing are refused there; here are those at which a closed form has a value, and another one is to be
expected. The limits are where simulation, or the iteration itself, is off by about a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule, Adam, AMSGrad, NAdam, RMSProp
from mechanisms.theory import feature
from mechanisms.theory.refusals import require_positive

WELL_FED = 20.0
"""Visits per memory from which a feature settles within 3 % of its closed form (hypothesis P4)."""
SLOW = 0.1
"""The relative decay a step, in units of what the rule's memory forgets a step, up to which a rate is within a tenth."""
QUASI_STATIC = 0.2
"""The relative change of a denominator a step, in units of 1 − β2, up to which a decay time is within a tenth."""
ABOVE_FLOOR = 5.0
"""Standard deviations of the noise above zero at which the mean of a scale is still what one scale does."""


@dataclass(frozen=True)
class Validity:
    """Whether a closed form holds at given values: `reasons` say what is outside its conditions, none where it holds."""

    reasons: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing is outside."""
        return not self.reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons) or "holds"


def _told(*reasons: str | None) -> Validity:
    return Validity(tuple(reason for reason in reasons if reason))


def visits(rule: AbstractUpdateRule, p: float, batch_size: float) -> float | None:
    """Visits per memory of the second moment; None for a rule whose denominator never forgets, or that has none."""
    beta2 = None if isinstance(rule, AMSGrad) else getattr(rule, "beta2", None)
    return None if beta2 is None else float(feature.visits_per_memory(p, batch_size=batch_size, beta2=beta2))


def decay_rate(
    rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, denominator: float = 1.0
) -> Validity:
    """Of the rate, and of the decay budget: the rate is small against what the rule forgets in a step."""
    require_positive(denominator=denominator)
    rate = float(feature.decay_rate(rule, regularizer, learning_rate=learning_rate, denominator=denominator))
    return _told(_fast(rule, regularizer.coupling, rate))


def decay_budget(
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    *,
    learning_rate: float,
    effective_steps: float,
    denominator: float | None = None,
) -> Validity:
    """As `decay_rate`."""
    law = {"learning_rate": learning_rate, "denominator": denominator}
    feature.decay_budget(rule, regularizer, effective_steps=effective_steps, **law)  # type: ignore[arg-type]
    return decay_rate(rule, regularizer, learning_rate=learning_rate, denominator=denominator or 1.0)


def critical_activity(strength: float, *, curvature: float, target: float = 1.0) -> Validity:
    """There is a fraction at all: λ < k·|a|."""
    all_die = float(feature.critical_strength(1.0, curvature=curvature, target=target))
    everywhere = f"λ = {strength:.3g} is at least k·|a| = {all_die:.3g}: features of every p die"
    return _told(everywhere if strength >= all_die else None)


def selective_equilibrium(
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    *,
    learning_rate: float,
    p: float,
    batch_size: float,
    curvature: float,
    noise: float = 1.0,
    target: float = 1.0,
    factors: int = 1,
) -> Validity:
    """The feature is visited often in a memory, and decay beside the update meets a denominator that the closed form knows."""
    model = {"p": p, "batch_size": batch_size, "curvature": curvature, "noise": noise, "target": target}
    feature.selective_equilibrium(rule, regularizer, learning_rate=learning_rate, factors=factors, **model)
    beside = rule.normalizing and regularizer.coupling != "coupled"
    unknown = beside and not isinstance(rule, Adam | NAdam | RMSProp)
    return _told(
        _rarely_visited(visits(rule, p, batch_size), p),
        f"the denominator of {rule.name} is not the root mean square gradient" if unknown else None,
    )


def crossing_activity(
    strength: float, *, learning_rate: float, batch_size: float, curvature: float, noise: float = 1.0, beta2: float = 0.999
) -> Validity:
    """There is a crossing, and the feature there is visited often in a memory of 1/(1 − β2) steps."""
    law = {"learning_rate": learning_rate, "batch_size": batch_size, "curvature": curvature, "noise": noise}
    p = feature.crossing_activity(strength, **law)
    if np.isnan(p):
        return _told(f"no feature has a denominator of η = {learning_rate:.3g}")
    return _told(_rarely_visited(float(feature.visits_per_memory(p, batch_size=batch_size, beta2=beta2)), p))


def sgd_relaxation(strength: float, *, learning_rate: float, momentum: float, p: float, curvature: float) -> Validity:
    """The approach is slow against the memory of the momentum."""
    rate = learning_rate * (p * curvature + strength) / (1 - momentum)
    return _told(_too_fast(rate, momentum))


def fluctuation_floor(
    rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, sigma: float
) -> Validity:
    """As `decay_rate`, at the denominator of the noise."""
    feature.fluctuation_floor(rule, regularizer, learning_rate=learning_rate, sigma=sigma)
    return decay_rate(rule, regularizer, learning_rate=learning_rate, denominator=sigma if rule.normalizing else 1.0)


def decay_time(
    start: float, end: float, *, learning_rate: float, strength: float, sigma: float, beta2: float = 0.999
) -> Validity:
    """The denominator falls slowly against 1/(1 − β2) everywhere on the way, and the end is above the floor of the noise."""
    law = {"learning_rate": learning_rate, "strength": strength, "sigma": sigma}
    feature.decay_time(start, end, **law)
    # ln D = ½ ln(σ² + λ²w²) changes by ηλ·λ²w²/D³ a step, most at w = √2·σ/λ, if that is on the way.
    fastest = float(np.clip(np.sqrt(2) * sigma / strength, end, start))
    pull = strength * fastest
    change = learning_rate * strength * pull**2 / float(np.hypot(sigma, pull)) ** 3 / (1 - beta2)
    return _told(
        f"the denominator changes by {change:.2g} of itself in a memory of 1/(1 − β2) steps (at most {QUASI_STATIC:g}): "
        "it lags behind, and the decay takes longer" if change > QUASI_STATIC else None,
        _in_the_noise(end, **law),
    )  # fmt: skip


def mean_field_decay_time(
    start: float, end: float, *, learning_rate: float, strength: float, sigma: float, beta1: float, beta2: float
) -> Validity:
    """The end is above the floor of the noise."""
    return _told(_in_the_noise(end, learning_rate=learning_rate, strength=strength, sigma=sigma))


def dead_time(
    start: float, *, learning_rate: float, strength: float, beta2: float, past: float = 0.0, beta1: float = 0.9,
    epsilon: float = 1e-8,
) -> Validity:  # fmt: skip
    """The start is at least a memory of full steps away from zero, and Adam is stable near zero."""
    feature.dead_time(start, learning_rate=learning_rate, strength=strength, beta2=beta2, past=past)
    least, bound = learning_rate / (1 - beta2), feature.stability_bound(beta1)
    ratio = learning_rate * strength / epsilon if epsilon else np.inf
    return _told(
        f"a start of {start:.3g} is under η/(1 − β2) = {least:.3g}: it vanishes sooner" if start < least else None,
        f"ηλ/ε = {ratio:.3g} is not below {bound:.3g}: near zero the scale regrows" if ratio >= bound else None,
    )


def balance_gap(rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float) -> Validity:
    """The rule does not normalize, and decays slowly."""
    normalizes = f"{rule.name} divides by a denominator, which conserves nothing" if rule.normalizing else None
    return _told(normalizes, *decay_rate(rule, regularizer, learning_rate=learning_rate).reasons)


def layer_sum(rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float) -> Validity:
    """As `balance_gap`."""
    return balance_gap(rule, regularizer, learning_rate=learning_rate)


def _fast(rule: AbstractUpdateRule, coupling: str, rate: float) -> str | None:
    filtered = float(getattr(rule, "beta1", getattr(rule, "momentum", 0.0))) if coupling == "coupled" else 0.0
    return _too_fast(rate, filtered)


def _too_fast(rate: float, memory: float) -> str | None:
    most = SLOW * (1 - memory)
    if rate <= most:
        return None
    if rate >= 1 and memory == 0:
        return f"one step shrinks a scale by {rate:.3g} of itself: it jumps past zero"
    return f"one step shrinks a scale by {rate:.3g} of itself, more than {most:.3g}: not slow against the memory of the rule"


def _rarely_visited(per_memory: float | None, p: float) -> str | None:
    if per_memory is None or per_memory >= WELL_FED:
        return None
    return (
        f"a feature with p = {p:.3g} is visited {per_memory:.3g} times per memory, less than {WELL_FED:g}: "
        "expect it below its closed form"
    )


def _in_the_noise(end: float, *, learning_rate: float, strength: float, sigma: float) -> str | None:
    floor = float(feature.fluctuation_floor(Adam(), L2(strength=strength), learning_rate=learning_rate, sigma=sigma))
    if end >= ABOVE_FLOOR * floor:
        return None
    return f"the end, {end:.3g}, is under {ABOVE_FLOOR:g} times the floor of the noise, {floor:.3g}: there a scale fluctuates"
