"""The verb `preregister`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from mechanisms.claims import all_hypotheses
from mechanisms.claims.hypothesis import at_size
from mechanisms.claims.preregistration import FOLDER, write
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import option, preset_option, table_options
from mechanisms.records.loading import Need
from mechanisms.validation import InvalidValue, require_whole


@verb("rescale", "gate --preset paper --seeds 10")
@click.argument("name")
@preset_option
@option("--seeds N", "Replicates (default: as many as the hypotheses ask for).", type=int)
@option("--out DIR", f"Folder of the file (default: RUNS/{FOLDER}).", type=Path)
@table_options
def command(name: str, preset: str, seeds: int | None, out: Path | None, runs: Path, as_json: bool) -> None:
    """Write down what the hypotheses predict for an experiment, before it is run.

    NAME is an experiment that hypotheses make predictions for. Prints a row for each prediction.
    """
    if seeds is not None:
        require_whole("--seeds", seeds, 1)
    predicting = [one for one in all_hypotheses().values() if one.predictions]
    found = [at_size(one, preset, seeds) for one in predicting if one.needs[0].experiment == name]
    if not found:
        names = sorted({one.needs[0].experiment for one in predicting})
        raise InvalidValue(f"no hypothesis predicts {name!r}: there are predictions for " + ", ".join(names))
    need: Need = replace(found[0].needs[0], table="features")
    path = write(need, found, runs, out or runs / FOLDER)
    rows = [
        {"hypothesis": one.name, "explanation": one.explanation, "quantity": p.quantity, "expected": p.expected}
        for one in found
        for p in one.predictions
    ]
    print_rows(rows if as_json else [*rows, dict.fromkeys(rows[0], "") | {"quantity": f"written to {path}"}], as_json)
