"""How a new file becomes a choice: every module of a package is imported, so that its classes are known by their base."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable


def import_modules(package: str, path: Iterable[str]) -> None:
    """Imports every module of a package; they must not import torch at the top, because listing experiments passes here."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
