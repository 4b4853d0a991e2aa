"""Command lines whose verbs are modules: each with `add_arguments(parser)`, `run(options)` and a docstring for `--help`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from mechanisms.command_line.framework import OneLineParser, guarded


def discover(package: ModuleType) -> dict[str, ModuleType]:
    """Verb → module of a package, sorted; what takes long to import is imported by `run`."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def main(program: str, description: str, package: ModuleType, arguments: Sequence[str] | None = None) -> int:
    """Runs one command line with the verbs of a package; returns the exit status."""
    words, found = list(sys.argv[1:] if arguments is None else arguments), discover(package)
    verb = words[0] if words else ""
    if verb not in found:
        overview(program, description, {name: summary(module) for name, module in found.items()}).parse_args(words)
    parser = OneLineParser(prog=f"{program} {verb}", description=summary(found[verb]))
    found[verb].add_arguments(parser)
    # Intermixed: field=value may stand behind options too.
    options = parser.parse_intermixed_args(words[1:])
    return guarded(parser.prog, lambda: found[verb].run(options))


def overview(program: str, description: str, verbs: Mapping[str, str]) -> OneLineParser:
    """What answers `--help`, and refuses what is no verb."""
    parser = OneLineParser(prog=program, description=description)
    subparsers = parser.add_subparsers(required=True, metavar=" | ".join(verbs))
    for name, text in verbs.items():
        subparsers.add_parser(name, help=text)
    return parser


def summary(module: ModuleType) -> str:
    """The first line of a module's docstring."""
    return (inspect.getdoc(module) or "").partition("\n")[0]
