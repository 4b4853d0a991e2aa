"""Hypotheses: complete entries, judged from tables with planted answers; and the verb that judges records."""

import json

import numpy as np
import pandas as pd
import pytest

from mechanisms.__main__ import main
from mechanisms.claims import all_hypotheses
from mechanisms.claims.early_signs import early
from mechanisms.claims.hypothesis import REFUTED, SUPPORTED, UNDECIDED, adjusted, overall
from mechanisms.claims.network_runs import ends, not_trained
from mechanisms.claims.toy_selective import at_half
from mechanisms.records.loading import Need
from mechanisms.sweeps.making import run
from mechanisms.validation import UserError

HYPOTHESES = all_hypotheses()


@pytest.mark.parametrize("name", HYPOTHESES)
def test_every_hypothesis_says_what_would_refute_it(name):
    hypothesis = HYPOTHESES[name]
    assert hypothesis.statement.endswith(".")
    assert hypothesis.source
    assert hypothesis.refuted_if
    assert hypothesis.needs
    assert name[0] in "PHILN"


def test_every_prediction_of_the_theory_is_there():
    assert {f"P{i}" for i in range(1, 9)} | {"P9a", "P9b", "P9c", "P10a"} <= set(HYPOTHESES)


def verdict_of(name, *tables):
    return overall(HYPOTHESES[name].judge(*tables))[0]


