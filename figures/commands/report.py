"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

import click

from figures.options import record_options
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say


@verb("", "--no-toy --out here.html")
@click.option("--out", type=Path, default=Path("report.html"), show_default=True, metavar="FILE", help="File to write.")
@record_options
@click.option("--no-toy", is_flag=True, help="Do not make missing toy records (all: three minutes on two cores).")
@json_option
def command(out: Path, runs: Path, jobs: int, run_missing: bool, no_toy: bool, as_json: bool) -> None:
    """Write one self-contained HTML page: every verdict with its interval, every figure, and what is missing."""
    from figures.report import Report

    report = Report(runs, jobs)
    if not no_toy:
        report.make(run_missing=run_missing)
    say("judging the hypotheses and drawing the figures")
    write_whole(out, report.html().encode(), "choose another file with --out FILE")
    print_rows([{"file": str(out), **report.counts()}], as_json)
