"""Compiled kernels are kept on disk, so that a law is compiled once on a machine and not once in each process.

numba knows a kernel by its own code and by what it closes over, but not by the functions that these call. So the kernels of one
version of the law and of the engines have a folder of their own, named by the digest of their source; and a kernel that somebody
else's functions are part of is not kept.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import njit

from mechanisms.system.files import user_cache

Function = TypeVar("Function", bound=Callable[..., Any])
ROOT = Path(__file__).parents[2]
SOURCES = ("mechanisms/law", "toy/engines", "toy/features", "toy/layer")
KEPT_SECONDS = 30 * 86_400
"""Kernels of other versions are deleted when they were not used for this long."""


def kept_njit(*parts: Callable[..., Any], **options: Any) -> Callable[[Function], Function]:
    """Return `numba.njit` with these options, whose kernels are kept on disk where that is possible.

    `parts` are the functions that a kernel is put together from.
    """

    def decorate(function: Function) -> Function:
        place = folder() if all(map(_is_ours, parts)) else None
        if place is None:
            return cast(Function, njit(**options)(function))
        usual, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(place)  # type: ignore[attr-defined]
        try:
            return cast(Function, njit(cache=True, **options)(function))
        finally:
            numba.config.CACHE_DIR = usual  # type: ignore[attr-defined]

    return decorate


def _is_ours(part: Callable[..., Any]) -> bool:
    code = getattr(inspect.unwrap(part), "__code__", None)
    return code is not None and any(Path(code.co_filename).is_relative_to(ROOT / name) for name in SOURCES)


@functools.cache
def folder() -> Path | None:
    """Return the folder of this version's kernels; None where none can be written, or where it is somebody else's.

    Kernels are code, and numba unpickles them: only a folder that nobody else can write to is used.
    """
    try:
        kernels = user_cache() / "kernels"
        place = kernels / _digest()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one in (kernels, place):
            about = one.stat()
            if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o022):
                return None
        os.utime(place)
    except (OSError, RuntimeError):
        return None
    if not os.access(place, os.W_OK):
        return None
    _delete_old(kernels)
    return place


def _digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for name in SOURCES:
        for path in sorted((ROOT / name).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _delete_old(kernels: Path) -> None:
    for other in kernels.iterdir():
        if other.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
