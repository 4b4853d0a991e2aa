"""The translation of a person's weight decay: numbers against THEORY and against the law itself, and the verb."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.__main__ import main
from mechanisms.law.dynamics import init, step
from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.schedules import Cosine
from mechanisms.law.torch_rules import TorchRule
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adagrad, Adam, AMSGrad
from mechanisms.records.specs import choices
from mechanisms.theory.translation import (
    Recipe,
    budget,
    equal_strength,
    equivalents,
    rare_features,
    recipe_rows,
    threshold,
    visits,
)
from mechanisms.validation import InvalidValue

RULES = choices(AbstractUpdateRule)
THEORY = Recipe(rule=Adam(beta2=0.99), batch_size=40, regularizer=L2(strength=1e-3, coupling="independent"))
"""The setting of THEORY section 7: k = 0.1, λ = 1e-3, η = 1e-3, B = 40."""


def under(recipe, coupling):
    return replace(recipe, regularizer=recipe.under(coupling))


@pytest.mark.parametrize("name", RULES)
def test_independent_is_decoupled_times_the_base_rate_for_every_rule(name):
    recipe = Recipe(rule=RULES[name](), regularizer=L2(strength=0.02, coupling="decoupled"), learning_rate=0.01)
    for row in equivalents(recipe):
        assert row["decoupled"] == pytest.approx(0.02)
        assert row["independent"] == pytest.approx(2e-4)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_coupled_and_independent_are_equal_at_the_crossing(coupling):
    recipe = under(replace(THEORY, learning_rate=5e-3), coupling)
    rows = {row["denominator"]: row for row in equivalents(recipe)}
    assert rows[5e-3]["coupled"] == pytest.approx(rows[5e-3]["independent"])
    assert rows[1e-4]["coupled"] < rows[1e-4]["independent"]
    assert rows[1e-2]["coupled"] > rows[1e-2]["independent"]


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_equivalents_of_sgd_decay_alike_in_the_law_itself(momentum, coupling):
    """A scale without loss gradient, 2,000 steps of the law itself: every row's strengths end at exp(−decay budget)."""
    recipe = Recipe(rule=SGD(momentum=momentum), regularizer=L2(strength=1e-3, coupling=coupling), learning_rate=0.1, steps=2000)
    recipe = replace(recipe, regularizer=L2(strength=equal_strength(recipe, coupling, 1.0), coupling=coupling))
    (row,) = equivalents(recipe)
    for other in COUPLINGS:
        w, regularizer = np.ones(1), L2(strength=row[other], coupling=other)
        state = init(w, rule=recipe.rule, regularizer=regularizer)
        for _ in range(recipe.steps):
            after = step(w, np.zeros(1), state, rule=recipe.rule, regularizer=regularizer, learning_rate=0.1)
            w, state = after.w, after.state
        # Momentum starts late by about 1/(1 − μ) steps, and (1 − x)^t is e^(−xt) up to x²t/2.
        assert -np.log(w[0]) == pytest.approx(row["decay_budget"], rel=0.01)


def test_budget_counts_effective_steps_and_the_denominator_of_coupled_decay_only():
    recipe = under(Recipe(steps=1000, schedule=Cosine()), "coupled")
    assert budget(recipe, 1e-3) == pytest.approx(1e-3 * 1e-4 / 1e-3 * 500, rel=2e-3)
    assert budget(recipe, 1e-4) == pytest.approx(10 * budget(recipe, 1e-3))
    assert budget(under(recipe, "independent"), 1e-4) == pytest.approx(budget(under(recipe, "independent"), 1e-2))


@pytest.mark.parametrize(("p", "coupled", "independent"), [(0.1, 0.900, 0.470), (0.01, 0.0, 0.142)])
def test_rare_features_are_those_of_the_theory(p, coupled, independent):
    row = {row["p"]: row for row in rare_features(THEORY)}[p]
    assert row["coupled"] == pytest.approx(coupled, abs=1e-12)
    assert 0.989 < row["decoupled"] <= 1
    assert row["independent"] == pytest.approx(independent, abs=0.01)


def test_threshold_exists_where_the_theory_has_one():
    assert threshold(under(THEORY, "coupled")) == pytest.approx(0.01)
    assert threshold(under(THEORY, "independent")) is None
    assert threshold(under(THEORY, "decoupled")) is None
    sgd = replace(THEORY, rule=SGD(momentum=0.9), learning_rate=0.1)
    assert [threshold(under(sgd, c)) for c in COUPLINGS] == pytest.approx([1e-2, 1e-3, 1e-2])
    assert threshold(replace(THEORY, regularizer=L2())) is None


def test_visits_need_a_memory_that_fades():
    assert visits(THEORY, 0.1) == pytest.approx((1 - 0.9**40) / 0.01)
    for rule in (SGD(), AMSGrad(), Adagrad()):
        assert visits(replace(THEORY, rule=rule), 0.1) is None


@pytest.mark.parametrize("decayed", ["all", "no_norm"])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("name", RULES)
def test_every_recipe_has_statements_and_plain_numbers(name, coupling, decayed):
    recipe = Recipe(rule=RULES[name](), regularizer=L2(strength=1e-3, coupling=coupling), decayed=decayed)
    rows = json.loads(json.dumps(recipe_rows(recipe), allow_nan=False))
    assert all(line.endswith(".") and "nan" not in line for line in rows["statements"])
    text = " ".join(rows["statements"])
    assert ("there is no threshold" in text) == (threshold(recipe) is None)
    assert ("left out" in text) == (decayed == "no_norm")


