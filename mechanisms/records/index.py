"""A local index of records, so that one table over very many of them is collected in about a second.

It keeps copies of small tables in a SQLite file in this machine's cache folder, never beside the records: it is safe where they
are on a shared folder, may be deleted at any time, and is made anew if it is damaged or of another version. The records stay the
truth: a copy counts only while the folder of its record is the one that was read, and each is checked when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.records.bundles import Columns
from mechanisms.records.specs import flatten, spec_id
from mechanisms.records.status import survey
from mechanisms.records.store import Store, spec_columns
from mechanisms.system.files import user_cache
from mechanisms.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
LARGEST_COPY = 8192
"""Bytes of a table that is copied; larger ones are read from their records each time."""
MEMORY = ":memory:"
TABLES = """
CREATE TABLE records (spec_id TEXT, seed INTEGER, stamp TEXT, PRIMARY KEY (spec_id, seed)) WITHOUT ROWID;
CREATE TABLE copies (
    spec_id TEXT, name TEXT, seed INTEGER, columns TEXT, content BLOB, PRIMARY KEY (spec_id, name, seed)
) WITHOUT ROWID;
"""


def index_file(store: Store) -> str:
    """Where the index of a folder of records is: in the user's cache folder, by the whole path of that folder."""
    with contextlib.suppress(RuntimeError, OSError):  # no home, no permission, a link to itself
        whole = str((store.root / store.layer).resolve())
        cache = user_cache()
        cache.mkdir(parents=True, exist_ok=True)
        return str(cache / f"index-{hashlib.sha256(whole.encode()).hexdigest()[:16]}.sqlite")
    return MEMORY


class Index:
    """The index of the records of one layer under one folder; a context manager."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> Index:
        self._database = _opened(index_file(self.store))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._database.close()

    def collect(self, specs: Iterable[Any], seeds: Iterable[int], table: str) -> tuple[pd.DataFrame, list[str]]:
        """One tidy table over runs, as `Store.collect` with `spec_id` besides, and the names of the records that are missing.

        Raises:
            DamagedRecord: a record that is read anew is not what was written.
            UserError: a record has no such table, or is of another schema.
        """
        parts = list[Any]()
        told = list[dict[str, Any]]()
        seeds_of_rows = list[np.ndarray]()
        missing = list[str]()
        for spec in specs:
            name = spec_id(spec)
            fields = spec_columns(flatten(spec))
            left = list(seeds)
            for part, found in self._parts(spec, left, table):
                parts.append(part)
                told.append({"spec_id": name, **{k: v for k, v in fields.items() if k not in part.columns}})
                seeds_of_rows.append(found)
                left = sorted(set(left) - set(found.tolist()))
            missing += [f"{name} seed {seed}" for seed in left if not self._there(spec, seed)]
        return _beside(parts, told, seeds_of_rows), missing

    def _there(self, spec: Any, seed: int) -> bool:
        return self.store.finds(spec, seed)

    def _parts(self, spec: Any, seeds: list[int], table: str) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Tables of several seeds one after another, with the seed of each row."""
        try:
            copied = self._copies(spec, seeds, table)
        except sqlite3.Error:  # damaged under way, or in use for too long: without a file, then
            self._database.close()
            self._database = _opened(MEMORY)
            copied = self._copies(spec, seeds, table)
        import pandas as pd

        for columns, pieces in copied.items():
            dtype = np.dtype([tuple(column) for column in json.loads(columns)])
            rows = np.frombuffer(b"".join(content for _, content in pieces), dtype)
            numbers = [len(content) // dtype.itemsize for _, content in pieces]
            frame = pd.DataFrame({name: rows[name] for name in dtype.names or ()})
            yield frame, np.repeat([seed for seed, _ in pieces], numbers)
        here = {seed for pieces in copied.values() for seed, _ in pieces}
        for seed in seeds:
            if seed not in here and self._there(spec, seed):
                part = _named(self.store.load(spec, seed), table, self.store.find(spec, seed))
                yield part, np.full(len(part), seed)

    def _copies(self, spec: Any, seeds: list[int], table: str) -> dict[str, list[tuple[int, bytes]]]:
        """Columns → (seed, content) of all records whose table is small, brought up to date first."""
        name, wanted = spec_id(spec), set(seeds)
        found = survey(self.store, spec)
        stamps = {seed: _stamp(f"{found.folder}/seed_{seed}") for seed in found.records & wanted}
        known = dict(self._database.execute("SELECT seed, stamp FROM records WHERE spec_id = ?", (name,)))
        new = [seed for seed, stamp in stamps.items() if known.get(seed) != stamp]
        if new:
            self._add(spec, new, stamps)
        copies: dict[str, list[tuple[int, bytes]]] = {}
        query = "SELECT seed, columns, content FROM copies WHERE spec_id = ? AND name = ? ORDER BY seed"
        for seed, columns, content in self._database.execute(query, (name, table)):
            if seed in stamps:
                copies.setdefault(columns, []).append((seed, content))
        return copies

    def _add(self, spec: Any, seeds: list[int], stamps: dict[int, str]) -> None:
        name = spec_id(spec)
        with self._database:
            for seed, tables in self.store.load_all(spec, seeds):
                self._database.execute("DELETE FROM copies WHERE spec_id = ? AND seed = ?", (name, seed))
                for table, columns in tables.items():
                    copy = _packed(columns)
                    if copy is not None:
                        self._database.execute("INSERT INTO copies VALUES (?, ?, ?, ?, ?)", (name, table, seed, *copy))
                self._database.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (name, seed, stamps[seed]))


