"""What interventions did, read from tables in which it was planted."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import REFUTED, SUPPORTED, overall
from mechanisms.claims.measured.treated_runs import (
    balance_effects,
    barrier_effects,
    factor_effects,
    full_batch_effects,
    gate_effects,
    layer_sums,
    rescale_effects,
)

FILTERS = 1000


def run(seed, treated_dead, control_dead, treated_share=0.5, **fields):
    """The end of one run: exact shares of dead filters among the treated and the others, and a last layer that is all dead."""
    treated = np.arange(FILTERS) < treated_share * FILTERS
    rank = np.where(treated, np.arange(FILTERS), np.arange(FILTERS) - treated.sum())
    dead = rank < np.where(treated, treated_dead * treated.sum(), control_dead * (~treated).sum())
    inner = pd.DataFrame({"layer": "conv2", "max_activation": np.where(dead, 0.0, 1.0), "treated": treated})
    last = pd.DataFrame({"layer": "conv7", "max_activation": 0.0, "treated": treated})
    common = {"seed": seed, "step": 100, "spec.steps": 100, "spec.rule": "adam", "spec.regularizer.coupling": "coupled"}
    return pd.concat([inner, last], ignore_index=True).assign(scale=1.0, **(common | {f"spec.{k}": v for k, v in fields.items()}))


def rescaled(seed, factor, filters, treated_dead, control_dead):
    fields = {"interventions.0.factor": factor, "interventions.0.filters": filters}
    return run(seed, treated_dead, control_dead, 1.0 if filters == "all" else 0.5, **fields)


def test_effects_of_rescaling():
    shares = {(0.5, "random"): (0.6, 0.2), (1.0, "random"): (0.3, 0.3), (2.0, "random"): (0.1, 0.5), (0.5, "all"): (0.35, 0)}
    table = pd.concat([rescaled(seed, *key, *dead) for seed in range(5) for key, dead in shares.items()], ignore_index=True)
    found = {name: estimate.value for name, estimate in rescale_effects(table).items()}
    assert found == {
        "adam coupled, half × 0.5: treated minus control": pytest.approx(0.4),
        "adam coupled, half × 0.5: control minus untouched": pytest.approx(-0.1),
        "adam coupled, half × 1: treated minus control": pytest.approx(0),
        "adam coupled, half × 1: control minus untouched": pytest.approx(0),
        "adam coupled, half × 2: treated minus control": pytest.approx(-0.4),
        "adam coupled, half × 2: control minus untouched": pytest.approx(0.2),
        "adam coupled, all × 0.5: minus untouched": pytest.approx(0.05),
    }


def verdict_of(name, table):
    return overall(all_hypotheses()[name].judge(table))[0]


PLANTED = [(0.6, 0.2, SUPPORTED, REFUTED), (0.3, 0.3, REFUTED, SUPPORTED)]


@pytest.mark.parametrize(("treated", "control", "competition", "product"), PLANTED)
def test_competition_and_the_product_predict_opposite_things(treated, control, competition, product):
    """Small filters die more, or rescaling changes nothing."""
    parts = []
    for seed, factor in np.ndindex(5, 5):
        size = (0.25, 0.5, 1.0, 2.0, 4.0)[factor]
        dead = (treated, control) if size < 1 else (control, treated) if size > 1 else (0.3, 0.3)
        parts.append(rescaled(seed, size, "random", *dead))
    table = pd.concat(parts, ignore_index=True)
    assert verdict_of("I1", table) == competition
    assert verdict_of("I6", table) == product


def test_effects_of_gates():
    parts = []
    for seed, (restored, dead) in product(range(3), ((False, 0.7), (True, 0.1))):
        fields = {"interventions.0.probability": 0.1, "interventions.0.mean_restored": restored}
        parts.append(run(seed, dead, 0.3, **fields))
    found = {name: estimate.value for name, estimate in gate_effects(pd.concat(parts, ignore_index=True)).items()}
    assert found == {
        "adam coupled, plain gate 0.1: treated minus control": pytest.approx(0.4),
        "adam coupled, restored gate 0.1: treated minus control": pytest.approx(-0.2),
    }


def test_effects_of_factors():
    parts = {"scale": "scale+shift", "incoming": "incoming", "scale+incoming": "scale+shift+incoming"}
    dead = {"scale": 0.1, "incoming": 0.2, "scale+incoming": 0.5}
    table = pd.concat(
        [
            run(
                seed,
                dead[name] / (2 if clamped else 1),
                0,
                **{"interventions.0.parts": parts[name], "interventions.1": "clamp_norm" if clamped else np.nan},
            )
            for seed, name, clamped in product(range(3), parts, (False, True))
        ],
        ignore_index=True,
    )
    found = {name: estimate.value for name, estimate in factor_effects(table).items()}
    assert found["scale+incoming free: dead share"] == pytest.approx(0.5)
    assert found["free: scale+incoming minus scale"] == pytest.approx(0.4)
    assert found["clamped: scale+incoming minus incoming"] == pytest.approx(0.15)
    assert found["scale+incoming: free minus clamped"] == pytest.approx(0.25)


def test_effects_of_what_takes_the_barrier_away():
    common = {"network.negative_slope": 0.0, "interventions.0": np.nan}
    kinds = {"base": {}, "frozen": {"interventions.0": "freeze"}, "leaky": {"network.negative_slope": 0.1}}
    collapsed = {"base": 0.5, "frozen": 0.4, "leaky": 0.1}
    rows = []
    for seed, (kind, fields) in product(range(3), kinds.items()):
        one = run(seed, 0.3, 0, 1.0, **(common | fields))
        scale = np.where(np.arange(len(one)) % FILTERS < collapsed[kind] * FILTERS, 1e-3, 1.0)
        rows.append(one.assign(scale=scale))
    found = {name: estimate.value for name, estimate in barrier_effects(pd.concat(rows, ignore_index=True)).items()}
    assert found == {
        "small scales, untouched minus shifts frozen": pytest.approx(0.1),
        "small scales, shifts frozen minus half of untouched": pytest.approx(0.15),
        "small scales, untouched minus leaky ReLU": pytest.approx(0.4),
        "small scales, leaky ReLU minus half of untouched": pytest.approx(-0.15),
    }


def test_effect_of_full_batches():
    rows = [run(seed, dead, 0, 1.0, batch_size=size) for seed in range(3) for size, dead in ((40, 0.3), (1347, 0.2))]
    (found,) = full_batch_effects(pd.concat(rows, ignore_index=True)).values()
    assert found.value == pytest.approx(0.1)


def test_balance_beside_its_law():
    """Sums that fall at 2ηλ/(1 − μ) = 2·0.1·5e-3/0.1 a step are on their law; ones that stay are above it by the same factor."""
    law = {"spec.rule": "sgd", "spec.regularizer.coupling": "coupled", "spec.learning_rate": 0.1, "spec.rule.momentum": 0.9}
    rows = []
    for seed, strength, step in product(range(3), (0.0, 5e-3), (0, 50, 100)):
        fall = np.exp(-step * strength / 1) if strength else 1.0
        one = pd.DataFrame({"layer": ["conv1", "conv7"], "scale": np.sqrt(fall), "shift": 0.0, "outgoing": 2.0})
        rows.append(one.assign(**law, **{"spec.regularizer.strength": strength, "seed": seed, "step": step}))
    table = pd.concat(rows, ignore_index=True)
    assert set(layer_sums(table)["layer"]) == {"conv1"}
    found = balance_effects(table)
    assert found["sgd free: layer sum over its law"].value == pytest.approx(1)
    assert found["sgd decayed: layer sum over its law"].value == pytest.approx(np.exp(50 * 2 * 5e-3 - 50 * 5e-3))
    start, now, left = 1 - 4, np.exp(-0.25) - 4, (1 - 4) * np.exp(-0.5)
    assert found["sgd decayed: balance minus its law, over its start"].value == pytest.approx((now - left) / abs(start))
