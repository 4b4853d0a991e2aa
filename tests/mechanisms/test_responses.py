"""The layer and networks asked the same: changes are named alike, paired by seed, and scored."""

import numpy as np
import pandas as pd
import pytest

from full_scale.experiments.interventions import responses as asked_of_networks
from mechanisms.claims.layer_to_networks import SAID, scores
from mechanisms.claims.measured.response_table import Answer, agreement, batch_effects, decayed_factor_effects
from mechanisms.claims.measured.responses import responses
from mechanisms.measures.statistics import Estimate
from mechanisms.records.specs import flatten
from mechanisms.records.store import spec_columns
from toy.experiments.layer_asked import layer_responses

FEATURES = 40


def table(specs, dead, seeds=3, **more):
    """A features table in which of each setting a given number of features is dead at the end."""
    rows = []
    for spec, number in zip(specs, dead, strict=True):
        for seed in range(seeds):
            silent = np.arange(FEATURES) < number + seed
            fields = {
                "seed": seed,
                "step": spec.steps,
                "layer": "conv1",
                **spec_columns(flatten(spec)),
                **more,
            }
            rows.append(
                pd.DataFrame({"feature": np.arange(FEATURES), "max_activation": np.where(silent, 0.0, 1.0)}).assign(**fields)
            )
    return pd.concat(rows, ignore_index=True)


def test_both_name_their_changes_alike():
    layer, networks = (responses(table(specs, [10] * len(specs))) for specs in (layer_responses(), asked_of_networks()))
    assert set(networks) <= set(layer)
    assert set(SAID) == set(networks)


def test_a_change_is_the_difference_to_the_plain_setting_of_its_coupling():
    specs = asked_of_networks()
    plain = [not spec.interventions and spec.network.norm_epsilon == 1e-5 for spec in specs]
    found = responses(table(specs, [20 if one else 10 for one in plain]))
    assert found["coupled: floor 0.03"].value == pytest.approx(-0.25)
    assert found["decoupled: ε 0.01"].value == pytest.approx(-0.25)
    assert found["coupled: rate × 3"].value == 0.0


def test_scores_count_signs_and_errors_over_changes():
    specs = asked_of_networks()
    found = scores(table(specs, [20] * len(specs)))
    assert found["signs told right"].value == 0.0
    assert found["absolute error"].value == pytest.approx(np.mean([abs(said) for said in SAID.values()]))


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01, 5)


def test_agreement_leaves_out_signs_that_nobody_told():
    pairs = [(0.3, 0.2), (-0.3, -0.4), (0.01, -0.2), (0.2, 0.001), (0.5, -0.1)]
    found = agreement([Answer(str(n), "rescale", estimate(a), estimate(b)) for n, (a, b) in enumerate(pairs)])
    assert (found["signs that agree"].value, found["signs that agree"].n) == (pytest.approx(2 / 3), 3)
    assert found["absolute difference"].value == pytest.approx((0.1 + 0.1 + 0.21 + 0.199 + 0.6) / 5)


def test_decayed_factors_are_known_by_either_way_of_saying_them():
    rows = table(layer_responses()[:1], [10])
    sets = ("incoming+scale+outgoing", "scale"), (0, 4)
    layer = pd.concat(
        [
            rows.assign(**{"spec.decayed": name}, max_activation=np.where(rows.feature < count, 0.0, 1.0))
            for name, count in zip(*sets, strict=True)
        ]
    )
    treated = [
        rows.assign(
            **{"spec.interventions.0.parts": name, "spec.interventions.1": None},
            treated=True,
            max_activation=1.0 * (rows.feature >= count),
        )
        for name, count in (("scale+shift+outgoing+incoming", 0), ("scale+shift", 4))
    ]
    for table_ in (layer, pd.concat(treated)):
        assert decayed_factor_effects(table_)["coupled: only scale decayed"].value == pytest.approx(0.1)


def test_batches_are_compared_at_equal_steps():
    rows = table(layer_responses()[:1], [0])
    sizes = [
        rows.assign(**{"spec.batch_size": size, "spec.steps": steps, "step": steps}, max_activation=1.0 * (rows.feature >= dead))
        for size, steps, dead in ((40, 100, 4), (80, 100, 2), (80, 50, 30))
    ]
    assert batch_effects(pd.concat(sizes))["coupled: batches of 80"].value == pytest.approx(-0.05)
