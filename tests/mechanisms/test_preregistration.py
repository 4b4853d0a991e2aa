"""Predictions that were written down before the records, and those that were not."""

import dataclasses
import json
from pathlib import Path

import pytest

from mechanisms.__main__ import main
from mechanisms.claims import all_hypotheses, preregistration
from mechanisms.claims.hypothesis import Hypothesis, Prediction, compared, exactly
from mechanisms.claims.preregistration import file_name, status, write
from mechanisms.records.loading import Need
from mechanisms.sweeps.making import run
from mechanisms.validation import UserError

NEED = Need("toy", "balance", ("steps=20", "features=2"), seeds=1)
PREDICTIONS = (Prediction("w", +1, 0.1), Prediction("v", 0, 0.05, 1.0))
CLAIM = Hypothesis("I0", "W grows.", "a test", "w shrinks", (NEED,), lambda table: (), PREDICTIONS, "a law")


@pytest.fixture
def make_records(tmp_path):
    return lambda: run(NEED, tmp_path)


def written(tmp_path, claim=CLAIM):
    return write(NEED, [claim], tmp_path, tmp_path / preregistration.FOLDER)


def test_what_is_written_before_the_records_is_a_prediction(tmp_path, make_records):
    path = written(tmp_path)
    content = json.loads(path.read_text())
    assert content["hypotheses"]["I0"]["predictions"] == {"w": "> 0, at least 0.1", "v": "1 ± 0.05"}
    assert content["command"] == NEED.command
    assert list(content["records_there"].values()) == [False]
    before = status(CLAIM, tmp_path)
    assert before == f"predicted {content['written']}"
    make_records()
    assert status(CLAIM, tmp_path) == before


def test_what_is_written_after_the_records_says_so(tmp_path, make_records):
    assert status(CLAIM, tmp_path) == "after the fact"
    make_records()
    written(tmp_path)
    assert status(CLAIM, tmp_path) == "after the fact: 1 of 1 records were there or are of other settings"


def test_a_prediction_cannot_be_changed_afterwards(tmp_path):
    path = written(tmp_path)
    before = path.read_bytes()
    changed = dataclasses.replace(CLAIM, predictions=(Prediction("w", -1, 0.1),))
    assert status(changed, tmp_path).startswith("after the fact: not what was predicted on 2")
    with pytest.raises(UserError, match="a preregistration is not changed"):
        written(tmp_path, changed)
    assert path.read_bytes() == before


def test_other_runs_than_the_announced_ones_are_not_predicted(tmp_path):
    written(tmp_path)
    content = json.loads((path := tmp_path / preregistration.FOLDER / file_name(NEED)).read_text())
    path.write_text(json.dumps(content | {"records_there": {}}))
    assert status(CLAIM, tmp_path).startswith("after the fact: 1 of 1 records")


NO_HYPOTHESES = '{"format": 1, "written": "2026-01-01", "hypotheses": [], "records_there": {}}'


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"format": 1}', '{"format": 2}', NO_HYPOTHESES])
def test_a_damaged_file_is_one_line(tmp_path, text):
    path = tmp_path / preregistration.FOLDER / file_name(NEED)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="is no preregistration of this version"):
        status(CLAIM, tmp_path)


def test_predictions_are_judged_as_written():
    findings = compared(PREDICTIONS, lambda table: {"w": exactly(table, 5), "v": exactly(1.01, 5)})(0.2)
    assert [finding.verdict for finding in findings] == ["supported", "supported"]
    findings = compared(PREDICTIONS, lambda table: {"w": exactly(table, 5), "v": exactly(1.2, 5)})(-0.2)
    assert [finding.verdict for finding in findings] == ["refuted", "refuted"]
    assert [finding.expected for finding in findings] == [prediction.expected for prediction in PREDICTIONS]


def test_the_verb_writes_the_predictions_of_an_experiment(tmp_path, capsys):
    arguments = ["preregister", "gate", "--preset", "paper", "--seeds", "2", "--runs", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["hypothesis"] for row in rows} == {"I7", "I8", "I9"}
    content = json.loads((tmp_path / "preregistered" / "full_scale-gate-paper.json").read_text())
    assert len(content["records_there"]) == 12 * 2
    assert not any(content["records_there"].values())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["dance"], "factors, full_batch, gate, layer_epsilon"),
        (["gate", "--seeds", "0"], "--seeds"),
        (["rescale"], "is not changed"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, named, refuses, tmp_path):
    refuses(lambda: main(["preregister", *arguments, "--runs", str(tmp_path)]), named)
    assert not (tmp_path / "preregistered").exists()


LATER = {"H27", "H28", "H29", "I17", "I18"}
"""Claims that a look at the records asked for."""


def test_committed_predictions_are_those_of_the_hypotheses_and_came_before_their_records():
    claims = [claim for claim in all_hypotheses().values() if claim.predictions and claim.name not in LATER]
    assert all(status(all_hypotheses()[name], Path("nowhere")) == "after the fact" for name in LATER)
    for path in preregistration.COMMITTED.glob("*.json"):
        content, experiment = json.loads(path.read_text()), path.stem.split("-")[1]
        # Their plain or weakest settings are those of older experiments, which their verdicts say.
        assert not any(content["records_there"].values()) or experiment in ("matched_coupling", "responses")
        expected = {
            claim.name: preregistration.predictions_of(claim) for claim in claims if claim.needs[0].experiment == experiment
        }
        assert content["hypotheses"] == expected
