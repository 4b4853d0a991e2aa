"""Answers are those of the records: findings, verdicts, quantities of interventions, rows of a summary."""

import math

import pytest

from mechanisms.claims.hypothesis import UNDECIDED, Prediction, compared
from mechanisms.measures.statistics import Estimate
from mechanisms.pages.answers import STYLES, Answers, interval_text, markdown
from mechanisms.validation import UserError


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return Answers(tmp_path_factory.mktemp("runs"))


def test_styles_of_a_share_with_its_interval():
    found = Estimate(-0.2764, -0.301, -0.25, 5)
    written = {name: style(found) for name, style in STYLES.items() if name != "error"}
    assert written == {
        "value": "-0.276 [-0.301, -0.25]",
        "bare": "-0.276",
        "signed": "−0.28",
        "share": "-28 %",
        "points": "28 points [25, 30]",
        "percent": "28 % [25, 30]",
    }
    assert STYLES["error"](Estimate(0.394, -0.01, 1.2, 3)) == "39.4 % [0.0, 100.0]"
    assert STYLES["points"](Estimate(0.02, -0.04, 0.08, 5)) == "2 points [-4, 8]"


def test_an_interval_that_there_is_not_is_not_written():
    assert interval_text(Estimate(0.5, -math.inf, math.inf, 1)) == "0.5"
    assert interval_text(Estimate(1.0, 1.0, 1.0, 3, p=0.125)) == "1 3 of 3 seeds, p = 0.12"


def test_cells_of_a_table_cannot_end_it():
    assert markdown([["a", "|γ|"], ["1", "2"]]) == "| a | \\|γ\\| |\n| --- | --- |\n| 1 | 2 |"


def test_findings_verdicts_and_rows_come_from_the_committed_records(answers):
    head, _, verdict, finding = answers.block("verdicts H3").splitlines()
    assert head == "|  | statement and findings | expected | found [95 % interval] | n | verdict |"
    assert verdict == "| **H3** | **Without a regularizer no filter dies.** |  |  |  | **supported**, after the fact |"
    assert finding.startswith("|  | sparsity without a regularizer | 0 ± 0.01 | 0")
    assert answers.number("H3") == "supported"
    assert answers.number("H3#1 as share") == "0 %"
    assert answers.number("digits#4/sparsity_by_activation as share") == "0 %"
    assert "| sgd | coupled | 0.005 |" in answers.block("outcomes digits")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("H3#2", "H3 has 1 findings"),
        ("H3#1 as poem", "poem"),
        ("H3@huge", "huge"),
        ("rescale:5#nothing", "nothing"),
        ("no_such#1/seeds", "no_such"),
    ],
)
def test_a_mark_that_asks_for_nothing_is_refused(answers, asked, message):
    with pytest.raises(UserError, match=message):
        answers.number(asked)


def test_records_that_are_missing_are_named_with_their_command(answers):
    with pytest.raises(UserError, match="python -m full_scale run digits --seeds 9"):
        answers.block("outcomes digits seeds=9")


def test_a_quantity_that_the_records_do_not_have_leaves_a_prediction_open():
    judge = compared((Prediction("there", 1, 0.0), Prediction("not there", 1, 0.0)), lambda: {"there": Estimate(1, 0.5, 1.5, 5)})
    there, absent = judge()
    assert there.verdict == "supported"
    assert (absent.verdict, absent.why) == (UNDECIDED, "these records do not have it")
