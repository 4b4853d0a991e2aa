"""The verbs list, show and run: what they print, what they refuse, and their exit status."""

import json

import pytest

from mechanisms.command_line.framework import main, print_rows
from toy.suite import LAYER as TOY


def test_list_prints_names_and_summaries(tiny_layer, capsys):
    assert main(tiny_layer, ["list"]) == 0
    assert "one   One spec." in capsys.readouterr().out
    assert main(tiny_layer, ["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1] == {"name": "two", "summary": "Two specs."}


def test_show_counts_records(tiny_layer, tmp_path, capsys):
    place = ["--runs", str(tmp_path), "--seeds", "2", "--json"]
    main(tiny_layer, ["run", "one", "--runs", str(tmp_path), "--seeds", "1"])
    capsys.readouterr()
    assert main(tiny_layer, ["show", "two", *place]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["done"], row["missing"]) for row in rows] == [(1, 1), (0, 2)]
    assert [row["steps"] for row in rows] == ["3", "4"]
    assert main(tiny_layer, ["show", "two", *place[:-1]]) == 0
    assert "regularizer.strength = 0.5" in capsys.readouterr().out


def test_run_prints_the_summary(tiny_layer, tmp_path, capsys):
    assert main(tiny_layer, ["run", "two", "--runs", str(tmp_path), "--seeds", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"spec.steps": 3, "scale": 1.0}, {"spec.steps": 4, "scale": 1.0}]


def test_overrides_apply_to_every_spec_and_equal_specs_run_once(tiny_layer, tmp_path, capsys):
    arguments = ["run", "two", "steps=5", "regularizer.strength=0.25", "--runs", str(tmp_path), "--seeds", "1", "--json"]
    assert main(tiny_layer, arguments) == 0
    assert json.loads(capsys.readouterr().out) == [{"spec.steps": 5, "scale": 0.25}]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "decya"], "decay"),
        (["run", "decay", "stpes=3"], "steps"),
        (["run", "decay", "steps=many"], "whole number"),
        (["run", "decay", "regularizer.strength=-1"], ">= 0"),
        (["run", "decay", "rule=adam", "rule.beta2=1"], "[0, 1)"),
        (["run", "decay", "rule=lion"], "adamax"),
        (["run", "decay", "steps"], "field=value"),
        (["run", "decay", "steps=10,20"], "cannot be an axis"),
        (["run", "decay", "gradient=dead", "gradient.p=0.1"], "alive_steps"),
        (["run", "decay", "axes=3"], "a list makes an axis"),
        (["run", "decay", "--seeds", "1", "--wrong", "3"], "--wrong"),
        (["list", "steps=3"], "steps=3"),
        (["run", "decay", "--seeds", "0"], "--seeds"),
        (["run", "decay", "--seeds", "x"], "--seeds"),
        (["run", "decay", "--jobs", "0"], "--jobs"),
        (["run", "decay", "--runs", "/dev/null/x"], "not writable"),
        (["dance"], "list"),
        ([], "list"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, named, refuses):
    refuses(lambda: main(TOY, arguments), named)


def test_overrides_may_stand_behind_options(tiny_layer, tmp_path, capsys):
    assert main(tiny_layer, ["run", "one", "--runs", str(tmp_path), "--seeds", "1", "steps=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["spec.steps"] == 7


def test_long_tables_say_what_they_leave_out(capsys):
    print_rows([{"a": i, "b": None, "c": 0.123456} for i in range(100)], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["a", "b", "c"]
    assert lines[1].split() == ["0", "-", "0.1235"]
    assert "40 more rows" in lines[-1]
