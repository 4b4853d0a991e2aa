"""`python -m full_scale list | show | run`, and one module of `full_scale.verbs` for each further verb."""

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

from full_scale import verbs
from full_scale.layer import LAYER
from mechanisms.experiments.command_line import VERBS, OneLineParser, guarded
from mechanisms.experiments.command_line import main as layer_main

PROGRAM = f"python -m {LAYER.name}"


def discover() -> dict[str, ModuleType]:
    """Verb → module with `add_arguments(parser)` and `run(options)`, sorted; what takes long to import is imported by `run`."""
    names = sorted(module.name for module in pkgutil.iter_modules(verbs.__path__) if not module.ispkg)
    return {name: importlib.import_module(f"{verbs.__name__}.{name}") for name in names}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words, found = list(sys.argv[1:] if arguments is None else arguments), discover()
    verb = words[0] if words else ""
    if verb in VERBS:
        return layer_main(LAYER, words)
    if verb not in found:
        _overview(found).parse_args(words)
    parser = OneLineParser(prog=f"{PROGRAM} {verb}", description=_text(found[verb]))
    found[verb].add_arguments(parser)
    # Intermixed: field=value may stand behind options too.
    options = parser.parse_intermixed_args(words[1:])
    return guarded(parser.prog, lambda: found[verb].run(options))


def _overview(found: dict[str, ModuleType]) -> OneLineParser:
    """What answers `--help`, and refuses what is no verb."""
    texts = VERBS | {name: _text(module) for name, module in found.items()}
    parser = OneLineParser(prog=PROGRAM, description="Networks: their experiments, and the removal of their dead filters.")
    subparsers = parser.add_subparsers(required=True, metavar=" | ".join(texts))
    for name, text in texts.items():
        subparsers.add_parser(name, help=text)
    return parser


def _text(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
