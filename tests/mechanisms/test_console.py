"""Tables for people: within the width of the terminal, with every value there."""

from __future__ import annotations

import pytest

from mechanisms.system.console import print_rows


@pytest.fixture
def printed(capsys, monkeypatch):
    """printed(rows): the lines on a terminal of 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")

    def lines(rows):
        print_rows(rows, as_json=False)
        return capsys.readouterr().out.splitlines()

    return lines


def test_texts_are_wrapped_between_words(printed):
    lines = printed([{"name": "one", "why": "because it is so and not otherwise, as everybody knows"}])
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(" ".join(lines).split()) == "name why one because it is so and not otherwise, as everybody knows"


def test_one_wide_row_is_a_field_a_line(printed):
    row = {f"a_rather_long_name_{i}": i for i in range(5)}
    assert [line.split() for line in printed([row])] == [[name, str(value)] for name, value in row.items()]


def test_wide_rows_are_several_tables_of_numbered_rows(printed):
    rows = [{f"a_rather_long_name_{i}": 10 * i + row for i in range(3)} for row in range(2)]
    lines = [line.split() for line in printed(rows)]
    assert lines[0] == ["#", "a_rather_long_name_0"]
    assert [line for line in lines if line[:1] == ["2"]] == [["2", "1"], ["2", "11"], ["2", "21"]]


def test_what_fits_is_one_line_a_row(printed):
    assert printed([{"a": 1, "b": "x y"}, {"a": 22, "b": None}]) == ["a   b", "1   x y", "22  -"]


def test_a_path_is_not_broken(printed):
    path = "/a/" + "very_long" * 10
    assert any(path in line for line in printed([{"path": path, "why": "half-written"}, {"path": "b", "why": "c"}]))
