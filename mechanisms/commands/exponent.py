"""The verb `exponent`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import jobs_option, option, table_options
from mechanisms.measures.statistics import mean_interval
from mechanisms.records.loading import Need
from mechanisms.sweeps.making import run as run_need
from mechanisms.theory.layer import measured_penalty_exponent
from mechanisms.validation import require_whole


@verb("--seeds 5", '"rule=torch:PACKAGE.CLASS(betas=[0.9,0.99])" learning_rate=1e-3')
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@option("--seeds N", "Replicates.", 3)
@jobs_option(os.cpu_count() or 1)
@table_options
def command(overrides: tuple[str, ...], seeds: int, jobs: int, runs: Path, as_json: bool) -> None:
    """Measure the exponent of the penalty that a rule and coupling put on a product, also for an optimizer of your own.

    Makes the records of the toy experiment `exponent`, and prints a row for each rule, coupling and learning rate.
    """
    require_whole("--seeds", seeds, 1, 10**6)
    table = run_need(Need("toy", "exponent", overrides, seeds), runs, jobs)
    keys = ["spec.rule", "spec.regularizer.coupling", "spec.regularizer.strength", "spec.learning_rate"]
    print_rows([_row(key, one) for key, one in table.groupby(keys, sort=False)], as_json)


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
