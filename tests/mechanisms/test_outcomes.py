"""What died under the pull of a recipe on record: planted lines, the distance of settings, and the committed records."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mechanisms.__main__ import main
from mechanisms.commands.parts import recorded as reading
from mechanisms.commands.parts.recorded import recorded, translated
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adadelta, Adam
from mechanisms.records.loading import Need
from mechanisms.theory.outcomes import Outcome, expectations, share_at, told
from mechanisms.theory.translation import Recipe, budget

BESIDE = Recipe(regularizer=L2(strength=1e-3, coupling="independent"), learning_rate=1e-2, batch_size=40, steps=1000)
"""Λ = 1."""
COUPLED = replace(BESIDE, regularizer=L2(strength=1e-3))
"""Λ = 0.01/D."""


def outcome(recipe: Recipe, share: float, denominator: float | None = None, data: str = "planted") -> Outcome:
    dead = (share - 0.01, share, share + 0.01)
    return Outcome(data=data, command="python -m somewhere", recipe=recipe, dead=dead, denominator=denominator)


def stronger(recipe: Recipe, factor: float) -> Recipe:
    return replace(recipe, regularizer=recipe.under(recipe.regularizer.coupling, factor * recipe.regularizer.strength))


LINE = [outcome(stronger(BESIDE, factor), share) for factor, share in ((1, 0.1), (4, 0.3), (16, 0.7))]


def test_shares_are_interpolated_in_the_logarithm_of_the_pull() -> None:
    (found,) = expectations(stronger(BESIDE, 2), LINE)
    assert found.pulls == pytest.approx((2, 2, 2))
    assert found.dead == pytest.approx((0.2, 0.2, 0.2))
    assert found.beyond is None
    assert share_at([(1.0, 0.2), (1.0, 0.4), (2.0, 0.9)], 1.0) == pytest.approx(0.3)


def test_beyond_the_records_their_end_is_told_and_nothing_is_extrapolated() -> None:
    below, above = (expectations(stronger(BESIDE, factor), LINE)[0] for factor in (0.1, 100))
    assert (below.beyond, above.beyond) == pytest.approx((1, 16))
    text = " ".join(told(BESIDE, [below, above]))
    assert "below the records, which begin at Λ = 1 with 10% of the filters dead" in text
    assert "above the records, which end at Λ = 16 with 70% of the filters dead" in text


def test_decoupled_and_independent_decay_are_on_one_line_and_coupled_decay_and_sgd_on_others() -> None:
    decoupled = replace(BESIDE, regularizer=L2(strength=0.4, coupling="decoupled"))
    assert expectations(decoupled, LINE)[0].dead == pytest.approx((0.3, 0.3, 0.3))
    for other in (replace(BESIDE, rule=SGD(momentum=0.9), learning_rate=0.1), replace(BESIDE, decayed="no_norm")):
        (found,) = expectations(other, LINE)
        assert (found.dead, found.reach) == (None, None)
        assert "No record is of this kind" in " ".join(told(other, [found]))


def test_coupled_decay_has_the_range_of_the_denominators_on_record() -> None:
    line = [outcome(COUPLED, 0.2, 5e-3), outcome(stronger(COUPLED, 4), 0.6, 2.5e-3), outcome(stronger(COUPLED, 2), 0.4)]
    (found,) = expectations(COUPLED, line)
    assert found.pulls == pytest.approx((2, 0.01 / 3.75e-3, 4))
    assert found.dead is not None
    assert found.dead[0] == pytest.approx(0.2)
    assert found.dead[0] < found.dead[1] < found.dead[2]
    (unknown,) = expectations(COUPLED, LINE)
    assert unknown.pulls is None
    assert "depends on the denominator D, which is on no record" in " ".join(told(COUPLED, [unknown]))


def test_denominators_of_one_rule_do_not_stand_for_those_of_a_rule_of_another_kind() -> None:
    (found,) = expectations(replace(COUPLED, rule=Adadelta()), [outcome(COUPLED, 0.2, 5e-3)])
    assert found.pulls is None


def test_the_nearest_record_is_named_with_what_differs_and_by_how_much() -> None:
    own = stronger(BESIDE, 4)
    (found,) = expectations(own, LINE)
    assert found.nearest[0][1] == ()
    assert "the same settings as yours; python -m somewhere" in " ".join(told(own, [found]))
    far = replace(own, batch_size=80, rule=Adam(beta2=0.99))
    nearest, differences = expectations(far, LINE)[0].nearest[0]
    assert nearest.share == pytest.approx(0.3)
    assert differences == ("batch × 0.5", "1/(1 − β2) × 10")
    assert "decayed all" in expectations(replace(own, decayed="no_norm"), LINE)[0].nearest[0][1]


def test_the_error_of_a_record_left_out_is_told() -> None:
    off = [*LINE, outcome(stronger(BESIDE, 2), 0.6)]
    (found,) = expectations(BESIDE, off)
    assert found.error == pytest.approx((0.5 + 0.4 + 0.1 + 0.4) / 4, abs=0.15)
    assert found.error > 0.3
    assert expectations(BESIDE, LINE)[0].error is None


def test_nothing_decayed_has_no_outcome() -> None:
    assert expectations(replace(BESIDE, regularizer=L2()), LINE) == []


STEPWISE = ["--schedule", "stepwise", "milestones=0.6,0.85", "factor=0.1"]
DIGITS = ["--rule", "AdamW", "--learning-rate", "1e-2", "--weight-decay", "1.0", "--set", "beta2=0.99", "--batch-size", "40",
          "--steps", "1200"]  # fmt: skip
PHOTOGRAPHS = ["--rule", "Adam", "--learning-rate", "5e-3", "--weight-decay", "1e-3", "--decayed", "no_norm", "--steps", "6000"]


@pytest.mark.parametrize("schedule", [[], STEPWISE], ids=["constant", "stepwise"])
@pytest.mark.parametrize(
    ("arguments", "data", "near"), [(DIGITS, "digits", 0.48), (PHOTOGRAPHS, "photographs", 0.53)], ids=["decoupled", "no norm"]
)
def test_recipes_under_which_half_of_the_filters_died_say_so(arguments, data, near, schedule, tmp_path, capsys) -> None:
    """At a constant rate the first pulls 1.6 times as hard as the record, between others: 56 %."""
    share = 0.56 if (data, schedule) == ("digits", []) else near
    words = [*arguments, *schedule, "--runs", str(tmp_path)]
    assert main(["translate", *words]) == 0
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if line.startswith(f"On {data}:")]
    assert "of the filters" in line
    assert f"on record {near:.0%} dead" in text
    for advice in ("decouple the decay", "leave BatchNorm out", "not expected to die", "expected to prevent"):
        assert advice not in text
    assert main(["translate", *words, "--json"]) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out)["outcomes"] if row["data"] == data]
    assert row["dead"][1] == pytest.approx(share, abs=0.015)


def test_the_settings_of_a_record_are_found_to_be_its_own(tmp_path: Path) -> None:
    """Every setting that was read: nothing is nearer to it than a record without differences."""
    outcomes = recorded(tmp_path)
    assert {one.data for one in outcomes} == {"digits", "photographs"}
    assert all(0 <= share <= 1 for one in outcomes for share in one.dead)
    for one in outcomes:
        (found,) = [found for found in expectations(one.recipe, outcomes) if found.data == one.data]
        assert found.nearest[0][1] == ()
    adam = [one for one in outcomes if one.denominator is not None and one.recipe.rule.name == "adam"]
    assert len(adam) > 8
    assert all(1e-4 < one.denominator < 2e-2 for one in adam)
    assert all(budget(one.recipe, one.denominator) > 0.3 for one in adam)


def test_reading_the_records_is_quick(tmp_path: Path) -> None:
    before = time.process_time()
    translated(BESIDE, tmp_path)
    assert time.process_time() - before < 3


def test_without_records_it_still_translates_and_says_so(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reading, "SOURCES", {"nowhere": (Need("no_such_suite", "digits"), Need("full_scale", "resnet"))})
    assert recorded(tmp_path) == []
    assert main(["translate", "--runs", str(tmp_path)]) == 0
    assert "No network is on record here: python -m full_scale run early_prediction --seeds 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rule", "AdamW", "--weight-decay", "2500"], "at ηλ = 2.5, not below 2, the decay itself diverges"),
        (["--means", "independent", "--weight-decay", "2"], "at λ = 2, not below 2, the decay itself diverges"),
        (["--rule", "sgd", "--learning-rate", "1", "--weight-decay", "3"], "at ηλ = 3, not below 2, the decay itself diverges"),
    ],
)
def test_a_decay_that_diverges_is_refused_in_one_line(arguments: list[str], says: str, capsys) -> None:
    assert main(["translate", *arguments]) == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_rate_is_known_before_the_decay_is_judged(capsys, tmp_path: Path) -> None:
    words = ["--rule", "AdamW", "--learning-rate", "1e-5", "--weight-decay", "2500", "--runs", str(tmp_path)]
    assert main(["translate", *words]) == 0
    assert main(["translate", "--rule", "AdamW", "--weight-decay", "5", "--runs", str(tmp_path)]) == 0
    assert "diverges" not in capsys.readouterr().out
