"""Write down what the hypotheses predict for an experiment, before it is run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mechanisms.claims import all_hypotheses
from mechanisms.claims.preregistration import FOLDER, write
from mechanisms.command_line.framework import add_json_argument, add_runs_argument, print_rows
from mechanisms.commands.verdict import at_size
from mechanisms.records.loading import Need
from mechanisms.records.suites import PRESETS
from mechanisms.validation import InvalidValue, require_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="an experiment that hypotheses make predictions for, such as rescale")
    parser.add_argument("--preset", choices=PRESETS, default=PRESETS[0], help="size of the experiment (%(default)s)")
    parser.add_argument("--seeds", type=int, help="replicates (as many as the hypotheses ask for)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder of the file (RUNS/{FOLDER})")
    add_runs_argument(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the file and prints a row for each prediction."""
    if options.seeds is not None:
        require_whole("--seeds", options.seeds, 1)
    predicting = [one for one in all_hypotheses().values() if one.predictions]
    found = [at_size(one, options.preset, options.seeds) for one in predicting if one.needs[0].experiment == options.name]
    if not found:
        names = sorted({one.needs[0].experiment for one in predicting})
        raise InvalidValue(f"no hypothesis predicts {options.name!r}: there are predictions for " + ", ".join(names))
    need: Need = replace(found[0].needs[0], table="features")
    path = write(need, found, options.runs, options.out or options.runs / FOLDER)
    rows = [
        {"hypothesis": one.name, "explanation": one.explanation, "quantity": p.quantity, "expected": p.expected}
        for one in found
        for p in one.predictions
    ]
    print_rows(rows if options.json else [*rows, dict.fromkeys(rows[0], "") | {"quantity": f"written to {path}"}], options.json)
