"""Rules with their learning rates, and the selectivities that several experiments scan."""

from __future__ import annotations

import numpy as np

from mechanisms.law.update_rules import (
    SGD,
    AbstractUpdateRule,
    AdaBelief,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AMSGrad,
    NAdam,
    RMSProp,
)

ADAM, SGD_MOMENTUM = (Adam(beta2=0.99), 1e-3), (SGD(momentum=0.9), 0.1)
RULES: tuple[tuple[AbstractUpdateRule, float], ...] = (
    SGD_MOMENTUM,
    ADAM,
    (AMSGrad(beta2=0.99), 1e-3),
    (Adamax(), 2e-3),
    (RMSProp(), 1e-3),
    (Adagrad(), 1e-2),
    (Adadelta(), 1.0),
    (NAdam(beta2=0.99), 1e-3),
    (AdaBelief(beta2=0.99), 1e-3),
)
"""Rules with the learning rates of Mehta et al. (full text of their 2019 Deep Phenomena paper); NAdam and AdaBelief as Adam."""

RARE = tuple(float(p) for p in np.geomspace(1e-3, 1, 19).round(6))
"""Fractions of exemplars that use a feature, from one in a thousand to all."""
