"""H17 to H22 on tables with planted answers: true, reversed, and too close to call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import REFUTED, SUPPORTED, UNDECIDED, overall

HYPOTHESES = all_hypotheses()


def verdict_of(name: str, table: pd.DataFrame) -> str:
    return overall(HYPOTHESES[name].judge(table))[0]


def pruned(errors: dict[str, tuple[float, float]], **more: Any) -> pd.DataFrame:
    """Criterion → (error before tuning, after), at two ratios and three seeds; "PROTOCOL:CRITERION" where it is not one-shot."""
    rows = []
    for key, (before, after) in errors.items():
        protocol, _, criterion = key.rpartition(":")
        for ratio in (0.5, 0.7):
            for seed, noise in enumerate((-0.002, 0.0, 0.001)):
                values = {
                    "pruned_test_error": before + ratio / 10 + noise,
                    "test_error": after + ratio / 100 + noise * len(criterion) / 20,
                }
                rows.append({"protocol": protocol or "one_shot", "criterion": criterion, "ratio": ratio, "seed": seed, **values})
    return pd.DataFrame(rows).assign(**{"ranking": "layer", "spec.train.rule": "adam", **more})


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        ("H17", {"selectivity": (0.3, 0.1)}, {"random": (0.6, 0.2)}, SUPPORTED),
        ("H17", {"selectivity": (0.6, 0.2)}, {"random": (0.3, 0.1)}, REFUTED),
        ("H19", {"scale": (0.3, 0.1), "filter_l1": (0.3, 0.1)}, {"random": (0.6, 0.2)}, SUPPORTED),
        ("H19", {"scale": (0.3, 0.1), "filter_l1": (0.8, 0.3)}, {"random": (0.6, 0.2)}, REFUTED),
        ("H18", {"selectivity": (0.3, 0.1)}, {"universality": (0.6, 0.1)}, SUPPORTED),
        ("H18", {"selectivity": (0.3, 0.1)}, {"universality": (0.6, 0.2)}, REFUTED),
        ("H20", {"scale": (0.3, 0.1), "filter_l1": (0.3, 0.1)}, {"scratch:random": (np.nan, 0.1)}, SUPPORTED),
        ("H20", {"scale": (0.3, 0.1), "filter_l1": (0.3, 0.1)}, {"scratch:random": (np.nan, 0.3)}, REFUTED),
    ],
)
def test_criteria_and_from_scratch(name: str, low: dict[str, Any], high: dict[str, Any], expected: str) -> None:
    assert verdict_of(name, pruned(low | high)) == expected


def test_only_the_network_of_adam_and_equal_shares_of_layers_are_judged() -> None:
    table = pruned({"selectivity": (0.3, 0.1), "random": (0.6, 0.2)})
    odd = pruned({"selectivity": (0.9, 0.9), "random": (0.1, 0.1)})
    others = [odd.assign(**{"spec.train.rule": "sgd"}), odd.assign(ranking="global")]
    assert verdict_of("H17", pd.concat([table, *others])) == SUPPORTED


@pytest.mark.parametrize(("explicit", "expected"), [(0.11, SUPPORTED), (0.096, SUPPORTED), (0.05, REFUTED)])
def test_implicit_removal_against_explicit(explicit: float, expected: str) -> None:
    own = pruned({"implicit:inactive by activation": (0.1, 0.1)}, network="implicit").query("ratio == 0.5")
    others = pruned({"scale": (0.5, explicit), "filter_l1": (0.5, explicit)}, network="conventional")
    best = pruned({"scale": (0.0, 0.0), "filter_l1": (0.0, 0.0)}, network="implicit")
    own["test_error"] = 0.1 + 0.001 * own["seed"]
    assert verdict_of("H21", pd.concat([own, others, best])) == expected


@pytest.mark.parametrize(("best", "expected"), [(0.1, SUPPORTED), (0.096, SUPPORTED), (0.05, REFUTED)])
def test_implicit_removal_against_the_best_of_all_else(best: float, expected: str) -> None:
    """The best is found wherever it is: here among the shapes of one's own network, trained from scratch."""
    own = pruned({"implicit:inactive by activation": (0.1, 0.1)}, network="implicit").query("ratio == 0.5")
    own = own.assign(test_error=0.1 + 0.001 * own["seed"])
    others = pruned({"scale": (0.5, 0.3), "filter_l1": (0.5, 0.4)}, network="conventional")
    rival = pruned({"scratch:filter_l1": (np.nan, best)}, network="implicit")
    both = pd.concat([own, others.query("ratio == 0.5"), rival.query("ratio == 0.5")])
    assert verdict_of("H32", both) == expected
    assert verdict_of("H32", both.assign(test_images=100)) == UNDECIDED


@pytest.mark.parametrize(("own", "expected"), [(1.0, SUPPORTED), (0.0, REFUTED), (-1.0, REFUTED)])
def test_selectivity_given_the_scale(own: float, expected: str) -> None:
    """Death by a small scale alone, or by selectivity as well, in one direction or the other."""
    parts = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        scale, selectivity = rng.random(400), rng.random(400)
        dies = scale - own * selectivity + (0.2 if own == 0 else 0) * rng.random(400) < 0.5 * (1 - own)
        columns = {
            "layer": "a",
            "feature": range(400),
            "scale": scale,
            "selectivity": selectivity,
            "dies": dies,
            "max_activation": 1.0,
        }
        parts.append(pd.DataFrame(columns).assign(seed=seed, step=10))
    law = {"rule": "adam", "regularizer.coupling": "coupled", "regularizer.strength": 1e-3, "steps": 100}
    table = pd.concat(parts, ignore_index=True).assign(**{f"spec.train.{name}": value for name, value in law.items()})
    assert verdict_of("H22", table) == expected
    assert verdict_of("H22", table.assign(dies=False)) == UNDECIDED


@pytest.mark.parametrize(("own", "expected"), [(1.0, SUPPORTED), (0.0, REFUTED)])
def test_selectivity_given_the_scale_at_later_moments(own: float, expected: str) -> None:
    """Death by a small scale alone, or by selectivity as well, in two settings."""
    parts = []
    for seed, batch in ((seed, batch) for seed in range(4) for batch in (20, 40)):
        rng = np.random.default_rng((seed, batch))
        scale, selectivity = rng.random(400), rng.random(400)
        dies = scale - own * selectivity + 0.2 * rng.random(400) < 0.5 * (1 - own)
        columns = {"layer": "a", "feature": range(400), "scale": scale, "selectivity": selectivity, "seed": seed}
        for step in (0, 10, 20, 30, 100):
            silent = np.where(dies & (step == 100), 0.0, 1.0)
            parts.append(pd.DataFrame(columns).assign(step=step, max_activation=silent, **{"spec.batch_size": batch}))
    table = pd.concat(parts, ignore_index=True).assign(**{"spec.steps": 100})
    assert verdict_of("H31", table) == expected
