"""Puts compact copies of records into `full_scale/reference`, to be committed.

    python -m full_scale.reference_records EXPERIMENT [field=value …] --seeds N --runs DIR [--last-step] [--columns NAME …]

A copy keeps the manifest of the run it comes from, and says what was left out: the table `probes`, the last bits of the features,
and if asked for all steps of the features but the last and all their columns but the named ones.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from full_scale.run_types import spec_of
from full_scale.suite import LAYER
from mechanisms.command_line.framework import Words, call, print_rows, verb
from mechanisms.command_line.options import Chosen, experiment_options, runs_option
from mechanisms.records.columns import COLUMNS
from mechanisms.records.store import Store, read_manifest, read_tables
from mechanisms.validation import UserError

KEPT_BITS = 11
"""Of the 23 bits of a float32's mantissa: a relative error of at most 2⁻¹² in the features; zeros stay zeros."""
LEFT_OUT = ("probes",)
KEYS = ("step", "layer", "feature", "treated")
ROUNDED = ("features", "measured", "moments")
"""Tables with a row for each feature."""
STORE = Store(Path(__file__).parent, "reference")


def rounded(values: np.ndarray) -> np.ndarray:
    """The float32 numbers rounded to `KEPT_BITS` bits of mantissa, which compress to half; what is not finite stays."""
    dropped = 23 - KEPT_BITS
    bits = values.astype(np.float32).view(np.uint32)
    near = ((bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(values), near, values.astype(np.float32))


@dataclass(frozen=True)
class Compact:
    """What a copy keeps of the features: all or only the last step, all or only the named columns besides the keys."""

    last_step: bool = False
    columns: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """What the manifest of a copy says."""
        return {
            "left_out": list(LEFT_OUT),
            "features_mantissa_bits": KEPT_BITS,
            "features_steps": "last" if self.last_step else "all",
            "features_columns": list(self.columns) or "all",
        }

    def tables(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """The tables to keep."""
        kept = {name: table for name, table in tables.items() if name not in LEFT_OUT}
        if "features" in kept:
            kept["features"] = self._chosen(kept["features"])
        return {name: _rounded(table) if name in ROUNDED else table for name, table in kept.items()}

    def _chosen(self, features: pd.DataFrame) -> pd.DataFrame:
        if self.last_step:
            features = features[features["step"] == features["step"].max()].reset_index(drop=True)
        return features[[name for name in features if name in (*KEYS, *self.columns)]] if self.columns else features


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: rounded(table[name].to_numpy()) for name in table.select_dtypes("float").columns})


def keep(folder: Path, compact: Compact = Compact()) -> dict[str, Any]:
    """Copies one record; a row that says what became of it."""
    manifest = read_manifest(folder)
    spec, seed = spec_of(manifest["spec"]), manifest["seed"]
    if STORE.has(spec, seed):
        return {"record": str(folder), "kept": "was there"}
    command = [Path(word).name for word in manifest["command"]]
    told = {name: value for name, value in manifest.items() if name != "tables"} | {"command": command}
    tables = compact.tables(read_tables(folder, manifest))
    return {"record": str(folder), "kept": str(STORE.save(spec, seed, tables, told | {"compact": compact.told()}))}


@verb("digits --seeds 3 --runs runs", "table1 preset=short --seeds 3 --last-step --columns scale shift")
@experiment_options
@click.option("--last-step", is_flag=True, help="Of the features only the last step.")
@click.option("--columns", cls=Words, type=click.Choice(tuple(COLUMNS)), metavar="NAME...", help="Of the features only these.")
@runs_option
def command(chosen: Chosen, last_step: bool, columns: tuple[str, ...], runs: Path) -> None:
    """Copy the records of an experiment that are there."""
    store = chosen.store(runs, reference=False)
    there = [store.folder(spec, seed) for spec in chosen.specs for seed in chosen.seeds if store.has(spec, seed)]
    if not there:
        raise UserError(f"no records of {chosen.experiment} under {runs}: name the folder that holds them by --runs DIR")
    print_rows([keep(folder, Compact(last_step, columns)) for folder in there], as_json=False)


if __name__ == "__main__":
    sys.exit(call(command, "python -m full_scale.reference_records", obj=LAYER))
