"""Closed forms: what a scale must do under a rule, a regularizer and a coupling, in numbers.

Symbols: scale w, learning rate η (base rate), strength λ, momentum μ, denominator D, gradient noise σ; a selective
feature is active on a fraction p of the exemplars of a batch of B, with curvature k, target a and noise s
(`toy.features.gradients.Selective`). All functions take numbers or NumPy arrays of one shape, and refuse values that mean
nothing to them with `InvalidValue`. Each says where it holds; its namesake in `mechanisms.theory.conditions` tells whether it
does at given values. Each is tested against simulation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from mechanisms.law.arrays import Array
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, RMSProp
from mechanisms.theory.refusals import (
    require_activity,
    require_decaying,
    require_each,
    require_l2,
    require_memory,
    require_not_negative,
    require_positive,
    stable_below,
)
from mechanisms.validation import require, require_choice


def momentum_gain(rule: AbstractUpdateRule) -> float:
    """1/(1 − μ): how much a constant direction is amplified; 1 for rules whose filter averages."""
    return 1 / (1 - rule.momentum) if isinstance(rule, SGD | RMSProp) else 1.0


def effective_strength(
    rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, denominator: Array = 1.0
) -> Array:
    """λ_eff: the pull toward zero in units of the raw loss gradient, "loss pull + λ_eff·w".

    Coupled λ; decoupled λ·D·(1 − μ); independent λ·D·(1 − μ)/η, with D = 1 for SGD. Holds for L2 and a denominator that changes
    slowly against the memory of the rule. For a decoupled rule D is `denominator`, measured or predicted.
    """
    require_l2(regularizer)
    if regularizer.coupling == "independent":
        require_positive(learning_rate=learning_rate)
    if regularizer.coupling == "coupled":
        return regularizer.strength * np.ones_like(np.asarray(denominator, dtype=float))
    pull = regularizer.strength * np.asarray(denominator) / momentum_gain(rule)
    return pull / learning_rate if regularizer.coupling == "independent" else pull


def decay_rate(
    rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, denominator: Array = 1.0
) -> Array:
    """The relative decay of a scale per step at the base rate where no loss gradient pulls back.

    Coupled η·λ/((1 − μ)·D); decoupled η·λ; independent λ. Holds for L2 while η·λ/D is small against the rule's memory;
    the scale cannot move by more than about η a step under a normalizing rule, which `decay_time` takes into account.
    """
    strength = effective_strength(rule, regularizer, learning_rate=learning_rate, denominator=denominator)
    return strength * learning_rate * momentum_gain(rule) / np.asarray(denominator)


def is_divided(rule: AbstractUpdateRule, regularizer: AbstractRegularizer) -> bool:
    """Say whether the denominator that the rule divides gradients by divides the decay too."""
    return rule.normalizing and regularizer.coupling == "coupled"


def decay_budget(
    rule: AbstractUpdateRule,
    regularizer: AbstractRegularizer,
    *,
    learning_rate: float,
    effective_steps: float,
    denominator: float | None = None,
) -> float:
    """By how many e-folds a whole run can shrink a scale that the loss leaves alone: `decay_rate` × effective steps.

    For SGD under coupling this is η·λ·steps/(1 − μ). Under 3, "no sparsity" may only mean that the run was too short. A
    normalizing rule under coupling needs its measured `denominator`, and is refused without. `effective_steps` is Σ η_t/η_0.
    """
    divided = is_divided(rule, regularizer) and regularizer.strength > 0
    measured = f"the measured denominator of the scales, which divides coupled decay under {rule.name}"
    require(denominator is not None or not divided, "denominator", denominator, measured)
    denominator = 1.0 if denominator is None else denominator
    require_positive(learning_rate=learning_rate, denominator=denominator)
    require_not_negative(effective_steps=effective_steps)
    require_decaying(rule, regularizer, learning_rate=learning_rate)
    rate = decay_rate(rule, regularizer, learning_rate=learning_rate, denominator=denominator)
    return float(rate * effective_steps)


def selective_denominator(
    scale: Array, *, p: Array, batch_size: Array, curvature: Array, noise: Array = 1.0, target: Array = 1.0
) -> Array:
    """Root mean square gradient of a selective feature at a fixed scale: what D tends to for normalizing rules with long memory.

    D² = k²·[p(s² + (1 − p)(a − w)²)/B + p²(a − w)²], the second moment of (k/B)[c(w − a) + √c·s·z] with c ~ Binomial(B, p).
    """
    require_activity(p)
    require_positive(batch_size=batch_size, curvature=curvature)
    require_not_negative(noise=noise)
    gap = (target - scale) ** 2
    return curvature * np.sqrt(p * (noise**2 + (1 - p) * gap) / batch_size + p**2 * gap)


def equilibrium_scale(strength: Array, *, p: Array, curvature: Array, target: Array = 1.0) -> Array:
    """w* = a·pk/(pk + λ_eff): where loss and regularizer balance in a feature of one parameter.

    Selective features (small p) shrink in proportion to p.
    """
    require_activity(p)
    require_positive(curvature=curvature)
    require_not_negative(strength=strength)
    return target * p * curvature / (p * curvature + strength)


def product_threshold(strength: Array, *, p: Array, curvature: Array, target: Array = 1.0) -> Array:
    """c* = sign(a)·max(0, |a| − λ/(pk)): the product of two equally decayed factors under coupled L2, an L1 penalty on it.

    The feature dies outright where p·k·|a| <= λ. Holds for every rule under coupled decay (and for SGD under any, with λ_eff).
    """
    require_activity(p)
    require_positive(curvature=curvature)
    require_not_negative(strength=strength)
    return np.sign(target) * np.maximum(0.0, np.abs(target) - strength / (p * curvature))


def critical_strength(p: Array, *, curvature: Array, target: Array = 1.0) -> Array:
    """λ = p·k·|a|: the coupled L2 from which a product feature of activity p dies."""
    require_positive(curvature=curvature)
    require_activity(p)
    return p * curvature * np.abs(target)


def critical_activity(strength: Array, *, curvature: Array, target: Array = 1.0) -> Array:
    """p_c = λ/(k·|a|): a product feature used by a smaller fraction of exemplars dies under coupled L2.

    A fraction: 1 where even a feature that every exemplar uses dies, from λ = k·|a| on.
    """
    require_not_negative(strength=strength)
    require_each("a target other than 0", lambda x: x != 0, target=target)
    return np.minimum(1.0, strength / critical_strength(1.0, curvature=curvature, target=target))


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
) -> float:
    """Where a selective feature of one (`factors=1`) or two factors settles, as the value of w or of the product γ·v.

    Coupled L2 (any rule) and SGD have closed forms (`equilibrium_scale`, `product_threshold`). For decoupled and
    independent decay of a normalizing rule the denominator depends on where the feature stands, and the balance is solved
    for it: p·k·(a − u) = λ_eff(D(u))·u for one factor, p·k·(a − u) = λ_eff(D(u))·√u for two, because the gradient of
    either factor, and with it D, carries a further factor √u. Holds for L2, visits per memory >> 1, and small
    fluctuations.

    Raises:
        InvalidValue: another regularizer, a p outside (0, 1], a rate at which the mean of the scale diverges.
    """
    require_choice("factors", factors, (1, 2))
    require_positive(learning_rate=learning_rate, batch_size=batch_size)
    require_decaying(rule, regularizer, learning_rate=learning_rate)
    model = {"p": p, "curvature": curvature, "target": target}
    strength = float(effective_strength(rule, regularizer, learning_rate=learning_rate))
    if regularizer.coupling == "coupled" or not rule.normalizing:
        if not rule.normalizing:
            _require_converging(rule, learning_rate, p * curvature + strength)
        solve = equilibrium_scale if factors == 1 else product_threshold
        return float(solve(strength, **model))
    size = abs(target)

    def imbalance(u: float) -> float:
        spread = selective_denominator(u, p=p, batch_size=batch_size, curvature=curvature, noise=noise, target=size)
        pull = effective_strength(rule, regularizer, learning_rate=learning_rate, denominator=spread)
        return float(p * curvature * (size - u) - pull * u ** (1 / factors))

    return float(np.sign(target)) * _root(imbalance, 0.0, size) if size else 0.0


def _require_converging(rule: AbstractUpdateRule, learning_rate: float, pull: Array) -> None:
    """Refuse a rate at which the mean of a scale that is pulled back this hard swings ever further."""
    bound = float(stable_below(rule) / np.max(pull))
    require(learning_rate < bound, "learning_rate", learning_rate, f"less than {bound:.3g}, from where on {rule.name} diverges")


def crossing_activity(strength: float, *, learning_rate: float, batch_size: float, curvature: float, noise: float = 1.0) -> float:
    """The p at which coupled and independent decay pull equally hard on a selective feature: where D(w*(p), p) = η.

    Rarer features (D < η) lose more under coupled decay, more common ones under independent decay. NaN if no p in [1e-9,
    1] has D = η.
    """
    require_positive(learning_rate=learning_rate)

    def excess(log_p: float) -> float:
        p = float(np.exp(log_p))
        scale = equilibrium_scale(strength, p=p, curvature=curvature)
        return float(selective_denominator(scale, p=p, batch_size=batch_size, curvature=curvature, noise=noise)) - learning_rate

    low, high = float(np.log(1e-9)), 0.0
    return float(np.exp(_root(excess, low, high))) if excess(low) < 0 < excess(high) else float("nan")


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-14, rtol=1e-12))


def sgd_relaxation(
    start: Array, steps: Array, strength: Array, *, learning_rate: float, momentum: float, p: Array, curvature: Array
) -> Array:
    """The scale after `steps` of SGD: it nears `equilibrium_scale` with time constant (1 − μ)/(η(pk + λ)); target 1.

    Holds while η(pk + λ) is small against (1 − μ)²; a rate at which the mean diverges is refused.
    """
    require_memory(momentum=momentum)
    require_positive(learning_rate=learning_rate)
    require_not_negative(steps=steps)
    _require_converging(SGD(momentum=momentum), learning_rate, p * curvature + np.asarray(strength))
    goal = equilibrium_scale(strength, p=p, curvature=curvature)
    rate = learning_rate * (p * curvature + strength) / (1 - momentum)
    return goal + (start - goal) * np.exp(-rate * steps)


def fluctuation_floor(rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, sigma: Array) -> Array:
    """Stationary standard deviation of a scale under pure gradient noise N(0, σ²): how close to zero noise lets it come.

    Coupled √(ησ/(2λ)), independent η/√(2λ), decoupled √(η/(2λ)) for normalizing rules with D = σ; for SGD σ√(η/(2λ(1 −
    μ))), decoupled σ·√(η/(2λ))/(1 − μ), independent σ·η/(√(2λ)(1 − μ)). An Ornstein-Uhlenbeck process: holds while the
    decay rate is small against 1 − β1 and 1 − μ. Without decay there is no floor, which is refused.
    """
    require_positive(learning_rate=learning_rate, sigma=sigma, strength=regularizer.strength)
    require_decaying(rule, regularizer, learning_rate=learning_rate)
    denominator = np.asarray(sigma) if rule.normalizing else np.ones_like(np.asarray(sigma, dtype=float))
    kick = learning_rate * np.asarray(sigma) * momentum_gain(rule) / denominator
    rate = decay_rate(rule, regularizer, learning_rate=learning_rate, denominator=denominator)
    return kick / np.sqrt(2 * rate)


def decay_time(start: Array, end: Array, *, learning_rate: float, strength: Array, sigma: Array) -> Array:
    """Steps that the mean of a scale takes from `start` to `end` under coupled Adam and pure noise N(0, σ²).

    [F(start) − F(end)]/η with F(w) = √(w² + c²) + c·ln(w/(c + √(w² + c²))), c = σ/λ; the quasi-static denominator is √(σ²
    + λ²w²). Far above c the decay is linear (η a step, whatever λ), far below it exponential (rate ηλ/σ). Holds while D
    changes slowly against 1/(1 − β2) and while `end` is above five times the `fluctuation_floor`.
    """
    _require_falling(start, end)
    require_positive(learning_rate=learning_rate, strength=strength, sigma=sigma)
    crossover = np.asarray(sigma) / strength

    def primitive(w: Array) -> Array:
        root = np.sqrt(w**2 + crossover**2)
        return root + crossover * np.log(w / (crossover + root))

    return (primitive(start) - primitive(end)) / learning_rate


def _require_falling(start: Array, end: Array) -> None:
    require_positive(start=start, end=end)
    require_each(f"at most start = {np.min(start):.6g}", lambda x: x <= start, end=end)


def mean_field_decay_time(
    start: float,
    end: float,
    *,
    learning_rate: float,
    strength: float,
    sigma: float,
    beta1: float,
    beta2: float,
    most: int = 10**7,
) -> int:
    """As `decay_time`, with the memory of both moments: the first step at which the mean-field Adam iteration is below `end`.

    m ← β1·m + (1 − β1)·λw, v ← β2·v + (1 − β2)(σ² + λ²w²), both bias-corrected; −1 if `most` steps do not suffice.
    """
    _require_falling(start, end)
    require_positive(learning_rate=learning_rate, strength=strength, sigma=sigma)
    require_memory(beta1=beta1, beta2=beta2)
    w, m, v = start, 0.0, 0.0
    for step in range(1, most + 1):
        m = beta1 * m + (1 - beta1) * strength * w
        v = beta2 * v + (1 - beta2) * (sigma**2 + (strength * w) ** 2)
        w -= learning_rate * m / (1 - beta1**step) / (v / (1 - beta2**step)) ** 0.5
        if w < end:
            return step
    return -1


def visits_per_memory(p: Array, *, batch_size: Array, beta2: Array) -> Array:
    """How often a feature is visited before the second moment forgets it: q/(1 − β2), q = 1 − (1 − p)^B.

    Closed forms need this to be well above 1.
    """
    require_each("a fraction in [0, 1]", lambda x: (x >= 0) & (x <= 1), p=p)
    require_positive(batch_size=batch_size)
    require_memory(beta2=beta2)
    return (1 - (1 - np.asarray(p, dtype=float)) ** batch_size) / (1 - np.asarray(beta2, dtype=float))


def critical_selectivity(*, batch_size: Array, beta2: Array) -> Array:
    """The p below which a feature is visited less than once per memory, 1 − β2^(1/B), about (1 − β2)/B.

    Around it a rare feature falls to about half its closed form; in simulation that edge moves with exponents of 0.75 in 1 − β2
    and −0.84 in B rather than 1 and −1 (hypothesis P6), so that this is an order of magnitude.
    """
    require_positive(batch_size=batch_size)
    require_memory(beta2=beta2)
    return 1 - np.asarray(beta2, dtype=float) ** (1 / np.asarray(batch_size, dtype=float))


def dead_time(start: float, *, learning_rate: float, strength: float, beta2: float, past: float = 0.0) -> float:
    """About how many steps coupled Adam takes from `start` to zero once a feature is silent; up to 3 times as many are found.

    start/η (at most η a step), plus (2/(1 − β2))·ln(D_past/(λ·start)) until the second moment has forgotten a denominator
    D_past > λ·start. For `start` of at least η/(1 − β2): a smaller scale vanishes sooner, while the moment is still forgetting.
    """
    require_positive(start=start, learning_rate=learning_rate, strength=strength)
    require_not_negative(past=past)
    require_memory(beta2=beta2)
    forgetting = 2 / (1 - beta2) * np.log(max(1.0, past / (strength * start)))
    return float(start / learning_rate + forgetting)


def stability_bound(beta1: float) -> float:
    """The largest ηλ/ε at which coupled Adam decays a silent feature to zero: 2(1 + β1)/(1 − β1).

    Near zero the denominator is ε and heavy-ball iteration with step ηλ/ε is stable below this bound; above it the scale
    regrows and stays.
    """
    require_memory(beta1=beta1)
    return 2 * (1 + beta1) / (1 - beta1)
