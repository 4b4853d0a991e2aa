"""Measure the exponent of the penalty that a rule and coupling put on a product, also for an optimizer of your own."""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import pandas as pd

from mechanisms.command_line.framework import add_json_argument, add_runs_argument, print_rows
from mechanisms.measures.statistics import mean_interval
from mechanisms.records.loading import Need
from mechanisms.sweeps.making import run as run_need
from mechanisms.theory.layer import measured_penalty_exponent
from mechanisms.validation import require_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument(
        "overrides", nargs="*", metavar="field=value", help='such as "rule=torch:PACKAGE.CLASS(betas=[0.9,0.99])"'
    )
    parser.add_argument("--seeds", type=int, default=3, help="replicates (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for making records (%(default)s)")
    add_runs_argument(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Makes the records of `python -m toy run exponent` and prints one row for each rule, coupling and learning rate."""
    require_whole("--seeds", options.seeds, 1, 10**6)
    need = Need("toy", "exponent", tuple(options.overrides), options.seeds)
    table = run_need(need, options.runs, options.jobs)
    keys = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength", "spec.learning_rate"]
    print_rows([_row(key, one) for key, one in table.groupby(keys, sort=False)], options.json)


def _row(key: Any, table: pd.DataFrame) -> dict[str, Any]:
    row = dict(zip(("rule", "coupling", "strength", "learning_rate"), key, strict=True))
    try:
        found = [measured_penalty_exponent(s["spec.gradient.target"], s["product_mean"])[0] for _, s in table.groupby("seed")]
    except ValueError as error:
        return row | {"exponent": None, "note": str(error)}
    estimate = mean_interval(found)
    bounds = {name: v if np.isfinite(v) else None for name, v in (("low", estimate.low), ("high", estimate.high))}
    note = "1: soft threshold, exact death; 3/2: no threshold"
    return row | {"exponent": estimate.value, **bounds, "seeds": estimate.n, "note": note}
