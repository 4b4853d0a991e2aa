"""Records: the tables of one run on disk, with a manifest that says how they were made.

`RUNS/LAYER/SPEC_ID/seed_N/` holds `manifest.json` and one `.npz` a table (no pickle). It is written under another name
and renamed when whole: a folder of that name is complete by construction. Nothing is overwritten. Records that come with the
package stand in bundles (`mechanisms.records.bundles`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.records import bundles
from mechanisms.records.bundles import Columns
from mechanisms.records.columns import COLUMNS, SPEC_PREFIX, check, is_of_its_kind, to_array
from mechanisms.records.provenance import provenance
from mechanisms.records.specs import flatten, spec_id, to_json
from mechanisms.system.files import open_regular, read_json, write_synced
from mechanisms.system.processes import ended, process_name
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
DEFAULT_RUNS = Path("runs")
RUN_FIELDS = ("effective_steps",)
"""What a manifest says of a run that becomes a column of its tables, besides the spec."""
LARGEST_TABLE = 1 << 33
"""Bytes of one table in memory: a small file that unpacks to more is not one of ours."""
MANIFEST = "manifest.json"
FIELDS: dict[str, Any] = {
    "layer": str, "spec_id": str, "seed": int, "spec": dict, "tables": dict, "git": dict | None, "versions": dict,
}  # fmt: skip
"""What every manifest of this schema holds."""
RUNNING, FAILED, CHECKPOINT, PARTIAL, DAMAGED = "running", "failed", "checkpoint", "partial", "damaged"
"""What stands behind "seed_N." in the names of what is no record."""
Tables = Mapping[str, "pd.DataFrame"]


class DamagedRecord(UserError):
    """A record that exists but cannot be trusted: unreadable, incomplete, or of other settings."""


class Unwritable(UserError):
    """A record could not be written: the disk is full, or the folder may not be changed."""


@dataclass(frozen=True)
class Store:
    """The records of one layer under a folder; those in the bundles of `reference` are read where it has none of its own."""

    root: Path
    layer: str
    reference: Path | None = None

    def folder(self, spec: Any, seed: int) -> Path:
        """Where the record of a spec and seed stands, or would stand."""
        return self.root / self.layer / spec_id(spec) / f"seed_{seed}"

    def find(self, spec: Any, seed: int) -> Path:
        """Where the record is read from: its own folder, or the bundle of the reference where only this has it."""
        bundle = self._standing_in(spec, seed)
        return self.folder(spec, seed) if bundle is None else bundle.path

    def finds(self, spec: Any, seed: int) -> bool:
        """Tell whether there is a record to read, its own or a committed one."""
        return self.has(spec, seed) or self.is_committed(spec, seed)

    def is_committed(self, spec: Any, seed: int) -> bool:
        """Tell whether a committed record stands in for one that was not made here."""
        return self._standing_in(spec, seed) is not None

    def _standing_in(self, spec: Any, seed: int) -> bundles.Bundle | None:
        if self.reference is None or self.has(spec, seed):
            return None
        return bundles.find(self.reference, (spec_id(spec), seed))

    def checkpoints(self, spec: Any, seed: int) -> Path:
        """The folder in which an unfinished run keeps what it needs to go on; it is not a record."""
        folder = self.folder(spec, seed)
        return folder.with_name(f"{folder.name}.{CHECKPOINT}")

    def mark(self, spec: Any, seed: int) -> Path:
        """The file that says who is making a record (`mechanisms.sweeps.locks`)."""
        folder = self.folder(spec, seed)
        return folder.with_name(f"{folder.name}.{RUNNING}")

    def failure(self, spec: Any, seed: int) -> Path:
        """The file that keeps the error of a run that failed, until a record stands there."""
        folder = self.folder(spec, seed)
        return folder.with_name(f"{folder.name}.{FAILED}")

    def has(self, spec: Any, seed: int) -> bool:
        """Whether a record stands there (whole by construction; damage shows when it is read)."""
        try:
            return (self.folder(spec, seed) / MANIFEST).is_file()
        except OSError as error:
            raise UserError(
                f"records folder {self.root} cannot be read ({error.strerror}): choose another with --runs DIR"
            ) from None

    def require_writable(self) -> None:
        """Raises `UserError` with one line if records cannot be written here."""
        probe = self.root / f".write-test-{uuid.uuid4().hex}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"records folder {self.root} is not writable ({error.strerror}): choose another with --runs DIR"
            ) from None

    def save(self, spec: Any, seed: int, tables: Tables, extra: Mapping[str, Any]) -> Path:
        """Writes a record whole or not at all and returns its folder; a record that is already there stays as it is."""
        for name, table in tables.items():
            check(table, name)
        final = self.folder(spec, seed)
        partial = final.with_name(f"{final.name}.{PARTIAL}-{process_name(os.getpid())}-{uuid.uuid4().hex[:8]}")
        try:
            partial.mkdir(parents=True)
            entries = {name: _write_table(partial / f"{name}.npz", table) for name, table in tables.items()}
            manifest = {
                "schema": SCHEMA,
                "layer": self.layer,
                "spec_id": spec_id(spec),
                "seed": seed,
                "spec": to_json(spec),
                "tables": entries,
                **provenance(),
                **extra,
            }
            write_synced(partial / MANIFEST, json.dumps(manifest, indent=1).encode())
            if not final.exists():
                partial.rename(final)
        except OSError as error:
            if not final.exists():
                raise Unwritable(f"record {final} could not be written ({error.strerror}); nothing was changed") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return final

    def manifest(self, spec: Any, seed: int) -> dict[str, Any]:
        """The manifest of a record; raises `DamagedRecord` if it is unreadable or of other settings."""
        expected = (spec_id(spec), seed, to_json(spec))
        bundle = self._standing_in(spec, seed)
        if bundle is None:
            return _manifest_of(self.folder(spec, seed), expected)
        return _of_settings(_checked(bundle.manifest(expected[:2]), bundle.path), bundle.path, expected)

    def columns(self, spec: Any, seed: int) -> dict[str, Columns]:
        """Table name → columns of a record; raises `DamagedRecord` on any difference from what was written."""
        manifest, bundle = self.manifest(spec, seed), self._standing_in(spec, seed)
        return read_columns(self.folder(spec, seed), manifest) if bundle is None else bundle.tables((spec_id(spec), seed))

    def load(self, spec: Any, seed: int) -> dict[str, pd.DataFrame]:
        """As `columns`, each table as a data frame."""
        return _framed(self.columns(spec, seed))

    def load_all(self, spec: Any, seeds: Iterable[int]) -> Iterator[tuple[int, dict[str, Columns]]]:
        """Each seed with its tables as arrays, of this store's own records of one spec: quick where there are very many.

        Raises:
            DamagedRecord: as `load`, when it comes to that record.
        """
        place, settings = self.folder(spec, 0).parent, to_json(spec)
        for seed in seeds:
            folder = place / f"seed_{seed}"
            yield seed, read_columns(folder, _manifest_of(folder, (place.name, seed, settings)))

    def leftovers(self, spec: Any, seed: int) -> list[Path]:
        """Half-written folders of a run that never finished; not those that a living process of this machine is writing."""
        folder = self.folder(spec, seed)
        return [found for found in sorted(folder.parent.glob(f"{folder.name}.{PARTIAL}-*")) if is_given_up(found)]

    def set_aside(self, path: Path) -> Path:
        """Renames a damaged or half-written folder so that it is kept and not read again; returns its new path."""
        kept = path.with_name(f"{path.name.split('.')[0]}.{DAMAGED}-{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(FileNotFoundError):  # another run on this folder was quicker
            path.rename(kept)
        return kept

    def collect(self, specs: tuple[Any, ...], seeds: tuple[int, ...], table: str) -> pd.DataFrame:
        """One tidy table over runs, with `seed` and the spec spread into columns "spec.FIELD".

        Columns that a table already has (the axes of a grid) are kept as they are. `test_images` is how many images test errors
        were measured on, where the spec says so. Raises `UserError` if a run is missing.
        """
        import pandas as pd

        parts = []
        for spec in specs:
            fields = spec_columns(flatten(spec)) | _test_images(spec)
            for seed in seeds:
                if not self.finds(spec, seed):
                    raise UserError(f"no record of {spec_id(spec)} with seed {seed} under {self.root}")
                part, manifest = self.load(spec, seed)[table], self.manifest(spec, seed)
                new = fields | {name: manifest[name] for name in RUN_FIELDS if name in manifest}
                parts.append(part.assign(**{k: v for k, v in new.items() if k not in part.columns}, seed=seed))
        return pd.concat(parts, ignore_index=True)


def _test_images(spec: Any) -> dict[str, int]:
    """The number of test images as a column; none where a spec has no images, or only the disk knows how many."""
    data = getattr(getattr(spec, "train", spec), "data", None)
    try:
        size = getattr(data, "test_size", None)
    except UserError:  # the callable that makes them is not here
        size = None
    return {} if size is None else {"test_images": size}


def spec_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Column → value of the fields of a flattened spec; several values in one are a text ("scale+shift"), none no column.

    The axes of a grid are no columns: its tables have one for each of them already.
    """
    told = {name: value for name, value in fields.items() if value not in ((), []) and name.partition(".")[0] != "axes"}
    return {SPEC_PREFIX + k: "+".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in told.items()}


