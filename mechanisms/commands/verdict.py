"""The verb `verdict`."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Finding,
    Hypothesis,
    adjusted,
    at_size,
    overall,
    with_settings,
)
from mechanisms.claims.network_runs import named, not_trained
from mechanisms.claims.preregistration import AFTER, status
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option, names_and_overrides, option, preset_option, record_options
from mechanisms.measures.sparsity import CAUSES, died_of
from mechanisms.records.loading import Need, load, missing, standing_in
from mechanisms.records.store import Store
from mechanisms.records.suites import find_suite, suite_names
from mechanisms.sweeps.making import make
from mechanisms.system.context import HERE, RunContext
from mechanisms.system.progress import say
from mechanisms.validation import UserError, require_whole, unknown

ERROR_RATE = 0.05
MOST_TOLD = 4
"""Settings up to which the table says what filters died of; JSON says it of all."""
NAMED = 2
"""How many failed trainings the table names; JSON names all."""


@verb("P2 H1", "H1 regularizer.strength=1e-3 --run-missing", "--layer toy --json")
@click.argument("words", nargs=-1, metavar="[NAME | FIELD=VALUE]...")
@option("--layer", "Only those of one suite.", type=click.Choice(suite_names()))
@preset_option
@option("--seeds N", "Replicates of the networks (default: as many as each hypothesis asks for).", type=int)
@record_options(os.cpu_count() or 1)
@json_option
def command(words: tuple[str, ...], layer: str | None, preset: str, seeds: int | None, as_json: bool, **records: Any) -> None:
    """Judge hypotheses by the records of both suites: supported, refuted or undecided, and why.

    NAME is a hypothesis, such as P2 (default: all); FIELD=VALUE changes a setting, as in `run`.
    """
    if seeds is not None:
        require_whole("--seeds", seeds, 1)
    Store(records["runs"], "toy").require_writable()
    names, overrides = names_and_overrides(words, "hypotheses to judge", "H1")
    at = [at_size(hypothesis, preset, seeds) for hypothesis in chosen(names, layer)]
    hypotheses = [with_settings(hypothesis, overrides) for hypothesis in at]
    rows = _with_adjusted([row for hypothesis in hypotheses for row in judged(hypothesis, **records)])
    say(_counted(rows))
    if as_json:
        print_rows(rows, as_json)
        return
    for _, (head, *findings) in itertools.groupby(rows, key=lambda row: row["hypothesis"]):
        print(*_head(head), sep="\n")
        print_rows([_short(finding) for finding in findings], as_json=False)


def _head(row: dict[str, Any]) -> Iterator[str]:
    """What a person sees of a hypothesis: its verdict, and what the filters of its settings died of, where these are few."""
    verdict = str(row["verdict"]).upper() + (f", {row['made']}" if row["made"] else "")
    yield "  ".join(text for text in (row["hypothesis"], verdict, row["why"], _told(row["not_trained"])) if text)
    for name, shares in row["died_of"].items() if len(row["died_of"]) <= MOST_TOLD else ():
        yield f"died of, {name}: " + ", ".join(f"{cause} {share:.1%}" for cause, share in shares.items())


def _with_adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with `p_holm`, the p of their findings adjusted for the number of findings that are printed together."""
    numbers = iter(adjusted([row["p"] for row in rows if "quantity" in row]))
    return [row | {"p_holm": next(numbers)} if "quantity" in row else row for row in rows]


def _counted(rows: list[dict[str, Any]]) -> str:
    """How many findings there are of each verdict, and how many of these are left when their number is allowed for."""
    found = [row for row in rows if "quantity" in row]
    parts = []
    for verdict in (SUPPORTED, REFUTED):
        own = [row for row in found if row["verdict"] == verdict]
        left = sum(row["p_holm"] is None or row["p_holm"] < ERROR_RATE for row in own)
        parts.append(f"{len(own)} {verdict}, {left} of them after Holm's correction")
    return f"{len(found)} findings: " + "; ".join(parts)


