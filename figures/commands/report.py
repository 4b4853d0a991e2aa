"""The verb `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option, option, record_options
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say


@verb("", "--no-toy --out here.html")
@option("--out FILE", "File to write.", Path("report.html"))
@record_options()
@option("--no-toy", "Do not make missing toy records (all: three minutes on two cores).")
@json_option
def command(out: Path, runs: Path, run_missing: bool, no_toy: bool, as_json: bool, **making: Any) -> None:
    """Write one self-contained HTML page: every verdict with its interval, every figure, and what is missing."""
    from figures.report import Report

    report = Report(runs, **making)
    if not no_toy:
        report.make(run_missing=run_missing)
    say("judging the hypotheses and drawing the figures")
    write_whole(out, report.html().encode(), "choose another file with --out FILE")
    print_rows([{"file": str(out), **report.counts()}], as_json)
