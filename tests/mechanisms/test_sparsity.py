"""Sparsity of `features` tables made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mechanisms.measures.sparsity import (
    CAUSES,
    causes,
    died_of,
    fates,
    grouped,
    histories,
    inactive,
    moment_columns,
    run_columns,
    sparsity,
)
from mechanisms.records.columns import check
from mechanisms.validation import InvalidValue, UserError

# layer, feature, then max_activation at steps 0, 10, 20
HISTORY = [
    ("conv1", 0, (1.0, 0.0, 0.0)),  # dies and stays dead
    ("conv1", 1, (1.0, 0.0, 2.0)),  # revives
    ("conv2", 0, (3.0, 1e-6, 4.0)),  # weak for a while
    ("conv2", 1, (5.0, 5.0, 5.0)),
    ("conv2", 2, (0.0, 0.0, 1e-13)),  # dead from the start, up to rounding
]


def table(**columns: object) -> pd.DataFrame:
    rows = [
        {"step": step, "layer": layer, "feature": feature, "max_activation": peak, "scale": -peak}
        for layer, feature, peaks in HISTORY
        for step, peak in zip((0, 10, 20), peaks, strict=True)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_inactive_by_activation_and_by_scale() -> None:
    features = pd.DataFrame(
        {"max_activation": [0.0, 1e-13, 1e-11, np.nan], "scale": [-1e-4, 9e-4, 1e-3, -2.0]}, index=[3, 1, 2, 7]
    )
    found = inactive(features)
    assert found.dtype == bool
    assert found.index.tolist() == [3, 1, 2, 7]
    assert found.tolist() == [True, True, False, False]
    assert inactive(features, by="scale").tolist() == [True, True, False, False]
    assert inactive(features, by="scale", threshold=3.0).all()
    assert not inactive(features, threshold=0.0).any()


def test_wrong_questions_are_refused() -> None:
    features = table()
    with pytest.raises(InvalidValue, match=r"by = 'gamma'.*activation, scale"):
        inactive(features, by="gamma")
    with pytest.raises(InvalidValue, match="threshold"):
        inactive(features, threshold=-1.0)
    with pytest.raises(InvalidValue, match=r"per = 'filter'.*run, layer"):
        sparsity(features, per="filter")
    with pytest.raises(UserError, match="max_activation"):
        inactive(features.drop(columns="max_activation"))


def test_sparsity_of_a_run_at_each_step() -> None:
    found = sparsity(table())
    assert found.columns.tolist() == ["step", "sparsity"]
    assert found["step"].tolist() == [0, 10, 20]
    assert found["sparsity"].tolist() == pytest.approx([1 / 5, 3 / 5, 2 / 5])
    assert sparsity(table(), threshold=1e-3)["sparsity"].tolist() == pytest.approx([1 / 5, 4 / 5, 2 / 5])
    assert sparsity(table(), by="scale")["sparsity"].tolist() == pytest.approx([1 / 5, 4 / 5, 2 / 5])


def test_sparsity_of_each_layer() -> None:
    found = sparsity(table(), per="layer").set_index(["layer", "step"])["sparsity"]
    assert found["conv1"].tolist() == [0, 1, 1 / 2]
    assert found["conv2"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_replicates_of_a_seed_are_runs_of_their_own() -> None:
    both = pd.concat([table().assign(seed=0, replicate=0), table(max_activation=1.0).assign(seed=0, replicate=1)])
    assert run_columns(both) == ["seed", "replicate"]
    assert sparsity(both)["sparsity"].tolist() == pytest.approx([1 / 5, 3 / 5, 2 / 5, 0, 0, 0])
    assert histories(both)["ever_inactive"].tolist() == [3, 0]


def test_runs_are_told_apart_even_by_fields_that_only_some_have() -> None:
    alive = table(max_activation=1.0)
    both = pd.concat(
        [
            table().assign(seed=0, **{"spec.rule": "adam", "spec.rule.momentum": np.nan}),
            alive.assign(seed=0, **{"spec.rule": "sgd", "spec.rule.momentum": 0.9}),
            alive.assign(seed=1, **{"spec.rule": "sgd", "spec.rule.momentum": 0.9}),
        ],
        ignore_index=True,
    )
    assert run_columns(both) == ["seed", "spec.rule", "spec.rule.momentum"]
    found = sparsity(both)
    assert len(found) == 3 * 3
    assert found.loc[found["spec.rule"] == "adam", "sparsity"].tolist() == pytest.approx([1 / 5, 3 / 5, 2 / 5])
    assert (found.loc[found["spec.rule"] == "sgd", "sparsity"] == 0).all()
    counts = histories(both)
    assert counts["features"].tolist() == [5, 5, 5]
    assert counts["ever_inactive"].tolist() == [3, 0, 0]


def test_histories_count_the_ever_inactive_and_the_revived() -> None:
    shuffled = table().sample(frac=1, random_state=1)
    found = histories(shuffled)
    assert found.to_dict("records") == [{"features": 5, "ever_inactive": 3, "revived": 1}]
    assert histories(shuffled, threshold=1e-3).to_dict("records") == [{"features": 5, "ever_inactive": 4, "revived": 2}]
    by_layer = histories(table(), per="layer").set_index("layer")
    assert by_layer["ever_inactive"].to_dict() == {"conv1": 2, "conv2": 1}
    assert by_layer["revived"].to_dict() == {"conv1": 1, "conv2": 0}


def test_equal_feature_numbers_of_two_layers_are_two_features() -> None:
    features = pd.DataFrame({"step": [0, 0], "layer": ["a", "b"], "feature": [0, 0], "scale": [0.0, 1.0]})
    assert histories(features, by="scale").to_dict("records") == [{"features": 2, "ever_inactive": 1, "revived": 0}]
    assert sparsity(features, by="scale")["sparsity"].tolist() == [0.5]


def test_fates_of_each_feature() -> None:
    found = fates(table().sample(frac=1, random_state=2)).sort_values(["layer", "feature"]).set_index(["layer", "feature"])
    expected = {
        "ever_inactive": [True, True, False, False, True],
        "inactive": [True, False, False, False, True],
        "revived": [False, True, False, False, False],
        "revivals": [0, 1, 0, 0, 0],
        "first_inactive": [10, 10, np.nan, np.nan, 0],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    check(found.reset_index(), "fates")
    weak = fates(table(), threshold=1e-3).set_index(["layer", "feature"])
    assert weak.loc[("conv2", 0), "revivals"] == 1


def test_a_feature_may_revive_and_die_again() -> None:
    peaks = [0.0, 1.0, 0.0, 2.0, 3.0, 0.0]
    features = pd.DataFrame({"step": range(6), "layer": "a", "feature": 0, "max_activation": peaks})
    (found,) = fates(features).to_dict("records")
    assert (found["revivals"], found["revived"], found["inactive"], found["first_inactive"]) == (2, False, True, 0)


def test_the_fates_of_two_runs_do_not_mix() -> None:
    both = pd.concat([table().assign(seed=0), table(max_activation=1.0).assign(seed=1)], ignore_index=True)
    found = fates(both, by="activation").set_index("seed")
    assert found.loc[0, "ever_inactive"].sum() == 3
    assert not found.loc[1, ["ever_inactive", "revived", "revivals"]].any(axis=None)


def test_moments_are_told_apart_by_run_step_and_layer() -> None:
    features = table().assign(seed=3, **{"spec.rule": "adam"})
    assert moment_columns(features) == ["seed", "spec.rule", "step"]
    assert moment_columns(features, per="layer") == ["seed", "spec.rule", "step", "layer"]
    assert grouped(features, moment_columns(features, per="layer")).ngroups == 3 * 2


def test_what_a_filter_died_of():
    """A table of one run: a living filter with a small scale, and one dead of each cause."""
    table = pd.DataFrame(
        {
            "seed": 0, "step": 9, "layer": "conv1", "feature": range(5), "max_activation": [1.0, 0, 0, 0, 0],
            "scale": [1e-4, -1e-4, 0.2, 1e-9, 0.2], "incoming": [1.0, 1.0, 1e-15, 1e-15, 1.0], "shift": -0.4,
        }
    )  # fmt: skip
    assert causes(table).tolist() == ["", "scale", "incoming", "scale and incoming", "shift"]
    assert died_of(table)[list(CAUSES)].to_dict("records") == [dict.fromkeys(CAUSES, 0.2)]
    assert causes(table.drop(columns="incoming")).tolist() == [""] + ["unknown"] * 4
    assert sparsity(table)["sparsity"].item() == pytest.approx(died_of(table)[list(CAUSES)].sum(axis=1).item())