def chosen(names: Sequence[str], layer: str | None) -> list[Hypothesis]:
    """The hypotheses of these names and this layer, all where nothing is named."""
    known = all_hypotheses()
    strange = [name for name in names if name not in known]
    if strange:
        raise unknown("hypothesis", strange[0], known)
    return [h for name, h in known.items() if (not names or name in names) and layer in (None, h.layer)]


def judged(hypothesis: Hypothesis, runs: Path, **making: Any) -> list[dict[str, Any]]:
    """One row for the verdict of a hypothesis and one for each of its findings."""
    say(f"{hypothesis.name}: {hypothesis.statement}")
    findings, verdict, why = judge(hypothesis, runs, **making)
    quick = find_suite(hypothesis.layer).quick
    made = status(hypothesis, runs) if findings else ""
    failed = [name for need in hypothesis.needs[:1] if findings and not quick for name in _not_trained(need, runs)]
    features = next((need for need in hypothesis.needs if need.table == "features" and findings and not quick), None)
    deaths = {} if features is None else _died_of(features, runs)
    head = {
        "hypothesis": hypothesis.name,
        "verdict": verdict,
        "why": why,
        "statement": hypothesis.statement,
        "source": hypothesis.source,
        "made": made,
        "after_the_fact": made.startswith(AFTER),
        "not_trained": failed,
        "died_of": deaths,
        "refuted_if": hypothesis.refuted_if,
        "records": [need.command for need in hypothesis.needs],
    }
    return [head, *({"hypothesis": hypothesis.name, **_row(finding)} for finding in findings)]


def judge(
    hypothesis: Hypothesis, runs: Path, jobs: int, run_missing: bool, context: RunContext = HERE
) -> tuple[tuple[Finding, ...], str, str]:
    """(findings, verdict, why) of a hypothesis; undecided, with the command, where full-scale records are missing."""
    lacking = [need for need in hypothesis.needs if missing(need, runs)]
    if lacking and not run_missing and not find_suite(hypothesis.layer).quick:
        return (), UNDECIDED, f"records are missing: {lacking[0].command}"
    for need in hypothesis.needs:
        make(need, runs, jobs, context)
    for line in standing_in(hypothesis.needs, runs):
        say(line)
    tables = [load(need, runs) for need in hypothesis.needs]
    findings = hypothesis.judge(*tables)
    return findings, *overall(findings)


@functools.cache
def _died_of(need: Need, runs: Path) -> dict[str, dict[str, float]]:
    """Setting → the mean shares of filters that died of each cause; empty where that was not recorded."""
    table = load(need, runs)
    if "max_activation" not in table:
        return {}
    ends = died_of(table[table["step"] == table["spec.steps"]])
    shares = ends.groupby(named(ends), sort=False)[list(CAUSES)].mean().round(4)
    return {str(name): {cause: float(row[cause]) for cause in CAUSES} for name, row in shares.iterrows()}


@functools.cache
def _not_trained(need: Need, runs: Path) -> tuple[str, ...]:
    """The trainings of a need that learned next to nothing; none where its records have no curve."""
    try:
        return tuple(not_trained(load(replace(need, table="curve"), runs)))
    except (UserError, KeyError):
        return ()


def _row(finding: Finding) -> dict[str, Any]:
    found = finding.found
    return {
        "verdict": finding.verdict,
        "quantity": finding.quantity,
        "expected": finding.expected,
        "found": found.value,
        "low": found.low if abs(found.low) < 1e300 else None,
        "high": found.high if abs(found.high) < 1e300 else None,
        "n": found.n,
        "interval": found.interval,
        "p": finding.p,
        "why": finding.why,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a finding that fit on a screen."""
    shown = {name: row[name] for name in ("verdict", "quantity", "expected", "found")}
    return shown | {"95 % interval": row["interval"], "n": row["n"], "p (Holm)": row["p_holm"]}


def _told(failed: list[str]) -> str:
    more = " …" if len(failed) > NAMED else ""
    return f"{len(failed)} trainings failed: {'; '.join(failed[:NAMED])}{more}" if failed else ""
