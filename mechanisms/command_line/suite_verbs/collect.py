"""Write a table over all records of an experiment into one file, Parquet or CSV."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.command_line.suite_verbs.common import add_experiment_arguments, seeds_of, specs_of, store_of
from mechanisms.records.suites import Layer
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".parquet", ".csv")


def add_arguments(parser: argparse.ArgumentParser, layer: Layer) -> None:
    """The options of the verb."""
    add_experiment_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write: NAME.parquet or NAME.csv")
    parser.add_argument("--table", default="features", metavar="NAME", help="which table of each record (%(default)s)")
    parser.add_argument("--partial", action="store_true", help="write what is there, where records are missing")


def run(layer: Layer, options: argparse.Namespace) -> None:
    """Writes the table: the columns of each record, "spec.FIELD" for each field of its spec, `spec_id` and `seed`."""
    from mechanisms.records.index import Index

    if options.out.suffix not in FORMATS:
        raise UserError(f"--out {options.out}: its name must end in {' or '.join(FORMATS)}")
    specs, seeds, store = specs_of(layer, options), seeds_of(options), store_of(layer, options)
    with Index(store) as index:
        table, missing = index.collect(specs, seeds, options.table)
    told = f"{len(missing)} records are missing, the first is {missing[0]}" if missing else ""
    if missing and not options.partial:
        raise UserError(f"{told}: make them with the verb run, or add --partial")
    write_whole(options.out, _content(table, options.out.suffix), "choose another with --out FILE")
    found = len(specs) * len(seeds) - len(missing)
    say(f"{options.out}: {len(table)} rows of {found} records{f'; {told}' if told else ''}")


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
