"""Puts compact copies of records into the bundles of `full_scale/reference`, to be committed.

    python -m full_scale.reference_records EXPERIMENT [field=value …] --seeds N --runs DIR [--last-step] [--columns NAME …]

An experiment at a preset has one bundle, to which records are added; other bundles stay as they are. A copy keeps the manifest
of the run it comes from, and says what was left out: the table `probes`, the last bits of the features, columns that no figure
and no verdict reads, and if asked for all steps of the features but the last and all their columns but the named ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from full_scale.run_types import spec_of
from full_scale.suite import LAYER
from mechanisms.command_line.framework import Words, call, print_rows, verb
from mechanisms.command_line.options import Chosen, experiment_options, option, runs_option
from mechanisms.records import bundles
from mechanisms.records.columns import COLUMNS, check, to_array
from mechanisms.records.specs import parse_override, spec_id
from mechanisms.records.store import read_manifest, read_tables
from mechanisms.records.suites import PRESETS
from mechanisms.validation import UserError

KEPT_BITS = 11
"""Of the 23 bits of a float32's mantissa: a relative error of at most 2⁻¹² in the features; zeros stay zeros."""
LEFT_OUT = ("probes",)
KEYS = ("step", "layer", "feature", "treated")
ROUNDED = ("features", "measured", "moments")
"""Tables with a row for each feature."""
UNREAD = {
    "features": ("product", "mean_activation", "batch_activity", "zero_share", "selectivity_1e-2", "selectivity_1e-1"),
    "measured": ("activity", "batch_activity", "selectivity_1e-2", "loss_force", "reg_force"),
    "moments": ("activity", "batch_activity", "selectivity_1e-2", "loss_force", "reg_force"),
}
"""Columns that no figure and no verdict reads: left out, but for columns of the features that are asked for by name."""
REFERENCE = Path(__file__).parent / "reference"
PROGRAM = "python -m full_scale.reference_records"


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
            "columns_left_out": {name: list(columns) for name, columns in UNREAD.items()},
        }

    def tables(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """The tables to keep."""
        kept = {name: table for name, table in tables.items() if name not in LEFT_OUT}
        if "features" in kept:
            kept["features"] = self._chosen(kept["features"])
        kept = {name: table[[c for c in table if c not in self._unread(name)]] for name, table in kept.items()}
        return {name: _rounded(table) if name in ROUNDED else table for name, table in kept.items()}

    def _unread(self, table: str) -> set[str]:
        return set(UNREAD.get(table, ())) - set(self.columns if table == "features" else ())

    def _chosen(self, features: pd.DataFrame) -> pd.DataFrame:
        if self.last_step:
            features = features[features["step"] == features["step"].max()].reset_index(drop=True)
        return features[[name for name in features if name in (*KEYS, *self.columns)]] if self.columns else features


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: rounded(table[name].to_numpy()) for name in table.select_dtypes("float").columns})


def keep(folders: Sequence[Path], bundle: str, compact: Compact = Compact()) -> list[dict[str, Any]]:
    """Copies records that are in no bundle into the one of this name; a row each that says what became of it."""
    path, there = REFERENCE / f"{bundle}{bundles.SUFFIX}", set(bundles.keys(REFERENCE))
    manifests = {folder: read_manifest(folder) for folder in folders}
    new = [folder for folder in folders if _key(manifests[folder]) not in there]
    if new:
        bundles.add(path, [_copy(folder, manifests[folder], compact) for folder in new])
    return [{"record": str(folder), "kept": str(path) if folder in new else "was there"} for folder in folders]


def _key(manifest: dict[str, Any]) -> bundles.Key:
    return spec_id(spec_of(manifest["spec"])), manifest["seed"]


def _copy(folder: Path, manifest: dict[str, Any], compact: Compact) -> tuple[dict[str, Any], dict[str, bundles.Columns]]:
    tables = compact.tables(read_tables(folder, manifest))
    for name, table in tables.items():
        check(table, name)
    told = manifest | {"command": [Path(word).name for word in manifest["command"]], "compact": compact.told()}
    return told, {name: {str(c): to_array(table[c]) for c in table} for name, table in tables.items()}


def bundle_of(experiment: str, overrides: Iterable[str]) -> str:
    """The name of the bundle of an experiment at its preset, which `demo` is where none is named."""
    preset = dict(parse_override(text) for text in overrides).get("preset", PRESETS[0])
    return experiment if preset == PRESETS[0] else f"{experiment}-{preset}"


@verb("digits --seeds 3 --runs runs", "table1 preset=short --seeds 3 --last-step --columns scale shift", name=PROGRAM)
@experiment_options
@option("--last-step", "Of the features only the last step.")
@option("--columns NAME...", "Of the features only these.", cls=Words, type=click.Choice(tuple(COLUMNS)))
@runs_option
def command(chosen: Chosen, last_step: bool, columns: tuple[str, ...], runs: Path) -> None:
    """Copy the records of an experiment that are there."""
    store = chosen.store(runs, reference=False)
    there = [store.folder(spec, seed) for spec in chosen.specs for seed in chosen.seeds if store.has(spec, seed)]
    if not there:
        raise UserError(f"no records of {chosen.experiment} under {runs}: name the folder that holds them by --runs DIR")
    print_rows(keep(there, bundle_of(chosen.experiment, chosen.overrides), Compact(last_step, columns)), as_json=False)


if __name__ == "__main__":
    sys.exit(call(command, obj=LAYER))
