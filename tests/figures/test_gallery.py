"""Every figure draws from small tables, says what its axes are, and writes the same bytes for the same data."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

import figures.commands.draw
import mechanisms.records.loading
import mechanisms.sweeps.making
import toy.simulate
from figures.__main__ import main
from figures.catalogue import Entry, names
from figures.style import rule_label, save, styled
from mechanisms.law.update_rules import AbstractUpdateRule
from mechanisms.records import bundles
from mechanisms.records.loading import load
from mechanisms.records.specs import choices
from mechanisms.records.store import Store
from mechanisms.records.suites import FOUND, find_suite
from mechanisms.sweeps.making import make
from toy.engines.choice import INTERPRETED

TINY = ["steps=4", "network.width=0.03125", "measurements=2"]
SMALL = {
    "decay": ["steps=300", "records=10", "features=2"],
    "selectivity": ["steps=300", "features=2"],
    "batch_size": ["steps=200", "features=2"],
    "edge": ["steps=200", "features=2"],
    "strength_and_noise": ["steps=200", "features=2"],
    "death": ["steps=200", "features=2"],
    "crossing": ["steps=200", "features=2"],
    "product": ["steps=300", "features=2"],
    "dead": ["steps=3200", "features=1"],
    "stability": ["steps=300", "features=1"],
    "passage": ["steps=1500", "features=2"],
    **dict.fromkeys(("digits", "optimizers", "decayed_parameters", "table1", "difficulty", "matched_coupling"), TINY),
    "full_scale batch_size": TINY,
    "width": ["steps=2", "measurements=1", "probe_images=20"],
    "early_prediction": ["train.steps=4", "train.network.width=0.03125", "train.measurements=2", "images=40", "moments=0.3,0.6"],
    "strength": ["steps=4", "network.width=0.03125", "measurements=2", "regularizer.strength=1e-3"],
}
TREATED = ["steps=2", "network.width=0.03125", "measurements=1"]
SMALL |= dict.fromkeys(("rescale", "gate", "factors", "balance"), TREATED)
LAYERS = ("layer_responses", "layer_rescale", "layer_gate", "layer_decayed", "layer_batch")
SMALL |= {"responses": TREATED} | {name: ["steps=4", "replicates=2", "records=1"] for name in LAYERS}
SPARSIFIED = ["train.data=digits", "train.network=mlp", "train.network.hidden=8,6", "train.steps=4", "train.measurements=1"]
SPARSIFIED += ["ratios=0,0.5", "images=40", "scores=activation"]
SMALL |= {"node_pruning": SPARSIFIED, "l1_over_l2": SPARSIFIED}
MOST_SPECS = {"rescale": 9, "gate": 4, "early_prediction": 3, "node_pruning": 4, "l1_over_l2": 6, "responses": 13}
MOST_SPECS |= {"layer_responses": 13, "layer_rescale": 12, "layer_gate": 4, "layer_decayed": 7}
"""Where the first specs are enough: coupled Adam alone, settings enough to forecast one from the others, a few sparsifiers."""
SEEDS = 2
SERIES = {
    "decay": [15] * 9,
    "selectivity": [4, 4],
    "digits_sparsity": [4, 0, 4],
    "photographs_sparsity": [4, 0, 4],
    "photographs_knobs": [4, 2, 3],
    "phase_diagrams": [0, 1, 0, 1],
    "interventions_digits": [3, 1, 3, 2],
    "interventions_photographs": [3, 1, 3, 2],
    "balance": [4, 4],
    "pruning_curves": [2, 2, 0] * 2,
    "early_prediction": [10, 10, 1],
    "crossing": [4, 2],
    "forces": [2] * 6,
    "silent_features": [8, 4, 1],
    "time_to_threshold": [2, 2],
    "scale_and_shift": [1, 1, 1, 1, 2, 2, 2, 2],
    "balance_by_filter": [2, 2, 2, 2],
    "selectivity_distributions": [3, 3, 3, 3],
    "who_dies": [1] * 6,
    "table1": [0],
    "matched_coupling": [5, 5, 5],
    "one_strength": [5, 5, 5],
    "photographs_matched_coupling": [5, 5, 5],
    "layer_response": [1],
    "photographs_batch_size": [1, 1],
    "digits_trends": [1, 1, 2] * 2,
    "removal_exactness": [6, 0],
    "node_pruning": [1, 0],
    "l1_over_l2": [2, 0],
}
"""Panels of each figure, and lines in each that carry data."""


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder of small records for every experiment that a figure needs."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def _small_experiments(monkeypatch):
    """Every need asks for a small version of its experiment, which is done before a compiler would be."""
    monkeypatch.setattr(toy.simulate, "choose_engine", lambda: INTERPRETED)

    def small(need):
        sizes = [text for text in need.overrides if text.startswith("batch_size=")]
        fields = SMALL.get(f"{need.layer} {need.experiment}", SMALL.get(need.experiment, []))
        return find_suite(need.layer).specs(need.experiment, [*fields, *sizes])[: MOST_SPECS.get(need.experiment)]

    for module in (mechanisms.records.loading, mechanisms.sweeps.making):
        monkeypatch.setattr(module, "specs_of", small)


def pruned_networks():
    """What a small run of `criteria` would say: making one proves every removal, which takes minutes."""
    ways = [("one_shot", c, r, q) for c in ("scale", "random") for r in ("layer", "global") for q in (0.5, 0.7)]
    ways += [("scratch", "random", "layer", q) for q in (0.5, 0.7)]
    ways += [("implicit", "inactive by activation", "", 0.4), ("trained", "", "", 0.0)]
    rows = [
        {"spec.train.rule": rule, "seed": seed, "protocol": protocol, "criterion": criterion, "ranking": ranking, "ratio": ratio,
         "parameters": 1000 * (1 - ratio), "test_error": 0.1 + ratio / 10 + seed / 100, "pruned_test_error": 0.2 + ratio / 2}
        for rule in ("adam", "sgd") for seed in range(SEEDS) for protocol, criterion, ranking, ratio in ways
    ]  # fmt: skip
    same = {"parameters_before": 1000.0, "macs": 1.0, "macs_before": 1.0, "milliseconds": 1.0, "milliseconds_before": 1.0}
    return pd.DataFrame(rows).assign(**same)


def tables(name, runs):
    if name == "pruning_curves":
        return [pruned_networks()]
    needs = [replace(need, seeds=min(need.seeds, SEEDS)) for need in Entry(name).needs]
    for need in needs:
        make(need, runs, jobs=1)
    return [*(load(need, runs) for need in needs), *(table.load() for table in Entry(name).tables)]


@pytest.mark.parametrize("name", names())
def test_axes_are_labelled_and_all_series_are_there(name, runs):
    import matplotlib.pyplot as plt

    with styled():
        figure = Entry(name).module.draw(*tables(name, runs))
        panels = [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]
        shared = bool(figure.get_supxlabel()) and bool(figure.get_supylabel())
        for axes in panels:
            assert shared or any(a.get_xlabel() for a in axes.get_shared_x_axes().get_siblings(axes))
            assert shared or any(a.get_ylabel() for a in axes.get_shared_y_axes().get_siblings(axes))
        counts = [sum(len(line.get_xdata()) > 1 for line in axes.get_lines()) for axes in panels]
        assert [c >= expected for c, expected in zip(counts, SERIES[name], strict=True)] == [True] * len(panels), counts
        assert figure.legends or any(axes.texts or axes.get_legend() for axes in panels)
        told = [legend.get_title().get_text() for legend in figure.legends] + [axes.get_title() for axes in panels]
        assert "n = " in "".join(told) + figure.get_supylabel()
        plt.close(figure)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_equal_data_give_equal_bytes(suffix, runs, tmp_path):
    import matplotlib.pyplot as plt

    data = tables("selectivity", runs)
    for number in (1, 2):
        with styled():
            figure = Entry("selectivity").module.draw(*data)
            save(figure, tmp_path / f"{number}.{suffix}")
            plt.close(figure)
    assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_draw_makes_toy_records_and_writes_provenance(tmp_path, capsys):
    place = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "pictures")]
    assert main(["draw", "decay", *place, "--json"]) == 0
    files = [row["file"] for row in json.loads(capsys.readouterr().out)]
    assert [f.rpartition(".")[2] for f in files] == ["svg", "pdf", "json"]
    source = json.loads((tmp_path / "pictures" / "decay.provenance.json").read_text(encoding="utf-8"))
    assert source["draw"] == "python -m figures draw decay"
    assert {r["made_by"] for r in source["records"]} == {"python -m toy run decay --seeds 3"}
    assert set(source["files"]) == {"decay.svg", "decay.pdf"}


def test_missing_full_scale_records_are_asked_for(tmp_path, capsys):
    place = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "pictures")]
    assert main(["draw", "digits_sparsity", *place]) == 2
    assert "python -m full_scale run digits --seeds 3" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()


def test_committed_records_stand_in_for_missing_ones_and_the_caption_says_so(tmp_path, monkeypatch, runs):
    need = Entry("digits_sparsity").needs[0]
    make(need, runs, jobs=1)
    store = Store(runs, "full_scale")
    records = [(s, seed) for s in mechanisms.records.loading.specs_of(need) for seed in need.numbers]
    bundles.add(tmp_path / "reference" / "digits.npz", [(store.manifest(*one), store.columns(*one)) for one in records])
    committed = replace(find_suite("full_scale"), reference=tmp_path / "reference")
    monkeypatch.setitem(FOUND, "full_scale", committed)
    place = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--format", "png"]
    assert main(["draw", "digits_sparsity", *place]) == 0
    source = json.loads((tmp_path / "digits_sparsity.provenance.json").read_text(encoding="utf-8"))
    assert "Drawn from the reference records" in source["caption"]
    assert not (tmp_path / "runs" / "full_scale").exists()


def test_without_names_what_lacks_records_is_left_out_with_its_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures.commands.draw, "names", lambda: ("decay", "digits_sparsity"))
    monkeypatch.setitem(FOUND, "full_scale", replace(find_suite("full_scale"), reference=None))
    place = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "pictures"), "--format", "png"]
    assert main(["draw", *place]) == 0
    assert "digits_sparsity is left out: records are missing" in (told := capsys.readouterr().err)
    assert "python -m full_scale run digits --seeds 3" in told
    assert (tmp_path / "pictures" / "decay.png").exists()
    assert not (tmp_path / "pictures" / "digits_sparsity.png").exists()


def test_run_missing_makes_them(tmp_path):
    place = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "pictures"), "--format", "png"]
    assert main(["draw", "digits_sparsity", *place, "--run-missing"]) == 0
    assert (tmp_path / "pictures" / "digits_sparsity.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["draw", "deacy"], "decay"),
        (["draw", "--format", "gif"], "svg"),
        (["draw", "decay", "--jobs", "0"], "--jobs"),
        (["draw", "decay", "--width", "3"], "5.5 to 16"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, named, refuses, tmp_path):
    refuses(lambda: main([*arguments, "--runs", str(tmp_path)]), named)


def test_pictures_that_cannot_be_written_are_one_line(tmp_path, capsys, runs):
    (tmp_path / "file").write_text("")
    place = ["--runs", str(runs), "--out", str(tmp_path / "file" / "pictures")]
    assert main(["draw", "decay", *place]) == 2
    assert "--out" in capsys.readouterr().err


def test_a_width_is_that_of_the_figure(tmp_path, runs):
    make(Entry("crossing").needs[0], runs, jobs=1)
    found = []
    for width in ("5.5", "9"):
        place = ["--runs", str(runs), "--out", str(tmp_path / width), "--format", "png", "--width", width]
        assert main(["draw", "crossing", *place]) == 0
        with Image.open(tmp_path / width / "crossing.png") as picture:
            found.append(picture.width)
    assert found[1] / found[0] == pytest.approx(9 / 5.5, rel=0.05)


def test_list_names_every_figure(capsys):
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(names())
    assert all(row["title"].endswith(".") and row["needs"] for row in rows)


def test_a_rule_is_called_by_its_label_and_one_without_by_its_name():
    assert rule_label("sgd") == "SGD, momentum 0.9"
    assert rule_label("half_descent") == "half_descent"
    assert all(rule_label(name) != name for name in choices(AbstractUpdateRule))
