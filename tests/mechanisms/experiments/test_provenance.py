"""What a record says of the code that made it."""

import mechanisms.records.provenance as provenance


def test_git_state_is_that_of_this_code(monkeypatch, tmp_path):
    state = provenance.git_state()
    assert state is None or len(state["commit"]) == 40
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.git_state() is None