def _beside(parts: list[pd.DataFrame], told: list[dict[str, Any]], seeds: list[np.ndarray]) -> pd.DataFrame:
    """The parts one below the other, beside each row what is told of its part, and its seed.

    Columns are made once for all parts: with many parts, most of the time would go into making each small piece of them.
    """
    import pandas as pd

    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    fields = pd.DataFrame(told).take(owner).reset_index(drop=True)
    for name in fields.columns.intersection(table.columns):  # an axis of one spec's grid is a field of another spec
        table[name] = table[name].fillna(fields.pop(name))
    return pd.concat([table, fields], axis=1).assign(seed=np.concatenate(seeds))


def _named(tables: dict[str, pd.DataFrame], name: str, folder: Path) -> pd.DataFrame:
    if name not in tables:
        raise UserError(f"record {folder} has no table {name!r}: use --table {' or '.join(tables)}")
    return tables[name]


def _stamp(folder: str) -> str:
    """What changes when another record stands at a place; compared for equality alone."""
    found = os.stat(folder)
    return f"{found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _packed(columns: Columns) -> tuple[str, bytes] | None:
    """The columns and the rows of a small table; None for a large or an empty one."""
    dtype = np.dtype([(name, column.dtype.str) for name, column in columns.items()])
    number = len(next(iter(columns.values()), ()))
    if not 0 < number * dtype.itemsize <= LARGEST_COPY:
        return None
    rows = np.empty(number, dtype)
    for name, column in columns.items():
        rows[name] = column
    return json.dumps(dtype.descr), rows.tobytes()


def _opened(path: str) -> sqlite3.Connection:
    """The index in a file; an empty one instead of what is damaged or of another version, in memory where no file can be."""
    for _ in range(2):
        try:
            return _prepared(sqlite3.connect(path, timeout=10))
        except sqlite3.Error:
            with contextlib.suppress(OSError):
                os.unlink(path)
    return _prepared(sqlite3.connect(MEMORY))


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute("PRAGMA synchronous = OFF")
    with database:
        database.execute("BEGIN IMMEDIATE")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in TABLES.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {FORMAT}")
        elif version != FORMAT:
            raise sqlite3.DatabaseError("another version")
    return database
