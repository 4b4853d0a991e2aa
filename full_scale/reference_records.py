"""Puts compact copies of records into `full_scale/reference`, to be committed.

    python -m full_scale.reference_records --runs DIR

A copy keeps the manifest of the run it comes from, and says what was left out: the table `probes`, and the last bits of the
features.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from full_scale.kinds import spec_of
from full_scale.layer import LAYER
from mechanisms.experiments.command_line import OneLineParser, add_runs_argument, guarded, print_rows
from mechanisms.experiments.records import MANIFEST, Store, read_manifest, read_tables
from mechanisms.validation import UserError

KEPT_BITS = 11
"""Of the 23 bits of a float32's mantissa: a relative error of at most 2⁻¹² in the features; zeros stay zeros."""
LEFT_OUT = ("probes",)
ROUNDED = ("features", "measured", "moments")
"""Tables with a row for each feature."""
STORE = Store(Path(__file__).parent, "reference")


def rounded(values: np.ndarray) -> np.ndarray:
    """The float32 numbers rounded to `KEPT_BITS` bits of mantissa, which compress to half; what is not finite stays."""
    dropped = 23 - KEPT_BITS
    bits = values.astype(np.float32).view(np.uint32)
    near = ((bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(values), near, values.astype(np.float32))


def compact(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables to keep."""
    return {name: _rounded(table) if name in ROUNDED else table for name, table in tables.items() if name not in LEFT_OUT}


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: rounded(table[name].to_numpy()) for name in table.select_dtypes("float").columns})


def keep(folder: Path) -> dict[str, Any]:
    """Copies one record; a row that says what became of it."""
    manifest = read_manifest(folder)
    spec, seed = spec_of(manifest["spec"]), manifest["seed"]
    if STORE.has(spec, seed):
        return {"record": str(folder), "kept": "was there"}
    command = [Path(word).name for word in manifest["command"]]
    told = {name: value for name, value in manifest.items() if name != "tables"} | {"command": command}
    how = {"left_out": list(LEFT_OUT), "features_mantissa_bits": KEPT_BITS}
    return {
        "record": str(folder),
        "kept": str(STORE.save(spec, seed, compact(read_tables(folder, manifest)), told | {"compact": how})),
    }


def main() -> int:
    """Copies every whole record of the full-scale layer under the folder of `--runs`."""
    parser = OneLineParser(prog="python -m full_scale.reference_records", description=__doc__.partition("\n")[0])
    add_runs_argument(parser)
    options = parser.parse_args()
    return guarded(parser.prog, lambda: _keep_all(options))


def _keep_all(options: argparse.Namespace) -> None:
    found = sorted(
        path.parent for path in (options.runs / LAYER.name).glob(f"*/seed_*/{MANIFEST}") if "." not in path.parent.name
    )
    if not found:
        raise UserError(f"no records of {LAYER.name} under {options.runs}: name the folder that holds them by --runs DIR")
    print_rows([keep(folder) for folder in found], as_json=False)


if __name__ == "__main__":
    sys.exit(main())
