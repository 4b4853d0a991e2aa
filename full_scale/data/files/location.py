"""Files of data sets: whether they are there and what they should be, and what is said or fetched where they are not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mechanisms.validation import UserError

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Source:
    """One file of a data set: its name, its checksum ("md5:…" or "sha256:…", "" where none is known) and its official address."""

    name: str
    checksum: str = ""
    address: str = ""


class MissingFiles(UserError):
    """Files of a data set are not there; the sources are those that can be fetched into the folder, if any."""

    def __init__(self, message: str, folder: Path, sources: tuple[Source, ...]) -> None:
        super().__init__(message)
        self.folder, self.sources = folder, sources


def present(folder: Path, sources: tuple[Source, ...]) -> bool:
    """Whether all files of a data set are there."""
    return all((folder / source.name).is_file() for source in sources)


def missing(dataset: str, folder: Path, files: str, sources: tuple[Source, ...] = (), into: Path | None = None) -> MissingFiles:
    """The error that says which files of a data set to put where; those of the sources can be fetched, by default to there."""
    elsewhere = ", or add --download to fetch them" if sources else ""
    told = f"data={dataset}: nothing in {folder}/: put {files} there, or name their folder by --data DIR{elsewhere}"
    return MissingFiles(told, into or folder, sources)


def with_files(load: Callable[[], Loaded], download: bool) -> Loaded:
    """What `load` gives; where it lacks files that can be fetched and may be, it is called again when they are there.

    Raises:
        UserError: files are missing, or a download failed.
    """
    try:
        return load()
    except MissingFiles as absent:
        if not (download and absent.sources):
            raise UserError(str(absent)) from None
        from full_scale.data.files.download import fetch

        for source in absent.sources:
            if not (absent.folder / source.name).is_file():
                fetch(source, absent.folder)
    return load()


def verified(folder: Path, source: Source) -> Path:
    """The path of a file that is what its checksum says; read nothing before.

    Raises:
        UserError: it is another file, or cannot be read.
    """
    path = folder / source.name
    with reading(path):
        require_checksum(path, source)
    return path


def require_checksum(path: Path, source: Source, content: bytes | None = None) -> None:
    """Raises `UserError` unless the file, or this content of it, has the checksum of the source, where one is known."""
    kind, _, expected = source.checksum.partition(":")
    if not kind:
        return
    with path.open("rb") if content is None else io.BytesIO(content) as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if found != expected:
        raise UserError(f"{path}: wrong checksum, {kind} is {found} and not {expected}: get {source.name} again")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, whatever goes wrong on damaged content becomes one line that names the file.

    Raises:
        UserError: reading failed.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise nearly everything
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or get it again") from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} cannot be read, it is damaged or truncated ({reason}): get it again") from None
