"""Any executor serves, what one sweep makes another waits for, and what cannot be had is one line."""

import concurrent.futures
import json
import os
import sys
import threading
from importlib.util import find_spec

import pytest

from mechanisms.command_line.framework import main
from mechanisms.records.store import Store
from mechanisms.sweeps import locks as marks
from mechanisms.sweeps import runner
from mechanisms.sweeps.executors import InTurn, Watched, environment, on_this_machine
from mechanisms.sweeps.runner import run_all
from mechanisms.validation import InvalidValue, UserError

needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="a cluster needs implicit-filter-sparsity[cluster]")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "tiny")


def test_any_executor_serves(tiny_layer, store):
    specs = tiny_layer.specs("two")
    made = run_all(tiny_layer, store, specs, range(3), executor=lambda: concurrent.futures.ThreadPoolExecutor(2))
    assert made == 6
    assert all(store.has(spec, seed) for spec in specs for seed in range(3))


def test_an_executor_in_turn_carries_what_was_raised():
    assert InTurn().submit(int, "3").result() == 3
    with pytest.raises(ValueError, match="invalid literal"):
        InTurn().submit(int, "x").result()
    with pytest.raises(InvalidValue, match="--jobs"):
        on_this_machine(0)


def test_executors_that_break_at_once_are_given_up(tiny_layer, store):
    class Broken(concurrent.futures.Executor):
        def submit(self, *_):
            raise concurrent.futures.BrokenExecutor

    with pytest.raises(UserError, match="end before they begin"):
        run_all(tiny_layer, store, tiny_layer.specs("one"), (0,), executor=Broken)


def test_futures_of_a_lost_executor_end():
    """One that never answers, as a scheduler that is killed while a result is on its way."""

    class Silent(concurrent.futures.Executor):
        def submit(self, *_):
            return concurrent.futures.Future()

    connected = threading.Event()
    connected.set()
    future = Watched(Silent(), connected.is_set).submit(int)
    connected.clear()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(timeout=60)


def test_an_environment_is_restored(monkeypatch):
    monkeypatch.setenv("SWEEP_A", "1")
    monkeypatch.delenv("SWEEP_B", raising=False)
    with environment({"SWEEP_A": "2", "SWEEP_B": "3"}):
        assert (os.environ["SWEEP_A"], os.environ["SWEEP_B"]) == ("2", "3")
    assert os.environ["SWEEP_A"] == "1"
    assert "SWEEP_B" not in os.environ


def test_what_a_silent_sweep_of_another_machine_had_begun_is_made_in_the_end(tiny_layer, store, monkeypatch, capsys):
    monkeypatch.setattr(runner, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(runner, "Watch", lambda: marks.Watch(patience=0.2))
    (spec,) = tiny_layer.specs("one")
    mark = store.mark(spec, 0)
    mark.parent.mkdir(parents=True)
    mark.write_text('{"sweep": "theirs", "process": "0badcafe-7", "machine": "far"}\n')
    assert run_all(tiny_layer, store, (spec,), range(2)) == 2
    assert "process 0badcafe-7 on far" in capsys.readouterr().err
    assert not mark.exists()


def test_what_another_sweep_ended_meanwhile_is_not_made_again(tiny_layer, store, monkeypatch, capsys):
    (spec,) = tiny_layer.specs("one")
    planned = runner._planned

    def late(*arguments):
        found = planned(*arguments)
        store.save(spec, 1, sys.modules["tiny_code"].run(spec, 1)[0], {})
        return found

    monkeypatch.setattr(runner, "_planned", late)
    assert run_all(tiny_layer, store, (spec,), range(3)) == 2
    assert "[3/3]" in capsys.readouterr().err


def test_a_defect_in_one_run_does_not_stop_the_others_and_is_forgotten_when_mended(tiny_layer, store, monkeypatch, capsys):
    code, specs = sys.modules["tiny_code"], tiny_layer.specs("two")
    whole = code.run

    def broken(spec, seed):
        return whole(spec, seed) if spec.steps == 4 else 1 / 0

    monkeypatch.setattr(code, "run", broken)
    with pytest.raises(UserError, match=r"1 of 2 runs are missing.*ZeroDivisionError: division by zero \(all of it in"):
        run_all(tiny_layer, store, specs, (0,))
    note = json.loads(store.failure(specs[0], 0).read_text())
    assert "in broken" in note["traceback"]
    monkeypatch.setattr(code, "run", whole)
    assert run_all(tiny_layer, store, specs, (0,)) == 1
    assert not store.failure(specs[0], 0).exists()


def test_a_record_of_a_newer_schema_is_named_and_left_alone_and_the_rest_is_made(tiny_layer, store):
    specs = tiny_layer.specs("two")
    run_all(tiny_layer, store, specs[:1], (0,))
    path = store.folder(specs[0], 0) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    content = path.read_bytes()
    with pytest.raises(UserError, match=r"^1 of 3 runs are missing, the others are on record: record .* has schema 99"):
        run_all(tiny_layer, store, (*specs, *tiny_layer.specs("one", ["steps=9"])), (0,))
    assert path.read_bytes() == content
    assert store.has(specs[1], 0)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--cluster", "tcp://127.0.0.1:1", "--jobs", "2"], "leave --jobs out"),
        pytest.param(["--cluster", "nonsense://x"], "no Dask scheduler answers at nonsense://x", marks=needs_dask),
        (["--jobs", "-1"], "--jobs"),
    ],
)
def test_mistakes_are_one_line(words, named, tiny_layer, tmp_path, refuses):
    refuses(lambda: main(tiny_layer, ["run", "one", "--runs", str(tmp_path), *words]), named)


def test_torchrun_decides_alone_how_many_processes_there_are(tiny_layer, tmp_path, monkeypatch, refuses):
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuses(lambda: main(tiny_layer, ["run", "one", "--runs", str(tmp_path), "--jobs", "2"]), "torchrun gives 2 processes")


def test_only_the_first_process_of_torchrun_talks(tiny_layer, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(tiny_layer, ["run", "one", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")
