"""Answer what the marks of a page ask for, from the records at hand: tables of verdicts and of outcomes, and single numbers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import UNDECIDED, Finding, at_size, last_measured
from mechanisms.claims.measured import response_table, treated_runs
from mechanisms.claims.preregistration import AFTER
from mechanisms.measures.statistics import Estimate
from mechanisms.pages import pruning
from mechanisms.pages.evidence import Evidence, Judged
from mechanisms.records.loading import Need, specs_of, store_of
from mechanisms.records.suites import PRESETS, find_suite, resolve
from mechanisms.sweeps.making import prepare
from mechanisms.validation import InvalidValue, UserError, require, require_choice

Cells = list[str]


def markdown(rows: list[Cells]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def number_text(value: float) -> str:
    """Return a number to three significant digits."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def interval_text(found: Estimate) -> str:
    """Return a value and its 95 % interval, or how many of the replicates agree."""
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        return number_text(found.value)
    inner = found.interval if found.p is not None else f"{number_text(found.low)}, {number_text(found.high)}"
    return f"{number_text(found.value)} {inner if found.p is not None else f'[{inner}]'}"


class Answers:
    """What marks ask for, from the records under one folder and the committed ones; each table is read once."""

    def __init__(self, runs: Path) -> None:
        self.evidence = Evidence(runs)
        self.known = all_hypotheses()
        self._judged: dict[tuple[str, str, int | None], Judged] = {}
        self._summaries: dict[Need, Any] = {}

    def block(self, asked: str) -> str:
        """Return the table of `verdicts NAME… [preset=P] [seeds=N]` or `KIND EXPERIMENT [field=value …] [seeds=N]`.

        Raises:
            UserError: nothing of that name, or its records are missing.
        """
        kind, *words = shlex.split(asked) or [""]
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        if kind == "verdicts":
            return markdown(list(self._verdict_rows(names, options)))
        require_choice("records", kind, ("verdicts", *TABLES))
        require(bool(names), "records", asked, f"{kind} EXPERIMENT [field=value …] [seeds=N]")
        seeds = int(options.pop("seeds", 3))
        fields = tuple(f"{name}={value}" for name, value in options.items())
        return markdown(TABLES[kind](self, Need("full_scale", names[0], fields, seeds), names[1:]))

    def number(self, asked: str) -> str:
        """Return the text of `NAME[@PRESET][:SEEDS][#WHAT][ as STYLE]`.

        Of a hypothesis, WHAT is the number of a finding, counted from 1, and without it the answer is the verdict; of an
        experiment on interventions, WHAT is the name of a quantity; of others, ROW/COLUMN of what is printed after a run, where
        ROW is a number, counted from 1, or the values that the row has, such as "rule=adam,ratio=0.5".
        Styles are those of `STYLES`.
        """
        what, _, style = asked.partition(" as ")
        name, _, finding = what.partition("#")
        name, _, seeds = name.partition(":")
        name, _, preset = name.partition("@")
        require_choice("style", style or "value", tuple(STYLES))
        found = self._found(name, preset or PRESETS[0], int(seeds) if seeds else None, finding)
        return STYLES[style or "value"](found) if isinstance(found, Estimate) else found

    def _found(self, name: str, preset: str, seeds: int | None, what: str) -> Estimate | str:
        need = Need("full_scale", name, () if preset == PRESETS[0] else (f"preset={preset}",), seeds or 3)
        if name in EFFECTS:
            effects = last_measured(EFFECTS[name])(self.table(need))
            require_choice("quantity", what, tuple(effects))
            return effects[what]
        if name not in self.known:
            return _cell(self.summary(need), what, need.seeds)
        judged = self._judge(name, preset, seeds)
        if not what:
            return judged.verdict
        if not 0 < int(what) <= len(judged.findings):
            raise UserError(f"{name}#{what}: {name} has {len(judged.findings)} findings")
        return judged.findings[int(what) - 1].found

    def table(self, need: Need) -> Any:
        """Return the table of a need, read once."""
        self._prepare(need)
        return self.evidence.table(need)

    def summary(self, need: Need) -> Any:
        """Return what the command line prints after a run: a row a setting; made once."""
        if need not in self._summaries:
            self._prepare(need)
            summarize = resolve(find_suite(need.layer).summarize)
            self._summaries[need] = summarize(store_of(need, self.evidence.runs), specs_of(need), need.numbers)
        return self._summaries[need]

    def _judge(self, name: str, preset: str, seeds: int | None) -> Judged:
        if name not in self.known:
            raise InvalidValue(f"unknown hypothesis {name!r}: there are " + ", ".join(self.known))
        key = name, preset, seeds
        if key not in self._judged:
            hypothesis = at_size(self.known[name], preset, seeds)
            self._prepare(*hypothesis.needs)
            self._judged[key] = self.evidence.judge(hypothesis)
        return self._judged[key]

    def _prepare(self, *needs: Need) -> None:
        prepare(needs, self.evidence.runs, jobs=1, run_missing=False)

    def _verdict_rows(self, names: list[str], options: dict[str, str]) -> Iterator[Cells]:
        yield ["", "statement and findings", "expected", "found [95 % interval]", "n", "verdict"]
        for name in names:
            judged = self._judge(name, options.get("preset", PRESETS[0]), int(options["seeds"]) if "seeds" in options else None)
            one = judged.hypothesis
            made = judged.made
            told = [part for part in (one.explanation, "" if made == AFTER else made) if part]
            after = f", {AFTER}" if made.startswith(AFTER) else ""
            why = f" ({judged.why})" if judged.verdict == UNDECIDED and judged.why else ""
            statement = f"**{one.statement}** ({'; '.join(told)})" if told else f"**{one.statement}**"
            yield [f"**{name}**", statement, "", "", "", f"**{judged.verdict}**{after}{why}"]
            yield from (_finding_row(finding) for finding in judged.findings)


