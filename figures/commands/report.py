"""Write one self-contained HTML page: every verdict with its interval, every figure, specs and versions, and what is missing."""

from __future__ import annotations

import argparse
from pathlib import Path

from figures.options import add_record_arguments
from mechanisms.command_line.framework import add_json_argument, print_rows
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)")
    add_record_arguments(parser)
    parser.add_argument("--no-toy", action="store_true", help="do not make missing toy records (all: three minutes on two cores)")
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the page and prints what it holds."""
    from figures.report import Report

    report = Report(options.runs, options.jobs)
    if not options.no_toy:
        report.make(run_missing=options.run_missing)
    say("judging the hypotheses and drawing the figures")
    write_whole(options.out, report.html().encode(), "choose another file with --out FILE")
    print_rows([{"file": str(options.out), **report.counts()}], options.json)
