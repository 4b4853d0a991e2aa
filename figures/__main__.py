"""`python -m figures VERB`: one module of `figures.verbs` a verb; what takes long to import is imported by its `run`."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType

from figures import verbs
from mechanisms.experiments.command_line import OneLineParser, guarded


def discover() -> dict[str, ModuleType]:
    """Verb → module, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))
    return {name: importlib.import_module(f"{verbs.__name__}.{name}") for name in names}


def build_parser() -> OneLineParser:
    """The parser of `python -m figures`."""
    found = discover()
    parser = OneLineParser(prog="python -m figures", description="Figures drawn from records, a report, an explorer.")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar=" | ".join(found))
    for name, module in found.items():
        text = (inspect.getdoc(module) or "").partition("\n")[0]
        module.add_arguments(subparsers.add_parser(name, help=text, description=text))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    return guarded(parser.prog, lambda: discover()[options.verb].run(options))


if __name__ == "__main__":
    sys.exit(main())