def _cell(table: Any, what: str, seeds: int) -> Estimate:
    """One number of a summary, with its interval where that is in columns `NAME_low` and `NAME_high`, or `low` and `high`."""
    row, _, column = what.rpartition("/")
    require_choice("column", column, tuple(map(str, table)))
    if "=" in row:
        for name, value in (pair.split("=", 1) for pair in row.split(",")):
            require_choice("column", name, tuple(map(str, table)))
            table = table[table[name].map(lambda cell: f"{cell:g}" if isinstance(cell, float) else str(cell)) == value]
        require(len(table) == 1, "row", row, f"values of one row (there are {len(table)})")
    chosen = table.iloc[0 if "=" in row else int(row) - 1]
    ends = f"{column}_low" if f"{column}_low" in table else "low"
    low, high = (chosen[ends], chosen[ends.replace("low", "high")]) if ends in table else (-math.inf, math.inf)
    return Estimate(float(chosen[column]), float(low), float(high), seeds)


def _finding_row(finding: Finding) -> Cells:
    return ["", finding.quantity, finding.expected, interval_text(finding.found), str(finding.found.n), finding.verdict]


def _outcomes(answers: Answers, need: Need, _: list[str]) -> list[Cells]:
    """Rule, coupling, strength and whatever else tells settings apart, with shares of dead filters and errors."""
    table = answers.summary(need)
    first = list(table).index("seeds")
    own = [name for name in list(table)[:first] if name in ("rule", "coupling", "strength") or table[name].nunique() > 1]
    head = [*(name.rpartition(".")[2].replace("_", " ") for name in own), "dead by activation (min–max)"]
    causes = [name for name in table if str(name).startswith("died_by_")]
    told = [f"of {' / '.join(str(name).removeprefix('died_by_').replace('_', ' ') for name in causes)}, %"] if causes else []
    rows = [[*head, *told, "by scale", "test error", "training loss", "decay budget"]]
    for _, row in table.iterrows():
        spread = f"{row['sparsity_min']:.3f}–{row['sparsity_max']:.3f}"
        rows.append(
            [
                *(f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in own),
                f"{row['sparsity_by_activation']:.3f} ({spread})",
                *([" / ".join("–" if math.isnan(row[name]) else f"{100 * row[name]:.0f}" for name in causes)] if causes else []),
                f"{row['sparsity_by_scale']:.3f}",
                f"{row['test_error']:.1%}".replace("%", " %"),
                number_text(row["train_loss"]),
                number_text(row["decay_budget"]),
            ]
        )
    return rows


def _effects(answers: Answers, need: Need, containing: list[str]) -> list[Cells]:
    """What an intervention changed, of all quantities those that contain the words."""
    require_choice("experiment", need.experiment, tuple(EFFECTS))
    found = last_measured(EFFECTS[need.experiment])(answers.table(need))
    chosen = {name: one for name, one in found.items() if all(word in name for word in containing)}
    head = ["change of the dead share", "found [95 % interval]", "n"]
    return [head, *([name, interval_text(one), str(one.n)] for name, one in chosen.items())]


def _responses(answers: Answers, need: Need, others: list[str]) -> list[Cells]:
    """What the layer and networks answered to the same changes, and at the end how well they agree."""
    pairs, tables = {pair.network: pair for pair in response_table.PAIRS}, {}
    for name in (need.experiment, *others):
        require_choice("experiment", name, tuple(pairs))
        layer, networks = (answers.table(asked) for asked in pairs[name].needs())
        tables[name] = (layer, networks)
    found = response_table.answers(tables)
    rows = [["experiment", "change", "layer [95 % interval]", "networks [95 % interval]"]]
    rows += [[f"`{one.kind}`", one.change, interval_text(one.layer), interval_text(one.network)] for one in found]
    scored = response_table.agreement(found)
    return rows + [["", f"**{name}**", "", f"{interval_text(one)} of {one.n}"] for name, one in scored.items()]


EFFECTS: dict[str, Callable[[Any], dict[str, Estimate]]] = {
    "rescale": treated_runs.rescale_effects,
    "gate": treated_runs.gate_effects,
    "factors": treated_runs.factor_effects,
}
"""Experiment on interventions → its quantities."""
TABLES: dict[str, Callable[[Answers, Need, list[str]], list[Cells]]] = {
    "outcomes": _outcomes,
    "effects": _effects,
    "responses": _responses,
    "heuristics": lambda answers, need, _: pruning.heuristics(answers.table(replace(need, table="pruned"))),
    "equal-parameters": lambda answers, need, _: pruning.equal_parameters(answers.table(replace(need, table="pruned"))),
}
"""What a block can hold besides verdicts → its rows."""


def _scaled(found: Estimate, unit: str) -> str:
    low, high = 100 * found.low, 100 * found.high
    middle = f"{abs(100 * found.value):.0f}{unit}"
    if found.p is not None or not math.isfinite(low) or not math.isfinite(high):
        return middle
    ends = sorted((abs(low), abs(high))) if low * high > 0 else [low, high]
    return f"{middle} [{ends[0]:.0f}, {ends[1]:.0f}]"


STYLES: dict[str, Callable[[Estimate], str]] = {
    "value": interval_text,
    "bare": lambda found: number_text(found.value),
    "signed": lambda found: f"{found.value:+.2f}".replace("-", "−"),
    "share": lambda found: f"{100 * found.value:.0f} %",
    "error": lambda found: pruning.error_text(found.value, found.low, found.high),
    "points": lambda found: _scaled(found, " points"),
    "percent": lambda found: _scaled(found, " %"),
}
"""How a number can be written: with its interval, as a value, as points or per cent of a share; or alone."""
