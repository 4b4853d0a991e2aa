"""The verb `collect`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.command_line.framework import verb
from mechanisms.command_line.options import Chosen, experiment_options, option, table_options
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".parquet", ".csv")


@verb("EXPERIMENT --out all.csv", "EXPERIMENT steps=100 --seeds 1 --out all.parquet --partial")
@experiment_options
@option("--out FILE", "File to write: NAME.parquet or NAME.csv.", type=Path, required=True)
@option("--table NAME", "Which table of each record.", "features")
@option("--partial", "Write what is there, where records are missing.")
@table_options
def command(chosen: Chosen, out: Path, table: str, partial: bool, runs: Path, as_json: bool) -> None:
    """Write a table over all records of an experiment into one file, Parquet or CSV.

    It has the columns of each record, "spec.FIELD" for each field of its spec, spec_id and seed.
    """
    from mechanisms.records.index import Index

    if out.suffix not in FORMATS:
        raise UserError(f"--out {out}: its name must end in {' or '.join(FORMATS)}")
    with Index(chosen.store(runs)) as index:
        found, missing = index.collect(chosen.specs, chosen.seeds, table)
    told = f"{len(missing)} records are missing, the first is {missing[0]}" if missing else ""
    if missing and not partial:
        raise UserError(f"{told}: make them with the verb run, or add --partial")
    write_whole(out, _content(found, out.suffix), "choose another with --out FILE")
    records = len(chosen.specs) * len(chosen.seeds) - len(missing)
    say(f"{out}: {len(found)} rows of {records} records{f'; {told}' if told else ''}")


def _content(table: pd.DataFrame, suffix: str) -> bytes:
    content = io.BytesIO()
    if suffix == ".csv":
        table.to_csv(content, index=False)
        return content.getvalue()
    try:
        table.to_parquet(content, index=False)
    except ImportError:
        raise UserError(
            "Parquet needs pyarrow: pip install 'implicit-filter-sparsity[parquet]', or write NAME.csv instead"
        ) from None
    return content.getvalue()