def test_short_runs_and_strong_decay_are_said():
    assert "would prove nothing" in " ".join(recipe_rows(under(replace(THEORY, steps=100), "decoupled"))["statements"])
    assert "all features" in " ".join(recipe_rows(replace(THEORY, regularizer=L2(strength=1.0)))["statements"])
    assert recipe_rows(replace(THEORY, regularizer=L2()))["statements"][0].startswith("Nothing is decayed")


def test_torch_optimizers_have_no_closed_forms():
    with pytest.raises(InvalidValue, match="closed forms"):
        Recipe(rule=TorchRule("torch.optim.RAdam"))


def translate(capsys, *arguments):
    assert main(["translate", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rule", "AdamW"], "Yours is decoupled, strength 0.0001, under adam at base rate 0.001."),
        (["--rule", "Adam", "--weight-decay", "3e-4"], "Yours is coupled, strength 0.0003, under adam at base rate 0.001."),
        (["--rule", "SGD", "--learning-rate", "0.1"], "Yours is coupled, strength 0.0001, under sgd at base rate 0.1."),
        (["--rule", "sgdw"], "Yours is decoupled, strength 0.0001, under sgd at base rate 0.001."),
        (
            ["--rule", "RMSprop", "--means", "independent"],
            "Yours is independent, strength 0.0001, under rmsprop at base rate 0.001.",
        ),
        (["--rule", "adamw", "--means", "independent"], "Yours is independent, strength 0.0001, under adam at base rate 0.001."),
    ],
)
def test_means_what_the_class_means_unless_told_otherwise(arguments, expected, capsys):
    assert translate(capsys, *arguments)["statements"][0] == expected


def test_hyperparameters_and_schedule_reach_the_numbers(capsys):
    found = translate(
        capsys, "--rule", "sgd", "--set", "momentum=0.9", "--schedule", "stepwise", "milestones=[0.5]", "factor=0.5"
    )
    assert found["equivalents"][0]["decoupled"] == pytest.approx(1e-3)
    assert found["equivalents"][0]["decay_budget"] == pytest.approx(1e-3 * 1e-4 * 7500 / 0.1)
    fading = translate(capsys, "--set", "beta2=0.9", "--batch-size", "10", "--schedule", "warm_up", "after=cosine")
    assert fading["rare_features"][2]["visits_per_memory"] == pytest.approx((1 - 0.9**10) / 0.1)


def test_people_get_tables_and_sentences(capsys):
    assert main(["translate", "--decayed", "no_norm"]) == 0
    printed = capsys.readouterr().out
    assert "decay_budget" in printed
    assert "visits_per_memory" in printed
    assert "BatchNorm is left out" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rule", "lion"], "adamax"),
        (["--rule", "torch:torch.optim.Adam()"], "adamax"),
        (["--means", "l2"], "coupled, decoupled, independent"),
        (["--rule", "adamw", "--means", "coupled"], "decouples"),
        (["--learning-rate", "0"], "learning_rate"),
        (["--learning-rate", "fast"], "--learning-rate"),
        (["--weight-decay", "-1"], "strength"),
        (["--weight-decay", "nan"], "strength"),
        (["--set", "beta3=1"], "beta1"),
        (["--set", "beta2=1"], "[0, 1)"),
        (["--set", "beta2"], "field=value"),
        (["--schedule", "linear"], "cosine"),
        (["--schedule", "cosine", "final=2"], "final"),
        (["--batch-size", "0"], "batch_size"),
        (["--steps", "1000000000000"], "steps"),
        (["--decayed", "none"], "no_norm"),
        (["--curvature", "0"], "curvature"),
        (["--surplus"], "--surplus"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, named, refuses):
    refuses(lambda: main(["translate", *arguments]), named)


def test_unknown_verbs_name_the_known(refuses):
    refuses(lambda: main(["dance"]), "translate")


def test_the_words_of_torch_mean_the_same_and_epochs_are_counted_in_steps(capsys):
    own = ["--learning-rate", "0.1", "--steps", "900", "--batch-size", "10"]
    assert translate(capsys, *own) == translate(capsys, "--lr", "0.1", "--epochs", "9", "--images", "1000", "--batch-size", "10")


def test_epochs_need_the_number_of_images(refuses):
    refuses(lambda: main(["translate", "--epochs", "9"]), "--images")
    refuses(lambda: main(["translate", "--epochs", "9", "--images", "0"]), "--images")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(
            rule=Adam(beta2=0.99),
            regularizer=L2(strength=1.0, coupling="decoupled"),
            learning_rate=1e-2,
            batch_size=40,
            steps=1200,
        ),
        Recipe(rule=Adam(), regularizer=L2(strength=1e-3), learning_rate=5e-3, decayed="no_norm", steps=6000),
    ],
    ids=["digits: 48 % dead under decoupled 1.0", "photographs: 53 % dead without decay of BatchNorm"],
)
def test_no_advice_that_records_refute(recipe):
    text = " ".join(recipe_rows(recipe)["statements"])
    assert "decouple the decay" not in text
    assert "prevent most deaths" not in text
    assert "not expected to die" not in text
    assert "Decoupling alone prevents nothing" in text
