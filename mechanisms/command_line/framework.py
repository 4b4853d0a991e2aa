"""The command line of a layer; exit status 0, 2 on a mistake of the user, 130 on Ctrl-C, 143 on SIGTERM."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from mechanisms.command_line.suite_verbs import clean, collect, run, show
from mechanisms.records.store import DEFAULT_RUNS
from mechanisms.records.suites import Layer, summary_line
from mechanisms.system import signals as interrupts
from mechanisms.system.console import in_one_line
from mechanisms.system.console import print_rows as print_rows  # where all command lines look for it
from mechanisms.validation import UserError, first_line

MODULES: dict[str, ModuleType] = {"show": show, "run": run, "collect": collect, "clean": clean}
VERBS = {"list": "The experiments."} | {verb: (module.__doc__ or "").strip() for verb, module in MODULES.items()}
"""Verb that every layer has → what it does, for `--help`."""


class OneLineParser(argparse.ArgumentParser):
    """argparse whose errors are one line, without the usage block, and that takes no abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> Any:
        """Prints one line and exits with status 2."""
        self.exit(2, in_one_line(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


def guarded(program: str, action: Callable[[], None]) -> int:
    """Runs an action and turns what went wrong into one line on standard error and an exit status."""
    heard: list[int] = []
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        with interrupts.insistent() as heard:
            action()
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        print(f"{program}: stopped{': ' + str(interrupt) if str(interrupt) else ''}", file=sys.stderr)
        return 128 + (heard[0] if heard else signal.SIGINT)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (UserError, OSError, MemoryError, SystemExit) as error:
        print(in_one_line(f"{program}: {_said(error)}"), file=sys.stderr)
        return 2
    return 0


def _said(error: BaseException) -> str:
    """What a person is told of an error that is not a defect of this program."""
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or first_line(error)
        return f"a file could not be read or written ({what})"
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({first_line(error)}): ask for less"
    if isinstance(error, SystemExit):
        return f"code that it ran called sys.exit({error.code!r}): use code that returns"
    return str(error)


def add_runs_argument(parser: argparse.ArgumentParser) -> None:
    """--runs DIR: the folder of the records."""
    parser.add_argument("--runs", type=Path, default=DEFAULT_RUNS, metavar="DIR", help="folder of the records (%(default)s)")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """--json: the printed table as JSON."""
    parser.add_argument("--json", action="store_true", help="print the table as a JSON list of objects")


def build_parser(layer: Layer) -> OneLineParser:
    """The parser of `python -m LAYER`."""
    parser = OneLineParser(prog=f"python -m {layer.name}", description=f"Experiments of the {layer.name} layer.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=" | ".join(VERBS))
    listing = verbs.add_parser("list", help=VERBS["list"])
    add_json_argument(listing)
    for verb, module in MODULES.items():
        one = verbs.add_parser(verb, help=VERBS[verb])
        module.add_arguments(one, layer)
        add_runs_argument(one)
        add_json_argument(one)
    return parser


def main(layer: Layer, arguments: Sequence[str] | None = None) -> int:
    """Runs one command line of a layer; returns the exit status."""
    parser = build_parser(layer)
    options, rest = parser.parse_known_args(arguments)
    # argparse takes positional arguments in one piece; overrides may stand behind options too.
    strange = [word for word in rest if word.startswith("-") or "=" not in word or not hasattr(options, "overrides")]
    if strange:
        parser.error(f"unrecognized arguments: {' '.join(strange)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    verb = MODULES[options.verb].run if options.verb in MODULES else _list
    return guarded(parser.prog, lambda: verb(layer, options))


def _list(layer: Layer, options: argparse.Namespace) -> None:
    rows = [{"name": name, "summary": summary_line(function)} for name, function in layer.names().items()]
    print_rows(rows, options.json)
