"""Where the files of the data sets are, and whether missing ones may be fetched; neither is part of a run's identity."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mechanisms.validation import UserError

DATA_VARIABLE = "IMPLICIT_SPARSITY_DATA"
DOWNLOAD_VARIABLE = "IMPLICIT_SPARSITY_DOWNLOAD"
DEFAULT_FOLDER = "data"


@dataclass(frozen=True)
class Source:
    """One file of a data set: its name, its checksum ("md5:…" or "sha256:…", "" where none is known) and its official address."""

    name: str
    checksum: str = ""
    address: str = ""


def data_folder() -> Path:
    """The folder of all data sets: `--data DIR`, that is the environment variable, else `data`."""
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_FOLDER)


def download_allowed() -> bool:
    """Whether missing files may be fetched: `--download`, that is the environment variable."""
    return os.environ.get(DOWNLOAD_VARIABLE) == "1"


def present(folder: Path, sources: tuple[Source, ...]) -> bool:
    """Whether all files of a data set are there, or were fetched just now.

    Raises:
        UserError: a download failed.
    """
    from full_scale.data.files.download import fetch

    missing = [source for source in sources if not (folder / source.name).is_file()]
    if missing and download_allowed() and all(source.address for source in missing):
        for source in missing:
            fetch(source, folder)
        return True
    return not missing


def missing(dataset: str, folder: Path, files: str, fetchable: bool = False) -> UserError:
    """The error that says which files of a data set to put where."""
    elsewhere = ", or add --download to fetch them" if fetchable else ""
    return UserError(f"data={dataset}: nothing in {folder}/: put {files} there, or name their folder by --data DIR{elsewhere}")


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
