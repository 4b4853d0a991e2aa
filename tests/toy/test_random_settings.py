"""Predictions against simulation at settings drawn at random inside each formula's stated conditions.

The seed of the draw is printed by a failing test. 24 settings a test, at most 5 % bias, 4.5 standard errors for the sampling: a
false alarm in one of these comparisons has a probability of about 0.1 %.
"""

import numpy as np
import pytest

from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam, RMSProp
from mechanisms.records.rng import stream
from mechanisms.theory.feature import (
    decay_rate,
    fluctuation_floor,
    mean_field_decay_time,
    selective_equilibrium,
    visits_per_memory,
)
from toy.features.gradients import LowGradient, Product, Selective
from toy.spec import ToySpec

DRAW = 20261120
BIAS, ERRORS, SETTINGS = 0.05, 4.5, 24


def drawn(purpose):
    random = stream(DRAW, purpose)
    return [random for _ in range(SETTINGS)]


def log_uniform(random, low, high):
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def assert_close(values, predicted, estimate, label):
    mean, error = estimate(values)
    assert abs(mean - predicted) <= BIAS * abs(predicted) + ERRORS * error, (
        f"draw {DRAW}, {label}: {mean:.4g}, not {predicted:.4g}"
    )


def equilibrium_setting(random, factors):
    """A selective feature whose memory is long and whose relaxation fits ten times into the run before the average."""
    while True:
        coupling = str(random.choice(["coupled", "independent", "decoupled"]))
        rule = Adam(beta2=float(random.choice([0.99, 0.999]))) if random.random() < 0.7 else SGD(momentum=0.9)
        rate = 1e-3 if isinstance(rule, Adam) else 0.1
        p, batch = log_uniform(random, 0.02, 1.0), int(random.integers(5, 200))
        curvature, ratio = log_uniform(random, 5e-3, 0.1), log_uniform(random, 0.05, 0.6)
        strength = {"coupled": ratio * p * curvature, "independent": 1e-4, "decoupled": 1e-2}[coupling]
        beta2 = rule.beta2 if isinstance(rule, Adam) else 0.0
        fed = visits_per_memory(p, batch_size=batch, beta2=beta2) >= 20
        spread = curvature * np.sqrt(p / batch) if isinstance(rule, Adam) else 0.1
        if fed and 20_000 * rate * p * curvature / spread > 10:
            return rule, rate, L2(strength=strength, coupling=coupling), {"p": p, "batch_size": batch, "curvature": curvature}


@pytest.mark.parametrize("factors", [1, 2])
def test_equilibria(factors, simulate, estimate):
    for number, random in enumerate(drawn(f"equilibria {factors}")):
        rule, rate, regularizer, fields = equilibrium_setting(random, factors)
        model = (Selective if factors == 1 else Product)(**fields)
        spec = ToySpec(
            gradient=model, rule=rule, regularizer=regularizer, learning_rate=rate, initial_scale=0.7, steps=60_000, features=24,
            records=1, average_last=0.5,
        )  # fmt: skip
        predicted = selective_equilibrium(rule, regularizer, learning_rate=rate, factors=factors, **fields)
        assert_close(simulate(spec)["product_mean"], predicted, estimate, f"setting {number}: {spec}")


def test_floors(simulate, estimate):
    """Coupled Adam, RMSProp and SGD, and independent Adam, while the decay rate is under a fiftieth of 1 − β1 and of 1 − β2."""
    for number, random in enumerate(drawn("floors")):
        rule = [Adam(beta2=0.99), RMSProp(beta2=0.99), SGD(momentum=0.9)][int(random.integers(3))]
        rate = 0.1 if isinstance(rule, SGD) else 1e-3
        coupling = "coupled" if isinstance(rule, RMSProp) else str(random.choice(["coupled", "independent"]))
        sigma = log_uniform(random, 1e-5, 1e-2)
        slow = log_uniform(random, 2e-4, 1e-3)
        unit = decay_rate(
            rule, L2(strength=1.0, coupling=coupling), learning_rate=rate, denominator=1.0 if isinstance(rule, SGD) else sigma
        )
        regularizer = L2(strength=float(slow / unit), coupling=coupling)
        spec = ToySpec(
            gradient=LowGradient(sigma=sigma, initial_steps=0), rule=rule, regularizer=regularizer, learning_rate=rate,
            initial_scale=0.0, steps=60_000, features=48, records=1, average_last=0.5,
        )  # fmt: skip
        predicted = float(fluctuation_floor(rule, regularizer, learning_rate=rate, sigma=sigma)) ** 2
        assert_close(simulate(spec)["product_rms"] ** 2, predicted, estimate, f"setting {number}: {spec}")


def test_decay_times(simulate):
    """Coupled Adam with memory, far above its floor: the mean of 64 scalars passes a tenth of the start when the formula says."""
    for number, random in enumerate(drawn("decay times")):
        beta2, strength = float(random.choice([0.9, 0.99])), log_uniform(random, 1e-5, 1e-3)
        sigma = strength * log_uniform(random, 0.05, 3.0)
        law = {"learning_rate": 1e-3, "strength": strength, "sigma": sigma}
        predicted = mean_field_decay_time(1.0, 0.1, **law, beta1=0.9, beta2=beta2)
        spec = ToySpec(
            gradient=LowGradient(sigma=sigma, initial_steps=0), rule=Adam(beta2=beta2), regularizer=L2(strength=strength),
            steps=2 * predicted, features=64, records=2 * predicted,
        )  # fmt: skip
        mean = simulate(spec).groupby("step")["scale"].mean()
        found = int(mean.index[mean < 0.1][0])
        assert found == pytest.approx(predicted, rel=BIAS), f"draw {DRAW}, setting {number}: {spec}"
