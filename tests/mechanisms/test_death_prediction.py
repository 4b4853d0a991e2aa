"""Planted predictors of death are found, and what pruning costs is compared as said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims.published import LI_VGG16_A
from mechanisms.measures.death_prediction import (
    ALREADY,
    TRIVIAL,
    aucs,
    forecast_errors,
    forecasts,
    given,
    over_runs,
    prediction_table,
    scored,
)
from mechanisms.measures.pruning_curves import ALIKE, BETTER, WORSE, against, by_layer, over_seeds
from mechanisms.measures.statistics import auc_within
from mechanisms.validation import InvalidValue, UserError

NAMES = ("scale", "outgoing", "max_activation")


def moments(strengths: tuple[float, ...], seeds: int = 3) -> pd.DataFrame:
    """100 features in two layers at 10 and 20 %: those whose scale is under the strength die, half of them after 10 %."""
    parts = []
    for strength in strengths:
        for seed in range(seeds):
            rng = np.random.default_rng([seed, int(1000 * strength)])
            scale = rng.random(100)
            for step in (10, 20):
                dead = (scale < strength) & (rng.random(100) < 0.5) & (step == 20)
                one = pd.DataFrame({"layer": np.repeat(["a", "b"], 50), "feature": [*range(50), *range(50)], "scale": scale})
                one = one.assign(outgoing=rng.random(100), max_activation=np.where(dead, 0.0, 1 + scale), dies=scale < strength)
                parts.append(one.assign(**{"step": step, "seed": seed, "spec.train.steps": 100, "spec.strength": strength}))
    return pd.concat(parts, ignore_index=True)


def test_planted_predictors_and_chance() -> None:
    found = over_runs(prediction_table(scored(moments((0.2, 0.4)), NAMES))).set_index(["criterion", "moment"])
    scale, chance = found.loc[("scale", 0.1)], found.loc[("outgoing", 0.1)]
    assert (scale["runs"], scale["pooled"], scale["within"]) == (6, 1.0, 1.0)
    assert chance["within_low"] < 0.5 < chance["within_high"]
    assert scale["given_scale"] == 0.5
    assert found.loc[("max_activation", 0.1), "given_scale"] == pytest.approx(0.5)


def test_the_dead_are_not_asked_about() -> None:
    scores = scored(moments((0.4,)), NAMES)
    at = scores.groupby("moment")["dies"]
    assert at.sum()[0.2] < at.sum()[0.1]
    assert at.size()[0.1] == 300


def test_too_few_of_one_fate_is_no_auc() -> None:
    run = scored(moments((0.4,), seeds=1), NAMES).query("moment == 0.1").assign(dies=False)
    assert all(np.isnan(value) for value in aucs(run, "scale").values())


def test_partial_prediction_by_hand() -> None:
    """The score is the control plus a part of its own that decides: within each layer the residual orders by that part."""
    layer = np.repeat(["a", "b"], 4)
    control = np.array([1.0, 1.0, 2.0, 2.0] * 2)
    own = np.array([0.0, 1.0, 0.0, 1.0] * 2)
    left = given(10 * control + own + 100 * (layer == "b"), control, layer)
    # Ranks 1 … 4 over 4 against tied ranks 1.5 and 3.5: the residual is ∓⅛ by `own`.
    np.testing.assert_allclose(left, (own - 0.5) / 4, atol=1e-12)
    assert auc_within(left, own.astype(bool), layer) == 1.0
    assert given(control**3, control, layer).tolist() == [0.0] * 8


def test_a_score_that_knows_more_than_the_scale_is_seen() -> None:
    table = moments((0.5,))
    hidden = np.random.default_rng(5).random(len(table))
    table["dies"] = table["scale"] + hidden < 0.8
    table["outgoing"] = hidden
    found = over_runs(prediction_table(scored(table, NAMES))).set_index(["criterion", "moment"])
    assert found.loc[("outgoing", 0.1), "given_scale_low"] > 0.6


def test_forecasts_are_scored_on_settings_that_they_have_not_seen() -> None:
    """Where one threshold on the scale decides in all settings the forecast is right; the mean of the others is not."""
    table = moments((0.4,), seeds=2)
    parts = []
    for number, factor in enumerate((0.5, 1.0, 2.0, 4.0)):
        scale = table["scale"] * factor
        parts.append(table.assign(scale=scale, dies=scale < 0.4, **{"spec.strength": float(number)}))
    forecast = forecasts(pd.concat(parts, ignore_index=True), 0.1, NAMES)
    errors = forecast_errors(forecast).set_index("method")
    assert errors.loc["scale", "error"] < 3
    assert errors.loc[TRIVIAL, "error"] > 10
    assert (errors["settings"] == 4).all()
    held = forecast[(forecast["method"] == TRIVIAL) & (forecast["setting"] == 0)]
    others = forecast[(forecast["method"] == TRIVIAL) & (forecast["setting"] != 0)]
    assert held["forecast"].iloc[0] == pytest.approx(others.groupby("setting")["found"].mean().mean())
    assert (forecast.loc[forecast["method"] == ALREADY, "forecast"] == 0).all()


def test_a_threshold_of_the_setting_itself_is_not_used() -> None:
    """The held-out setting alone is on another scale: its forecast is wrong, as it must be."""
    table = moments((0.4,), seeds=1)
    odd = table.assign(scale=100 * table["scale"], **{"spec.strength": 9.0})
    same = [table.assign(**{"spec.strength": float(i)}) for i in range(3)]
    forecast = forecasts(pd.concat([*same, odd], ignore_index=True), 0.1, ("scale",)).query("method == 'scale'")
    wrong = (forecast["forecast"] - forecast["found"]).abs()
    assert wrong[forecast["setting"] == 3].item() > 0.3
    assert wrong[forecast["setting"] != 3].max() < 0.05


def test_a_forecast_needs_a_moment_and_two_settings() -> None:
    for table, moment in ((moments((0.2, 0.4)), 0.15), (moments((0.2,)), 0.1)):
        with pytest.raises(InvalidValue, match=r"use one of 0\.1, 0\.2, of two settings or more"):
            forecasts(table, moment, ("scale",))


def pruned(errors: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"protocol": "one_shot", "criterion": name, "ranking": "layer", "ratio": 0.5, "seed": seed, "test_error": error}
        for name, values in errors.items()
        for seed, error in enumerate(values)
    ]
    costs = {"parameters": 25, "macs": 10, "milliseconds": 2.0}
    before = {f"{name}_before": 4 * value for name, value in costs.items()}
    return pd.DataFrame(rows).assign(**costs, **before, removed=0.5, pruned_test_error=0.9)


def test_criteria_against_chance_are_paired_by_seed() -> None:
    table = pruned({"random": [0.1, 0.3, 0.5], "good": [0.05, 0.24, 0.46], "bad": [0.2, 0.41, 0.6], "same": [0.15, 0.25, 0.5]})
    found = against(table).set_index("criterion")
    assert found["verdict"].to_dict() == {"good": BETTER, "bad": WORSE, "same": ALIKE}
    assert found.loc["good", "difference"] == pytest.approx(-0.05)
    assert (found["seeds"] == 3).all()
    with pytest.raises(UserError, match="control 'chance' is not in these records: they have bad, good"):
        against(table, "chance")


def test_chance_among_many_criteria_is_allowed_for() -> None:
    """One of ten criteria looks better by its own interval, p of about 0.02: not when ten were tried."""
    rng, errors = np.random.default_rng(0), [0.1, 0.3, 0.5]
    others = {f"like {n}": (np.array(errors) + rng.normal(0, 0.02, 3)).tolist() for n in range(9)}
    found = against(pruned({"random": errors, "lucky": [0.05, 0.24, 0.46]} | others)).set_index("criterion")
    assert found.loc["lucky", "verdict"] == BETTER
    assert found.loc["lucky", "p"] < 0.05 < found.loc["lucky", "p_holm"]
    assert (found["verdict_holm"] == ALIKE).all()


def test_differences_within_the_sampling_error_of_the_test_images_are_none() -> None:
    table = pruned({"random": [0.1, 0.3, 0.5], "good": [0.05, 0.24, 0.46]})
    assert against(table.assign(test_images=100)).loc[0, "verdict"] == ALIKE
    assert against(table.assign(test_images=10**6)).loc[0, "verdict"] == BETTER
    alike = pruned({"random": [0.1, 0.1001, 0.1]})
    assert over_seeds(alike.assign(test_images=450)).loc[0, "test_error_high"] > 0.12


def test_shares_and_means_over_seeds() -> None:
    found = over_seeds(pruned({"random": [0.1, 0.3, 0.5]})).iloc[0]
    assert (found["parameters_share"], found["macs_share"], found["latency_share"], found["seeds"]) == (0.25, 0.25, 0.25, 3)
    assert found["test_error"] == pytest.approx(0.3)
    # t = 4.3027 with 2 degrees of freedom, s/√3 = 0.2/√3.
    assert found["test_error_high"] - found["test_error"] == pytest.approx(4.30265 * 0.2 / 3**0.5, rel=1e-4)


def test_what_went_by_layer_beside_a_published_result() -> None:
    rows = [
        ("conv1", 4, 2, 0),
        ("conv1", 4, 4, 1),
        ("conv2", 8, 6, 0),
        ("conv2", 8, 6, 1),
        ("other", 8, 8, 0),
        ("other", 8, 8, 1),
    ]
    table = pd.DataFrame(rows, columns=["layer", "features", "kept", "seed"])
    table = table.assign(protocol="implicit", criterion="inactive by activation", ranking="none", ratio=np.nan)
    found = by_layer(table, LI_VGG16_A).set_index("layer")
    assert found["removed"].to_dict() == {"conv1": 0.25, "conv2": 0.25, "other": 0.0}
    assert (found.loc["conv2", "low"], found.loc["conv2", "high"], found.loc["conv2", "seeds"]) == (0.25, 0.25, 2)
    assert (found.loc["conv1", "published"], found.loc["conv2", "published"]) == (0.5, 0.0)
    assert np.isnan(found.loc["other", "published"])
    assert "published" not in by_layer(table)
