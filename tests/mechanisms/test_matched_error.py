"""Matched error: what is chosen, against what, and what is told of it, from tables with planted answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mechanisms.measures.matched_error import at_matched_error, methods, over_seeds
from mechanisms.validation import UserError


def network(errors: dict[float, float], seed: int = 0, gone: float = 0.0, judged: float = 0.02, **spec: Any) -> pd.DataFrame:
    """The `removal` table of one network: choosing error by share removed."""
    rows: list[dict[str, Any]] = [{"criterion": "gone", "ratio": np.nan, "removed": gone, "choosing_error": errors[0.0]}]
    rows += [{"criterion": "reach", "ratio": r, "removed": r, "choosing_error": e} for r, e in errors.items()]
    fields = {"rule": "adam", "regularizer": "l2", "regularizer.strength": 0.0, "regularizer.coupling": "coupled"} | spec
    table = pd.DataFrame(rows).assign(seed=seed, judged_error=lambda one: one["choosing_error"] + judged)
    return table.assign(**{f"spec.train.{name}": value for name, value in fields.items()})


PLAIN = {0.0: 0.05, 0.2: 0.055, 0.4: 0.2}
BETTER = {0.0: 0.055, 0.2: 0.055, 0.4: 0.058, 0.6: 0.3}


def test_the_largest_share_within_the_tolerance_of_plain_training_is_found() -> None:
    table = pd.concat([network(PLAIN), network(BETTER, gone=0.1, **{"regularizer.strength": 1e-3})])
    found = at_matched_error(table, 0.01).set_index("method")
    assert found["removed"].to_dict() == {"adam: plain": 0.2, "adam: l2, coupled": 0.4}
    assert found.loc["adam: l2, coupled", "gone"] == 0.1
    assert found.loc["adam: l2, coupled", "judged_rise"] == pytest.approx(0.058 - 0.05)
    assert found.loc["adam: l2, coupled", "dense_error"] == pytest.approx(0.055 + 0.02)
    assert found["matched"].all()


def test_of_several_strengths_the_best_is_chosen_and_bad_networks_do_not_count() -> None:
    lost = {0.0: 0.3, 0.9: 0.3}
    strong = network(lost, **{"regularizer.strength": 1.0})
    table = pd.concat([network(PLAIN), network(BETTER, **{"regularizer.strength": 1e-3}), strong])
    assert at_matched_error(table, 0.01).set_index("method")["removed"]["adam: l2, coupled"] == 0.4
    alone = at_matched_error(pd.concat([network(PLAIN), strong]), 0.01).set_index("method").loc["adam: l2, coupled"]
    assert (alone["removed"], alone["matched"]) == (0.0, False)
    assert alone["judged_error"] == pytest.approx(0.32)


def test_seeds_are_matched_with_their_own_plain_training() -> None:
    worse = {ratio: error + 0.1 for ratio, error in PLAIN.items()}
    better = {ratio: error + 0.1 for ratio, error in BETTER.items()}
    spec = {"regularizer.strength": 1e-3}
    table = pd.concat([network(PLAIN), network(BETTER, **spec), network(worse, seed=1), network(better, seed=1, **spec)])
    found = over_seeds(at_matched_error(table, 0.01)).set_index("method")
    assert found.loc["adam: l2, coupled", ["removed", "gain", "seeds"]].tolist() == pytest.approx([0.4, 0.2, 2])


def test_methods_are_named_by_what_they_do() -> None:
    fields = {
        "penalties.0": "l1_over_l2",
        "penalties.0.part": "incoming",
        "penalties.0.level": "group",
        "after_update.0": "weight_sampling",
    }
    table = pd.concat(
        [
            network(PLAIN),
            network(PLAIN, **fields),
            network(PLAIN, **{"penalties.0": "group_lasso", "penalties.0.part": "outgoing"}),
        ]
    )
    assert list(dict.fromkeys(methods(table))) == [
        "adam: plain",
        "adam: l1_over_l2 by group + weight_sampling",
        "adam: group_lasso of outgoing",
    ]


def test_without_plain_training_nothing_is_matched() -> None:
    with pytest.raises(UserError, match="plain training"):
        at_matched_error(network(BETTER, **{"regularizer.strength": 1e-3}))
