"""Comparisons at matched loss find what was planted: a gap, no gap, and the number that all settings follow."""

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims import all_hypotheses
from mechanisms.measures.matched_loss import decay_pull, distance_at_equal_loss, ends_with_loss, left_out_errors
from mechanisms.validation import InvalidValue


def family(rule, coupling, strengths, loss, share, seeds=5, noise=0.0):
    """Rows of one coupling: loss and dead share as functions of the strength."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "spec.rule": rule,
            "spec.regularizer.coupling": coupling,
            "spec.regularizer.strength": strength,
            "seed": seed,
            "train_loss": loss(strength) * np.exp(rng.normal(0, noise)),
            "dead": share(strength) + rng.normal(0, noise),
            "pull": strength * (1000.0 if coupling == "coupled" else 10.0),
        }
        for strength in strengths
        for seed in range(seeds)
    )


COUPLED = family("adam", "coupled", [1e-3, 3e-3, 1e-2], lambda x: x, lambda x: 0.2 + 0.1 * np.log10(x / 1e-3))


def test_a_gap_at_equal_loss_is_found_whatever_the_strengths_are_called():
    other = family("adam", "decoupled", [0.1, 0.5, 1.0], lambda x: x / 100, lambda x: 0.05 + 0.1 * np.log10(x / 0.1), noise=0.01)
    found = distance_at_equal_loss(COUPLED, other)
    assert found.value == pytest.approx(0.15, abs=0.02)
    assert found.low < 0.15 < found.high
    assert found.n == 5
    assert distance_at_equal_loss(COUPLED, other) == found


def test_the_same_curve_at_other_strengths_has_no_gap():
    other = family("adam", "decoupled", [0.15, 0.4, 0.9], lambda x: x / 100, lambda x: 0.2 + 0.1 * np.log10(x / 0.1))
    found = distance_at_equal_loss(COUPLED, other)
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_curves_without_a_common_loss_are_refused():
    with pytest.raises(InvalidValue, match="no training loss in common"):
        distance_at_equal_loss(COUPLED, family("sgd", "coupled", [1, 2], lambda x: x, lambda x: 0.1))


def test_what_follows_one_number_is_predicted_by_it_and_not_by_another():
    pulls = 10.0 ** np.linspace(0, 1, 6)
    rows = pd.concat(
        family("adam", coupling, pulls / factor, lambda x: x, lambda x, f=factor: 0.3 * np.log10(x * f))
        for coupling, factor in (("coupled", 1000.0), ("decoupled", 10.0))
    )
    assert np.median(left_out_errors(rows, "pull")) < 0.05
    assert np.median(left_out_errors(rows, "spec.regularizer.strength")) > 2 * np.median(left_out_errors(rows, "pull"))


def trained(coupling, denominator=2e-3, rule="adam", momentum=np.nan):
    """Two features at three moments."""
    return pd.DataFrame(
        {
            "step": np.repeat([0, 50, 100], 2), "layer": "conv1", "feature": [0, 1] * 3, "max_activation": [1, 1, 1, 0, 1, 0],
            "denominator": denominator, "spec.steps": 100, "effective_steps": 80.0, "spec.rule": rule, "spec.rule.momentum":
            momentum, "spec.regularizer.coupling": coupling, "spec.regularizer.strength": 1e-3, "spec.learning_rate": 1e-2,
            "seed": 0,
        }
    )  # fmt: skip


def rates(*values):
    return pd.DataFrame({"step": [0, 50, 100], "learning_rate": values or [1e-2] * 3})


def test_the_pull_divides_by_the_denominator_only_where_the_rule_does():
    assert decay_pull(trained("coupled"), rates()) == pytest.approx(80 * 1e-2 * 1e-3 / 2e-3)
    assert decay_pull(trained("decoupled"), rates()) == pytest.approx(80 * 1e-2 * 1e-3)
    assert decay_pull(trained("independent"), rates()) == pytest.approx(80 * 1e-3)
    assert decay_pull(trained("coupled", rule="sgd", momentum=0.9), rates()) == pytest.approx(80 * 1e-2 * 1e-3 / 0.1)


def test_moments_count_as_much_as_their_rate():
    features = trained("coupled", denominator=[9.0, 9.0, 1e-3, 3e-3, 1e-2, 2e-2])
    late, early = 1 / 1.5e-2, 1 / 2e-3
    weighted = (1e-2 * early + 1e-3 * late) / 1.1e-2
    assert decay_pull(features, rates(1e-2, 1e-2, 1e-3)) == pytest.approx(80 * 1e-5 * weighted)
    assert decay_pull(features, rates(), share=0.0) == pytest.approx(80 * 1e-5 * (1 / 1e-3 + 1 / 1e-2) / 2)


def test_the_pull_is_unknown_where_only_the_last_step_is_on_record():
    features = trained("coupled")
    last = features[features["step"] == 100]
    assert np.isnan(decay_pull(last, rates()))
    assert decay_pull(last.assign(**{"spec.regularizer.coupling": "decoupled"}), rates()) > 0
    rows = COUPLED.assign(pull=COUPLED["pull"].where(COUPLED["seed"] > 2))
    assert left_out_errors(rows, "pull") == pytest.approx(left_out_errors(COUPLED, "pull"))
    with pytest.raises(InvalidValue, match="known for every setting"):
        left_out_errors(COUPLED.assign(pull=np.nan), "pull")


def test_without_a_number_the_others_mean_is_predicted():
    rows = family("adam", "coupled", [1.0, 2.0, 4.0], lambda x: x, lambda x: x / 10)
    assert left_out_errors(rows) == pytest.approx([0.2, 0.05, 0.25])


def test_a_run_is_one_row():
    curve = pd.DataFrame(
        {
            "step": [0, 50, 100], "learning_rate": 1e-2, "train_loss": 0.5,
            "test_error": 0.1, "spec.steps": 100, "spec.rule": "adam", "seed": 0,
            "spec.regularizer.coupling": "coupled", "spec.regularizer.strength": 1e-3,
        }
    )  # fmt: skip
    (row,) = ends_with_loss(trained("coupled"), curve).to_dict("records")
    assert row["dead"] == 0.5
    assert row["train_loss"] == 0.5


def test_predictions_are_there_before_the_records():
    assert all(all_hypotheses()[name].predictions for name in ("H23", "H24", "H25", "H26", "H27", "H28", "H29"))
