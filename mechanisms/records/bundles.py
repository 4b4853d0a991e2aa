"""Bundles: all records of one experiment in one file, small enough to come with the package.

A bundle is an `.npz` that `numpy.load` opens (no pickle; its members are compressed by LZMA):

- `spec_id`, `seed`: which records it holds, in their order.
- `manifests.json`: a list with the manifest of each; it says how many rows and which columns each table of the record has.
- `TABLE/COLUMN`: that column of all records that have it, one below the other. Where there is a `TABLE/COLUMN.values`, what is
  stored are indices into it. Of numbers larger than a byte the first bytes of all rows stand first, then the second ones (shape
  (bytes, rows)): alike bytes together compress well. The bits of a float32 are turned left by one, which puts the sign last and
  the exponent in a byte of its own.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import lzma
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mechanisms.system.files import open_regular, write_whole
from mechanisms.validation import UserError

Columns = dict[str, np.ndarray]
"""Column name → its values, all of one length."""
Key = tuple[str, int]
"""The identity of a spec, and a seed."""
SUFFIX, MANIFESTS, VALUES = ".npz", "manifests.json", ".values"


class Bundle:
    """The records in one file; columns are unpacked when they are first asked for, and kept.

    Raises:
        UserError: the file is damaged; when it is opened or when something is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unpacked: dict[str, Any] = {}
        identities, seeds = self._members("spec_id", "seed")
        keys = zip(identities.tolist(), seeds.tolist(), strict=True)
        self.places: dict[Key, int] = {key: place for place, key in enumerate(keys)}

    def _members(self, *names: str) -> list[Any]:
        """Members of the file; `None` for one that is not there."""
        try:
            if left := [name for name in names if name not in self._unpacked]:
                with open_regular(self.path) as file, np.load(file, allow_pickle=False) as archive:
                    self._unpacked |= {name: archive.get(name) for name in left}
        except Exception as error:  # whatever NumPy, zipfile and lzma raise
            what = error or type(error).__name__
            raise UserError(f"{self.path} is damaged ({what}): install the package again") from None
        return [self._unpacked[name] for name in names]

    @functools.cached_property
    def _manifests(self) -> list[dict[str, Any]]:
        manifests: list[dict[str, Any]] = json.loads(self._members(MANIFESTS)[0])
        return manifests

    @functools.cached_property
    def _starts(self) -> dict[str, list[int]]:
        """Member → the row at which each record's part begins."""
        rows: dict[str, list[int]] = {}
        for place, manifest in enumerate(self._manifests):
            for table, entry in manifest["tables"].items():
                for column in entry["columns"]:
                    rows.setdefault(f"{table}/{column}", [0] * len(self._manifests))[place] = entry["rows"]
        return {member: [0, *itertools.accumulate(counts)] for member, counts in rows.items()}

    def manifest(self, key: Key) -> dict[str, Any]:
        """The manifest of a record."""
        return self._manifests[self.places[key]]

    def tables(self, key: Key) -> dict[str, Columns]:
        """Table name → columns of a record."""
        tables = self.manifest(key)["tables"]
        names = [f"{table}/{name}" for table, entry in tables.items() for name in entry["columns"]]
        self._members(*names, *(name + VALUES for name in names))
        return {
            table: {name: self._column(f"{table}/{name}", key).astype(told["dtype"]) for name, told in entry["columns"].items()}
            for table, entry in tables.items()
        }

    def _column(self, member: str, key: Key) -> np.ndarray:
        start, end = self._starts[member][self.places[key] : self.places[key] + 2]
        stored, values = self._members(member, member + VALUES)
        stored = stored[..., start:end]
        numbers = np.ascontiguousarray(stored.T).view(f"<u{len(stored)}")[:, 0] if stored.ndim == 2 else stored
        if values is not None:
            return np.asarray(values[numbers])
        return (numbers >> 1 | numbers << 31).view("<f4") if stored.ndim == 2 else numbers


def find(folder: Path, key: Key) -> Bundle | None:
    """The bundle in a folder that holds a record; None where none does."""
    return _bundles(folder).get(key)


def keys(folder: Path) -> tuple[Key, ...]:
    """All records in the bundles of a folder."""
    return tuple(_bundles(folder))


def _bundles(folder: Path) -> Mapping[Key, Bundle]:
    try:
        found = sorted((entry for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)), key=lambda entry: entry.name)
    except OSError:
        return {}
    return _opened(folder, tuple((entry.name, entry.stat().st_ino, entry.stat().st_mtime_ns) for entry in found))


@functools.lru_cache(maxsize=8)
def _opened(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> Mapping[Key, Bundle]:
    bundles = [Bundle(folder / name) for name, *_ in stamps]
    return {key: bundle for bundle in bundles for key in bundle.places}


def add(path: Path, records: Iterable[tuple[Mapping[str, Any], Mapping[str, Columns]]]) -> None:
    """Adds records, each (manifest, tables), to a bundle, which is made where there is none and replaced in one step.

    What a manifest says of its tables is written anew: their rows, their columns and the kinds of these.
    """
    there = Bundle(path) if path.exists() else None
    old = [(there.manifest(key), there.tables(key)) for key in there.places] if there else []
    written = [(dict(manifest) | {"tables": _told(manifest, tables)}, tables) for manifest, tables in (*old, *records)]
    members: dict[str, np.ndarray] = {
        "spec_id": np.array([manifest["spec_id"] for manifest, _ in written]),
        "seed": np.array([manifest["seed"] for manifest, _ in written]),
    }
    parts: dict[str, list[np.ndarray]] = {}
    for _, tables in written:
        for table, columns in tables.items():
            for name, column in columns.items():
                parts.setdefault(f"{table}/{name}", []).append(column)
    for member, pieces in parts.items():
        members |= {member + suffix: array for suffix, array in _packed(np.concatenate(pieces)).items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(_named(MANIFESTS), json.dumps([manifest for manifest, _ in written], indent=1))
        for name, array in members.items():
            with archive.open(_named(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    write_whole(path, content.getvalue(), "choose a folder that may be changed")


def _told(manifest: Mapping[str, Any], tables: Mapping[str, Columns]) -> dict[str, Any]:
    return {
        table: {
            "rows": len(next(iter(columns.values()))),
            "columns": {
                name: manifest["tables"][table]["columns"][name] | {"dtype": column.dtype.str} for name, column in columns.items()
            },
        }
        for table, columns in tables.items()
    }


def _named(name: str) -> zipfile.ZipInfo:
    """A member without the time of writing: the same records make the same bytes."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_LZMA
    return info


def _packed(column: np.ndarray) -> dict[str, np.ndarray]:
    """A column as the members that hold it, by suffix: the shorter of indices into its values, and the values themselves."""
    is_float = column.dtype.kind == "f"
    comparable = column.view(f"<u{column.dtype.itemsize}") if is_float else column
    distinct, indices = np.unique(comparable, return_inverse=True)
    values = distinct.view(column.dtype) if is_float else distinct
    indexed = {"": _by_byte(indices.astype(np.min_scalar_type(len(values)))), VALUES: values}
    if not is_float:
        return indexed
    plain = {"": _by_byte(comparable << 1 | comparable >> 31) if column.dtype.itemsize == 4 else column}
    return min(indexed, plain, key=lambda members: sum(len(lzma.compress(array.tobytes())) for array in members.values()))


def _by_byte(numbers: np.ndarray) -> np.ndarray:
    size = numbers.dtype.itemsize
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, size).T) if size > 1 else numbers
