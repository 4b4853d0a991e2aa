"""A feature that nothing reads any more: no loss gradient reaches it, and only the regularizer acts on the rest of it.

Its weights then move without noise, so that where they are after t steps is known in advance: exactly for all but Adam
under coupled L2, where it is to first order. From a start w_0 > 0 at a constant rate η and strength λ, without a past.
"""

from __future__ import annotations

import numpy as np

from mechanisms.law.regularizers import L1, L2, AbstractRegularizer
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.validation import InvalidValue, require_above


def orphan_scale(
    rule: AbstractUpdateRule, regularizer: AbstractRegularizer, *, learning_rate: float, start: float, steps: np.ndarray
) -> np.ndarray:
    """Where the weight is after each number of steps, of the shape of `steps`; 0 from where L1 would carry it over.

    * decoupled or independent decay, every rule: w_0(1 − d)^t under L2, w_0 − d·t under L1, with d = ηλ or λ;
    * SGD with momentum μ, coupled: L2 is the recurrence w_{t+1} = (1 + μ − ηλ)w_t − μw_{t−1}, L1 a velocity that saturates
      at ηλ/(1 − μ);
    * Adam, coupled: under L1 exactly ηλ/(λ + ε) a step; under L2 η a step, whatever λ, as long as w is far above η times the
      memory of Adam, see `orphan_lag`.

    Raises:
        InvalidValue: a rule or regularizer that is not among these.
    """
    require_above("start", start, 0)
    steps = np.asarray(steps, float)
    if regularizer.coupling != "coupled":
        rate = regularizer.strength * (learning_rate if regularizer.coupling == "decoupled" else 1.0)
        return _geometric(start, rate, steps) if isinstance(regularizer, L2) else _linear(start, rate, steps)
    pull = learning_rate * regularizer.strength
    if isinstance(rule, SGD) and not rule.nesterov:
        return _momentum(start, pull, rule.momentum, steps, isinstance(regularizer, L1))
    if isinstance(rule, Adam) and isinstance(regularizer, L1):
        return _linear(start, pull / (regularizer.strength + rule.epsilon), steps)
    if isinstance(rule, Adam):
        return _linear(start, learning_rate, steps)
    raise InvalidValue(f"rule = {rule.name!r} is not valid under coupled {regularizer.name}: use sgd without nesterov, or adam")


def orphan_lag(rule: Adam, *, learning_rate: float, start: float, steps: np.ndarray) -> np.ndarray:
    """By how much Adam under coupled L2 lies above w_0 − ηt, to first order in η·memory/w; infinite from w_0 = ηt on.

    η·(β2/(1 − β2) − β1/(1 − β1))·ln(w_0/(w_0 − ηt)). Derivation: on the path w falls by η a step, so that √v is λ times w as it
    was β2/(1 − β2) steps ago on average, and m is λ times w as it was β1/(1 − β1) steps ago; the step is η·m/√v, which lacks
    (η/w) times the difference of these ages of η, and the sum of that along w = w_0 − ηt is the logarithm.
    """
    left = np.maximum(start - learning_rate * np.asarray(steps, float), 0.0)
    ages = rule.beta2 / (1 - rule.beta2) - rule.beta1 / (1 - rule.beta1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(learning_rate * ages * np.log(start / left))


def _geometric(start: float, rate: float, steps: np.ndarray) -> np.ndarray:
    return np.asarray(start * (1 - rate) ** steps)


def _linear(start: float, rate: float, steps: np.ndarray) -> np.ndarray:
    return np.maximum(start - rate * steps, 0.0)


def _momentum(start: float, pull: float, momentum: float, steps: np.ndarray, constant: bool) -> np.ndarray:
    if constant:
        travelled = (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
        return np.maximum(start - pull * travelled, 0.0)
    # The roots of r² − (1 + μ − ηλ)r + μ; w_1 = (1 − ηλ)w_0 fixes their weights. They may be a complex pair: w then oscillates.
    middle = (1 + momentum - pull) / 2
    root = np.sqrt(complex(middle**2 - momentum))
    slow, fast = middle + root, middle - root
    share = (1 - pull - fast) / (slow - fast)
    return np.asarray((start * (share * slow**steps + (1 - share) * fast**steps)).real)