def runs(values, field, sparsity, seeds=3, noise=0.01):
    """Full-scale features tables: 200 features, a share of which is silent at the end, for each value and seed."""
    rng, parts = np.random.default_rng(0), []
    for value, share in zip(values, sparsity, strict=True):
        for seed in range(seeds):
            dead = rng.random(200) < share + rng.normal(0, noise)
            one = pd.DataFrame({"step": 100, "layer": "conv1", "feature": range(200), "max_activation": np.where(dead, 0.0, 1.0)})
            parts.append(one.assign(**{"seed": seed, "spec.steps": 100, f"spec.{field}": value}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("sparsity", "expected"), [((0.2, 0.4, 0.6), SUPPORTED), ((0.6, 0.4, 0.2), REFUTED)], ids=["true", "sign reversed"]
)
def test_a_trend_is_found_and_a_reversed_one_refuted(sparsity, expected):
    assert verdict_of("H6", runs((0.1, 0.2, 0.3), "network.width", sparsity)) == expected


def test_two_seeds_never_support():
    assert verdict_of("H6", runs((0.1, 0.2, 0.3), "network.width", (0.2, 0.4, 0.6), seeds=2)) == UNDECIDED


def test_equal_steps_and_equal_epochs_are_two_verdicts():
    """Batches of 20 to 160 at 800 steps, sparsity flat; and at 32,000 images, sparsity falling with the batch."""
    steps = [runs([size], "batch_size", [0.4]).assign(**{"spec.steps": 800, "step": 800}) for size in (20, 40, 80, 160)]
    epochs = [
        runs([size], "batch_size", [share]).assign(**{"spec.steps": 32_000 // size, "step": 32_000 // size})
        for size, share in ((20, 0.8), (80, 0.2), (160, 0.1))
    ]
    table = pd.concat([*steps, *epochs], ignore_index=True)
    assert verdict_of("H5b", table) == SUPPORTED
    assert verdict_of("H5a", table) != SUPPORTED


def digits(coupled, sgd, error=0.01, learning_rate=0.1):
    """Features and curve of coupled Adam and SGD with planted sparsities."""
    common = {"spec.regularizer.strength": 5e-3, "spec.regularizer.coupling": "coupled", "effective_steps": 751.8}
    features = pd.concat(
        [
            runs([rule], "rule", [share]).assign(
                **common, **{"spec.rule.momentum": 0.9, "spec.learning_rate": learning_rate, "spec.steps": 1200, "step": 1200}
            )
            for rule, share in (("adam", coupled), ("sgd", sgd))
        ],
        ignore_index=True,
    )
    curve = features.drop_duplicates(["spec.rule", "seed"]).copy()
    curve["test_error"] = np.where(curve["spec.rule"] == "adam", error, 0.01) + 1e-4 * curve["seed"]
    return features, curve


def test_adaptive_against_sgd_needs_matched_errors_and_enough_decay_budget():
    assert verdict_of("H1", *digits(0.4, 0.05)) == SUPPORTED
    assert verdict_of("H1", *digits(0.05, 0.4)) == REFUTED
    assert verdict_of("H1", *digits(0.4, 0.05, error=0.2)) == UNDECIDED
    assert verdict_of("H1", *digits(0.4, 0.05, learning_rate=0.01)) == UNDECIDED


def test_planted_predictor_of_death():
    features, curve = digits(0.4, 0.05)
    early_rows = features.assign(step=120, max_activation=1.0)
    rng = np.random.default_rng(3)
    early_rows["scale"] = np.where(features["max_activation"] == 0, 0.1, 1.0) * rng.uniform(0.5, 1.5, len(features))
    both = pd.concat([early_rows, features.assign(scale=1.0)], ignore_index=True)
    assert verdict_of("H11a", both, curve) == SUPPORTED
    assert verdict_of("H11a", both.assign(scale=1 / both["scale"]), curve) == REFUTED
    assert set(early(both[both["spec.rule"] == "adam"])["step"]) == {120}
    assert ends(both).groupby("spec.rule")["sparsity"].mean()["adam"] == pytest.approx(0.4, abs=0.05)


def test_interpolation_in_the_logarithm():
    assert at_half(np.array([1.0, 100.0]), np.array([0.0, 1.0])) == pytest.approx(10.0)
    assert np.isnan(at_half(np.array([1.0, 100.0]), np.array([0.0, 0.2])))


def test_the_verb_makes_toy_records_and_judges_them(tmp_path, capsys):
    arguments = ["verdict", "P9c", "P7", "--runs", str(tmp_path), "--json", "--jobs", "1"]
    assert main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    heads = {row["hypothesis"]: row for row in rows if "statement" in row}
    assert {name: head["verdict"] for name, head in heads.items()} == {"P9c": SUPPORTED, "P7": SUPPORTED}
    assert all({"quantity", "expected", "found", "low", "high", "n"} <= set(row) for row in rows if "statement" not in row)
    assert heads["P9c"]["records"] == ["python -m toy run balance --seeds 1"]


def test_the_table_says_what_came_after_the_fact_what_failed_and_what_is_left_of_many_findings(tmp_path, capsys):
    """I17 on the committed records: four times larger scales let SGD fail."""
    assert main(["verdict", "I1", "I17", "--runs", str(tmp_path)]) == 0
    text = capsys.readouterr()
    assert "SUPPORTED, after the fact" in text.out
    assert "predicted 2026-11-21" in text.out
    assert "p (Holm)" in text.out
    assert "8 findings: 8 supported, " in text.err
    assert main(["verdict", "I1", "I17", "--runs", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    first, own_size = (row for row in rows if "statement" in row)
    assert (first["after_the_fact"], own_size["after_the_fact"]) == (False, True)
    large = "rule=sgd, regularizer.strength=0.005, regularizer.coupling=coupled, "
    large += "interventions.0.filters=all, interventions.0.factor=4.0"
    assert {f"{large}, seed {seed}" for seed in range(3)} <= set(own_size["not_trained"])
    findings = [row for row in rows if "quantity" in row]
    assert [row["p_holm"] for row in findings] == pytest.approx(adjusted([row["p"] for row in findings]))
    assert all(row["p"] < row["p_holm"] for row in findings[:-1])


def test_dead_filters_have_lost_their_incoming_weights_under_l2_only():
    def table(coupled, independent):
        """Three seeds of 12 filters each, all dead, of which so many have lost their incoming weights."""
        rows = [
            {"spec.regularizer.coupling": coupling, "seed": seed, "incoming": 0.0 if feature < gone else 1.0}
            for coupling, gone in (("coupled", coupled), ("independent", independent))
            for seed in range(3)
            for feature in range(12 + seed)
        ]
        same = {"step": 9, "spec.steps": 9, "max_activation": 0.0, "scale": 0.1, "spec.rule": "adam"}
        return pd.DataFrame(rows).assign(**same, **{"spec.regularizer.strength": 1.0})

    judge = HYPOTHESES["H30"].judge
    assert overall(judge(table(9, 0), None))[0] == SUPPORTED
    assert overall(judge(table(3, 2), None))[0] == REFUTED


def test_a_training_that_ends_where_it_began_is_named():
    runs = [("adam", 0, 0.0), ("adam", 1, 0.85), ("sgd", 0, 0.5)]
    rows = [{"spec.rule": rule, "seed": seed, "step": 9, "train_error": end} for rule, seed, end in runs]
    both = pd.concat([pd.DataFrame(rows), pd.DataFrame(rows).assign(step=0, train_error=0.9)])
    assert not_trained(both) == ["rule=adam, seed 1"]


def test_the_exponent_of_a_rule_of_ones_own(tmp_path, capsys):
    """RAdam normalizes like Adam: 1 under coupled decay. A short run, two targets more than the fit needs."""
    arguments = [
        "exponent",
        "rule=torch:torch.optim.RAdam(betas=[0.9,0.99])",
        "learning_rate=1e-3",
        "regularizer.coupling=coupled",
    ]
    short = [
        "regularizer.strength=1e-3",
        "steps=12000",
        "features=8",
        "gradient.noise=1.0",
        "gradient.target=0.3,0.6,0.9,1.2,1.5",
    ]
    assert main([*arguments, *short, "--seeds", "1", "--runs", str(tmp_path), "--jobs", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["rule"], row["coupling"]) == ("torch", "coupled")
    assert row["exponent"] == pytest.approx(1.0, abs=0.1)


def test_missing_full_scale_records_are_undecided_with_the_command_for_that_preset(tmp_path, capsys):
    assert main(["verdict", "H4", "--preset", "paper", "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "UNDECIDED" in printed
    assert "python -m full_scale run strength preset=paper --seeds 3" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["verdict", "P99"], "P9c"), (["verdict", "--layer", "moon"], "full_scale"), (["verdict", "P1", "--jobs", "0"], "--jobs")],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, named, refuses, tmp_path):
    refuses(lambda: main([*arguments, "--runs", str(tmp_path)]), named)


def test_an_unknown_experiment_is_one_line(tmp_path):
    with pytest.raises(UserError, match="unknown experiment 'dance'"):
        run(Need("toy", "dance"), tmp_path)


def test_overrides_of_a_need_reach_the_records(tmp_path):
    table = run(Need("toy", "balance", ("steps=20", "features=2"), seeds=2), tmp_path)
    assert set(table["seed"]) == {0, 1}
    assert set(table["spec.steps"]) == {20}
    assert sorted(table["spec.regularizer.strength"].unique()) == [1e-4, 1e-3, 1e-2]


@pytest.mark.parametrize(("effective_steps", "expected"), [(751.8, SUPPORTED), (100.0, UNDECIDED)])
def test_the_decay_budget_counts_the_steps_that_the_schedule_left(effective_steps, expected):
    """SGD at 0.1, momentum 0.9, λ = 5e-3: a budget of 5e-3 a step at the base rate; 1,200 steps would be enough either way."""
    features, curve = digits(0.4, 0.05)
    assert verdict_of("H1", features.assign(effective_steps=effective_steps), curve) == expected


def test_independent_decay_needs_no_rate_for_its_budget():
    """λ a step: 5e-3 × 751.8 is enough, 5e-3 × 100 is not, whatever the rate."""

    def against_independent(table):
        coupling = np.where(table["spec.rule"] == "adam", "coupled", "independent")
        return table.assign(**{"spec.rule": "adam", "spec.regularizer.coupling": coupling})

    features, curve = map(against_independent, digits(0.4, 0.05, learning_rate=1e-4))
    assert verdict_of("H2a", features, curve) == SUPPORTED
    assert verdict_of("H2a", features.assign(effective_steps=100.0), curve) == UNDECIDED
