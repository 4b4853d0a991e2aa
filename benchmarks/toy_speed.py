"""The toy engine against torch.optim.Adam, a NumPy loop and optax under XLA, driving the same scalars on one core.

Coupled Adam in float32 on 10³ and 10⁵ settings that share the noise of each step; ours has a strength for each setting
and both forces. Peers are timed at two jobs: the easy one (one strength for all settings, no forces) and, for the
quickest of them, the same one as ours. Run: python -m benchmarks.toy_speed
"""

from __future__ import annotations

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.timing import arguments, one_core, report, seconds_in_turn
from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
from mechanisms.records.rng import stream
from toy.features.gradients import LowGradient
from toy.simulate import run
from toy.spec import Axis, ToySpec

STRENGTH, SIGMA, RATE = 1e-4, 1e-5, 1e-3
SIZES = {1_000: 40_000, 100_000: 4_000}
"""Settings → steps of the compared runs."""


def noise(steps: int) -> np.ndarray:
    """The gradient noise of each step, shared by all settings."""
    return (SIGMA * stream(0, "gradient").standard_normal(steps)).astype(np.float32)


def ours(settings: int, steps: int) -> Callable[[], Any]:
    """The compiled engine, through the public `run`."""
    strengths = tuple(float(s) for s in np.geomspace(1e-6, 1e-3, settings))
    spec = ToySpec(
        gradient=LowGradient(sigma=SIGMA, initial_steps=0), steps=steps, features=1, records=1, dtype="float32",
        axes=(Axis("regularizer.strength", strengths),),
    )  # fmt: skip
    return lambda: run(spec, 0)


def torch_adam(settings: int, steps: int, **options: bool) -> Callable[[], Any]:
    """torch.optim.Adam with weight_decay (coupled L2) on one vector."""
    given = noise(steps).tolist()

    def drive() -> None:
        w = torch.nn.Parameter(torch.ones(settings))
        w.grad = torch.empty(settings)
        optimizer = torch.optim.Adam([w], lr=RATE, weight_decay=STRENGTH, **options)
        for g in given:
            w.grad.fill_(g)
            optimizer.step()

    return drive


def torch_same_job(settings: int, steps: int) -> Callable[[], Any]:
    """Fused torch.optim.Adam with a strength for each setting, and a shadow filter that splits the last step's forces."""
    given, strengths = noise(steps).tolist(), torch.logspace(-6, -3, settings)

    @torch.no_grad()
    def drive() -> Any:
        w = torch.nn.Parameter(torch.ones(settings))
        w.grad, shadow, reg_force = torch.empty(settings), torch.zeros(settings), torch.empty(settings)
        optimizer = torch.optim.Adam([w], lr=RATE, fused=True)
        for t, g in enumerate(given, start=1):
            penalty = strengths * w
            torch.add(penalty, g, out=w.grad)
            before = w.detach().clone()
            optimizer.step()
            shadow.lerp_(penalty, 0.1)
            denominator = optimizer.state[w]["exp_avg_sq"].sqrt().div_((1 - 0.999**t) ** 0.5).add_(1e-8)
            torch.div(shadow, denominator, out=reg_force).mul_(-RATE / (1 - 0.9**t))
            loss_force = w - before - reg_force
        return loss_force, reg_force

    return drive


def numpy_loop(settings: int, steps: int) -> Callable[[], Any]:
    """`mechanisms.law.dynamics.step` on a NumPy vector."""
    law: dict[str, Any] = {"rule": Adam(), "regularizer": L2(strength=STRENGTH)}
    given = noise(steps)

    def drive() -> None:
        w = np.ones(settings, np.float32)
        state = init(w, **law)
        for g in given:
            after = step(w, g, state, learning_rate=RATE, **law)
            w, state = after.w, after.state

    return drive


def optax_scan(settings: int, steps: int) -> Callable[[], Any] | None:
    """optax.adam with added L2 under jax.lax.scan, compiled by XLA; None where optax or jax is not installed."""
    try:
        import jax
        import optax
    except ImportError:
        return None
    optimizer = optax.chain(optax.add_decayed_weights(STRENGTH), optax.adam(RATE))
    given = jax.numpy.asarray(noise(steps))

    @jax.jit
    def drive(given: Any) -> Any:
        def one(carry: Any, g: Any) -> Any:
            w, state = carry
            updates, state = optimizer.update(jax.numpy.full_like(w, g), state, w)
            return (optax.apply_updates(w, updates), state), None

        w = jax.numpy.ones(settings)
        return jax.lax.scan(one, (w, optimizer.init(w)), given)[0][0]

    return lambda: drive(given).block_until_ready()


def optax_same_job(settings: int, steps: int) -> Callable[[], Any] | None:
    """As `optax_scan`, with a strength for each setting and both forces of each step."""
    try:
        import jax
        import optax
    except ImportError:
        return None
    np_, optimizer = jax.numpy, optax.scale_by_adam()
    given, strengths = np_.asarray(noise(steps)), np_.logspace(-6, -3, settings)

    @jax.jit
    def drive(given: Any) -> Any:
        def one(carry: Any, g: Any) -> Any:
            w, state, shadow, _, _ = carry
            penalty = strengths * w
            updates, state = optimizer.update(penalty + g, state)
            shadow = 0.9 * shadow + 0.1 * penalty
            denominator = np_.sqrt(state.nu / (1 - 0.999**state.count)) + 1e-8
            reg_force = -RATE * shadow / (1 - 0.9**state.count) / denominator
            loss_force = -RATE * updates - reg_force
            return (w + loss_force + reg_force, state, shadow, loss_force, reg_force), None

        w = np_.ones(settings)
        zero = np_.zeros(settings)
        return jax.lax.scan(one, (w, optimizer.init(w), zero, zero, zero), given)[0]

    return lambda: jax.block_until_ready(drive(given))


def compare(settings: int, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Rows for one number of settings: ns per setting and step, ratio = peer / ours."""
    sides: dict[str, Callable[[], Any] | None] = {
        "ours": ours(settings, steps),
        "torch.optim.Adam": torch_adam(settings, steps, foreach=False),
        "torch.optim.Adam foreach": torch_adam(settings, steps, foreach=True),
        "torch.optim.Adam fused": torch_adam(settings, steps, fused=True),
        "NumPy loop": numpy_loop(settings, steps),
        "optax, XLA scan": optax_scan(settings, steps),
        "torch.optim.Adam fused, same job": torch_same_job(settings, steps),
        "optax, XLA scan, same job": optax_same_job(settings, steps),
    }
    medians = seconds_in_turn({name: side for name, side in sides.items() if side is not None}, rounds)
    reference = next(iter(medians.values()))
    rows = [
        {"name": f"{name}, {settings} settings", "value": s / settings / steps * 1e9, "unit": "ns", "ratio": s / reference}
        for name, s in medians.items()
    ]
    missing = [{"name": f"{name}, {settings} settings: not installed"} for name, side in sides.items() if side is None]
    return rows + missing


def main() -> None:
    """Prints the table."""
    options = arguments(__doc__.partition("\n")[0])
    one_core()
    torch.set_num_threads(1)
    rows = [row for settings, steps in SIZES.items() for row in compare(settings, steps, options.rounds)]
    whole = ours(100_000, 10_000)
    started = time.perf_counter()
    whole()
    rows.append(
        {"name": "ours, 100000 settings x 10000 steps", "value": time.perf_counter() - started, "unit": "s", "ratio": None}
    )
    report(rows, options.json)


if __name__ == "__main__":
    main()
