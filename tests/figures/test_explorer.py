"""The explorer without a browser: what its knobs, links and commands say, and that it listens on this machine alone."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import replace
from urllib.parse import parse_qs

import numpy as np
import pytest

from figures.__main__ import main
from figures.explorer.knobs import place, value_at
from figures.explorer.server import ADDRESS, start
from figures.explorer.state import MODELS, PRESETS, RANGES, RULES, State, from_query
from figures.explorer.theory import curves, plane, remarks
from mechanisms.law.regularizers import COUPLINGS
from mechanisms.validation import InvalidValue
from toy.suite import LAYER

STATES = [State(model=model, rule=rule, coupling=coupling) for model in MODELS for rule in RULES for coupling in COUPLINGS]


def query_of(state: State) -> dict[str, list[bytes]]:
    return {name: [value.encode() for value in values] for name, values in parse_qs(state.link()[1:]).items()}


@pytest.mark.parametrize("state", [*PRESETS.values(), *STATES], ids=str)
def test_links_and_commands_restore_a_state(state: State) -> None:
    assert from_query(query_of(state)) == state
    words = shlex.split(state.command())
    assert words[:5] == ["python", "-m", "toy", "run", "single"]
    assert LAYER.specs("single", [word for word in words if "=" in word]) == (state.spec(),)


@pytest.mark.parametrize("state", STATES, ids=str)
def test_theory_has_finite_lines_within_the_picture(state: State) -> None:
    shown = plane(state)
    for x, y in [*curves(state.spec()).values(), *shown.lines.values()]:
        assert len(x) == len(y)
        assert np.isfinite(np.concatenate([x, y])).all()
    assert len(shown.lines) <= 2
    assert shown.left is None or ((shown.left >= -1e-9) & (shown.left <= 1 + 1e-9)).all()


def test_what_is_outside_the_conditions_of_a_closed_form_is_told() -> None:
    rare = replace(PRESETS["a selective feature"], rule="adam", beta2=0.9, selectivity=0.9999)
    told = {
        "times per memory": rare,
        "lags behind": State(model="low_gradient", rule="adam", coupling="coupled", noise=1e-5, learning_rate=5e-3),
        "regrows": State(model="dead", rule="adam", coupling="coupled", strength=0.1, epsilon=1e-12),
        "not slow against": State(model="dead", rule="sgd", coupling="coupled", strength=0.1, learning_rate=1.0),
    }
    for reason, state in told.items():
        assert reason in " ".join(remarks(state)), state
    assert not any("Outside" in line for line in remarks(replace(rare, beta2=0.999, selectivity=0.5)))


@pytest.mark.parametrize("model", ["low_gradient", "dead"])
def test_the_ends_of_every_knob_are_drawn(model: str) -> None:
    """A floor of the noise above the start, among others."""
    names = ("strength", "learning_rate", "noise")
    for corner in itertools.product(*(RANGES[name] for name in names)):
        for rule, coupling in itertools.product(RULES, COUPLINGS):
            state = State(model=model, rule=rule, coupling=coupling, **dict(zip(names, corner, strict=True)))
            remarks(state)
            assert all(len(x) == len(y) for x, y in curves(state.spec()).values())


@pytest.mark.parametrize("knob", RANGES)
def test_sliders_reach_both_ends_and_keep_their_order(knob: str) -> None:
    low, high = RANGES[knob]
    ends = sorted((place(knob, low), place(knob, high)))
    values = [value_at(knob, where) for where in np.linspace(*ends, 50)]
    assert {values[0], values[-1]} == {low, high}
    assert (np.diff(values) >= 0).all()
    for value in values:
        State(**{knob: value})


@pytest.mark.parametrize("knob", RANGES)
def test_values_out_of_range_are_refused(knob: str) -> None:
    low, high = RANGES[knob]
    for wrong in (low / 2 - 1, 2 * high, float("nan"), True and "1"):
        with pytest.raises(InvalidValue, match=knob):
            State(**{knob: wrong})


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"rule": [b"adam", b"sgd"]}, "one value"),
        ({"rule": [b"adamw"]}, "rule = 'adamw' is not valid: use one of"),
        ({"strength": [b"abc"]}, "strength = 'abc' is not valid: use a number from 1e-06 to 0.1"),
        ({"steps": [b"1e3"]}, "steps = '1e3' is not valid"),
        ({"beta2": [b"nan"]}, "beta2 = nan is not valid"),
        ({"speed": [b"1"]}, "the link's field = 'speed' is not valid: use one of model, rule"),
        ({"model": [b"\xff"]}, "model"),
    ],
)
def test_an_invalid_link_is_refused(query: dict[str, list[bytes]], said: str) -> None:
    with pytest.raises(InvalidValue) as problem:
        from_query(query)
    assert said in str(problem.value)


def test_only_the_fields_that_matter_are_asked_for() -> None:
    state = State(model="dead", rule="sgd")
    assert not state.matters("beta2")
    assert not state.matters("selectivity")
    assert replace(state, model="product").matters("selectivity")


def test_it_listens_on_this_machine_alone() -> None:
    server, address = start(0)
    try:
        sockets = server._http._sockets.values()
        assert {socket.getsockname()[0] for socket in sockets} == {ADDRESS}
        assert address.startswith("http://127.0.0.1:")
    finally:
        server.stop()
        server._http.stop()


def test_a_wrong_port_is_one_line(refuses) -> None:  # type: ignore[no-untyped-def]
    refuses(lambda: main(["explore", "--port", "99999"]), "--port")