def is_given_up(partial: Path) -> bool:
    """Whether the process that was writing a partial folder has ended; of other machines nothing is known."""
    machine, _, rest = partial.name.partition(f".{PARTIAL}-")[2].partition("-")
    return ended(f"{machine}-{rest.partition('-')[0]}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a record's folder; raises `DamagedRecord` if it cannot be read, `UserError` if its schema is another."""
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise DamagedRecord(f"record {folder}: its manifest is damaged ({type(error).__name__})") from None
    return _checked(manifest, folder)


def _checked(manifest: Any, place: Path) -> dict[str, Any]:
    try:
        schema = manifest["schema"]
    except (KeyError, TypeError) as error:
        raise DamagedRecord(f"record {place}: its manifest is damaged ({type(error).__name__})") from None
    if schema != SCHEMA:
        raise UserError(f"record {place} has schema {schema}, this version reads {SCHEMA}: use the version that wrote it")
    strange = [name for name, kind in FIELDS.items() if name not in manifest or not isinstance(manifest[name], kind)]
    if strange or not _is_git_state(manifest["git"]):
        raise DamagedRecord(f"record {place}: its manifest is damaged ({', '.join(strange) or 'git'})")
    return dict(manifest)


def _is_git_state(value: Any) -> bool:
    """Whether a value is what `mechanisms.records.provenance` says of a checkout, or of none."""
    return value is None or (isinstance(value, dict) and isinstance(value.get("commit"), str) and "dirty" in value)


def _manifest_of(folder: Path, expected: tuple[str, int, Any]) -> dict[str, Any]:
    """The manifest in a folder, which must be that of a spec's id, of a seed, and of a spec as JSON."""
    return _of_settings(read_manifest(folder), folder, expected)


def _of_settings(manifest: dict[str, Any], place: Path, expected: tuple[str, int, Any]) -> dict[str, Any]:
    if (manifest["spec_id"], manifest["seed"], manifest["spec"]) != expected:
        raise DamagedRecord(f"record {place}: its manifest is of other settings")
    return manifest


def read_tables(folder: Path, manifest: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Table name → table of a record; raises `DamagedRecord` on any difference from what the manifest says."""
    return _framed(read_columns(folder, manifest))


def _framed(tables: Mapping[str, Columns]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    return {name: pd.DataFrame(columns) for name, columns in tables.items()}


def read_columns(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Columns]:
    """As `read_tables`, each table as its columns."""
    try:
        if not manifest["tables"]:
            raise ValueError("its manifest names no table")
        if strange := [name for name in manifest["tables"] if not name.isidentifier()]:
            raise ValueError(f"its manifest names a table {strange[0]!r}")
        if unnamed := [name for name in os.listdir(folder) if name.endswith(".npz") and name[:-4] not in manifest["tables"]]:
            raise ValueError(f"its manifest does not name {unnamed[0]}")
        return {name: _read_columns(folder / f"{name}.npz", entry) for name, entry in manifest["tables"].items()}
    except MemoryError as error:  # a fault of this machine as far as anybody can tell: the record stays where it is
        raise MemoryError(f"record {folder}: {error}") from None
    except Exception as error:  # whatever NumPy, zipfile and zlib raise, these are not the bytes that were written
        raise DamagedRecord(f"record {folder}: {error or type(error).__name__}") from None


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_table(path: Path, table: pd.DataFrame) -> dict[str, Any]:
    arrays = {str(name): to_array(table[name]) for name in table.columns}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_synced(path, content.getvalue())
    columns = {
        name: {"dtype": array.dtype.str, **({"unit": COLUMNS[name].unit} if name in COLUMNS else {})}
        for name, array in arrays.items()
    }
    return {"rows": len(table), "columns": columns, "sha256": _digest(path)}


def _read_columns(path: Path, entry: Mapping[str, Any]) -> Columns:
    if _digest(path) != entry["sha256"]:
        raise ValueError(f"table {path.name} is not what was written (checksum)")
    with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
        if sum(member.file_size for member in arrays.zip.infolist()) > LARGEST_TABLE:
            raise ValueError(f"table {path.name} unpacks to more than {LARGEST_TABLE} bytes")
        columns = {name: arrays[name] for name in arrays.files}
        if set(columns) != set(entry["columns"]) or {column.shape for column in columns.values()} - {(entry["rows"],)}:
            raise ValueError(f"table {path.name} has other columns or rows than its manifest says")
        if strange := [name for name, column in columns.items() if not is_of_its_kind(name, column.dtype.kind)]:
            raise ValueError(f"column {strange[0]} of table {path.name} holds {columns[strange[0]].dtype}")
        return {name: columns[name] for name in entry["columns"]}
