"""Records of another layer by experiment name: found, made and read through its command line, so that no layer is imported."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechanisms.records.specs import flatten_json
from mechanisms.records.store import read_manifest, read_tables, spec_columns
from mechanisms.system.progress import say
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd


RUN_FIELDS = ("effective_steps",)
"""What a manifest says of a run that becomes a column of its tables, besides the spec."""


@dataclass(frozen=True)
class Need:
    """One table of one experiment of a layer, by name: what a hypothesis or a figure asks for."""

    layer: str
    experiment: str
    overrides: tuple[str, ...] = ()
    seeds: int = 3
    table: str = "features"

    @property
    def command(self) -> str:
        """The command that makes the records."""
        return shlex.join(["python", *self.words])

    @property
    def words(self) -> list[str]:
        """The words of the command, behind the interpreter."""
        return ["-m", self.layer, "run", self.experiment, *self.overrides, "--seeds", str(self.seeds)]


class MissingRecords(UserError):
    """Records that a hypothesis needs and that are not there; the text is the command that makes them."""


def folders(need: Need, runs: Path) -> list[Path]:
    """The folder of every record of a need, there or not; a committed reference record stands in for a missing one."""
    words = ["show", need.experiment, *need.overrides, "--seeds", str(need.seeds), "--json", "--runs", str(runs)]
    command = [sys.executable, "-m", need.layer, *words]
    shown = subprocess.run(command, capture_output=True, text=True)
    if shown.returncode:
        raise UserError(shown.stderr.strip().rpartition("\n")[2])
    return [Path(folder) for row in json.loads(shown.stdout) for folder in row["folders"]]


def make(need: Need, runs: Path, jobs: int) -> None:
    """Makes the missing records of a need by its command; its progress goes to standard error."""
    done = subprocess.run([sys.executable, *need.words, "--jobs", str(jobs), "--runs", str(runs)], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(f"{need.command} ended with status {done.returncode}")


def load(need: Need, runs: Path, *, jobs: int, run_missing: bool) -> pd.DataFrame:
    """The table of a need over all specs and seeds, with the spec spread into columns; raises `MissingRecords`.

    Where committed records stand in for missing ones, a line on standard error says so.
    """
    import pandas as pd

    found = folders(need, runs)
    if not all((folder / "manifest.json").is_file() for folder in found):
        if not run_missing:
            raise MissingRecords(need.command)
        make(need, runs, jobs)
        found = folders(need, runs)
    committed = sum(runs.absolute() not in folder.absolute().parents for folder in found)
    if committed:
        say(f"{need.command}: {committed} of {len(found)} records are those that come with the package")
    return pd.concat([read_table(folder, need.table) for folder in found], ignore_index=True)


def read_table(folder: Path, table: str) -> pd.DataFrame:
    """One table of the record in a folder, with the seed, the spec and what the manifest says of the run spread into columns."""
    manifest = read_manifest(folder)
    part = read_tables(folder, manifest)[table]
    fields = spec_columns(flatten_json(manifest["spec"]))
    fields |= {name: manifest[name] for name in RUN_FIELDS if name in manifest}
    new: dict[str, Any] = {k: v for k, v in fields.items() if k not in part.columns}
    return part.assign(**new, seed=manifest["seed"])
