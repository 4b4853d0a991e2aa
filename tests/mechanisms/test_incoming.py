"""Norms in front of a normalization: closed forms against a walk of weights whose gradient is noise orthogonal to them."""

import numpy as np
import pytest

from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.theory.incoming import equilibrium_norm, runaway_threshold, turning_rate
from mechanisms.validation import InvalidValue

RATE, D = 1e-3, 64


def walk(regularizer, size, steps=6000, start=1.0):
    """Norms and turnings per step of 50 weight vectors over the last half, under noise of size G/r orthogonal to them."""
    rng, w = np.random.default_rng(0), np.full((50, D), start / np.sqrt(D))
    law = {"rule": Adam(beta1=0.0, beta2=0.99), "regularizer": regularizer}
    state, norms, turned = init(w, **law), [], []
    for t in range(steps):
        norm = np.linalg.norm(w, axis=1, keepdims=True)
        noise = rng.normal(0, size / np.sqrt(D), w.shape)
        g = (noise - w * (noise * w).sum(1, keepdims=True) / norm**2) / norm
        done = step(w, g, state, learning_rate=RATE, **law)
        if t >= steps // 2:
            cosine = (w * done.w).sum(1) / norm[:, 0] / np.linalg.norm(done.w, axis=1)
            norms.append(norm.mean())
            turned.append(np.arccos(np.clip(cosine, -1, 1)).mean())
        w, state = done.w, done.state
    return np.mean(norms), np.mean(turned)


@pytest.mark.parametrize(
    ("law", "size"),
    [
        (L2(strength=1.0, coupling="decoupled"), 0.1),
        (L2(strength=1.0, coupling="decoupled"), 10.0),
        (L2(strength=1e-3, coupling="independent"), 1.0),
        (L2(strength=0.1), 1.0),
        (L2(strength=0.02), 0.05),
    ],
)
def test_norm_and_turning_settle_where_the_closed_forms_say(law, size):
    expected = equilibrium_norm(law, learning_rate=RATE, inputs=D, gradient=size)
    norm, turned = walk(law, size, start=float(expected))
    assert norm == pytest.approx(expected, rel=0.1)
    assert turned == pytest.approx(turning_rate(law, learning_rate=RATE, inputs=D, gradient=size), rel=0.1)


def test_below_the_threshold_a_norm_runs_away_and_far_above_it_does_not():
    law = L2(strength=0.1)
    threshold = float(runaway_threshold(law, learning_rate=RATE, inputs=D))
    step_length = RATE * np.sqrt(D)
    assert equilibrium_norm(law, learning_rate=RATE, inputs=D, gradient=threshold) == pytest.approx(step_length / 2)
    assert walk(law, threshold / 10, start=1.0)[0] < step_length
    assert walk(law, threshold * 1000, start=0.04)[0] > 4 * step_length
    assert runaway_threshold(L2(strength=0.1, coupling="decoupled"), learning_rate=RATE, inputs=D) == 0


def test_the_coupled_norm_grows_with_the_cube_root_of_the_gradient():
    norms = equilibrium_norm(L2(strength=1e-3), learning_rate=1e-2, inputs=16, gradient=np.array([1e-3, 8e-3]))
    assert norms[1] / norms[0] == pytest.approx(2)


def test_no_decay_has_no_equilibrium():
    with pytest.raises(InvalidValue, match="strength"):
        equilibrium_norm(L2(), learning_rate=RATE, inputs=D)
