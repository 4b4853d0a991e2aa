"""The verb `verdict`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import UNDECIDED, Finding, Hypothesis, overall
from mechanisms.claims.preregistration import status
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option, names_and_overrides, option, preset_option, record_options
from mechanisms.records.context import HERE, RunContext
from mechanisms.records.loading import load, missing, standing_in
from mechanisms.records.store import Store
from mechanisms.records.suites import PRESETS, find_suite, suite_names
from mechanisms.sweeps.making import make
from mechanisms.system.progress import say
from mechanisms.validation import require_whole, unknown


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
    rows = []
    for hypothesis in hypotheses:
        head, *findings = judged(hypothesis, **records)
        rows += [head, *findings]
        if not as_json:
            print(f"{head['hypothesis']}  {head['verdict'].upper()}  {head['why'] or head['made']}")
            print_rows([_short(finding) for finding in findings], as_json=False)
    if as_json:
        print_rows(rows, as_json)


def chosen(names: Sequence[str], layer: str | None) -> list[Hypothesis]:
    """The hypotheses of these names and this layer, all where nothing is named."""
    known = all_hypotheses()
    strange = [name for name in names if name not in known]
    if strange:
        raise unknown("hypothesis", strange[0], known)
    return [h for name, h in known.items() if (not names or name in names) and layer in (None, h.layer)]


def at_size(hypothesis: Hypothesis, preset: str, seeds: int | None = None) -> Hypothesis:
    """The hypothesis about experiments of another size and on other replicates; those of the toy layer have one size."""
    if find_suite(hypothesis.layer).quick:
        return hypothesis
    size = () if preset == PRESETS[0] else (f"preset={preset}",)
    needs = (replace(need, overrides=(*size, *need.overrides), seeds=seeds or need.seeds) for need in hypothesis.needs)
    return replace(hypothesis, needs=tuple(needs))


def with_settings(hypothesis: Hypothesis, overrides: tuple[str, ...]) -> Hypothesis:
    """The hypothesis about the same experiments with settings changed."""
    needs = (replace(need, overrides=(*need.overrides, *overrides)) for need in hypothesis.needs)
    return replace(hypothesis, needs=tuple(needs))


def judged(hypothesis: Hypothesis, runs: Path, **making: Any) -> list[dict[str, Any]]:
    """One row for the verdict of a hypothesis and one for each of its findings."""
    say(f"{hypothesis.name}: {hypothesis.statement}")
    findings, verdict, why = judge(hypothesis, runs, **making)
    head = {
        "hypothesis": hypothesis.name,
        "verdict": verdict,
        "why": why,
        "statement": hypothesis.statement,
        "source": hypothesis.source,
        "made": status(hypothesis, runs) if findings else "",
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
        "why": finding.why,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a finding that fit on a screen."""
    return {name: row[name] for name in ("verdict", "quantity", "expected", "found")} | {
        "95 % interval": row["interval"],
        "n": row["n"],
    }
