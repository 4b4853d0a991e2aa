"""The verbs list, show and run, shared by the layers; exit status 0, 2 on a mistake of the user, 130 on Ctrl-C."""

from __future__ import annotations

import _thread
import argparse
import contextlib
import inspect
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechanisms.experiments.layers import Layer, resolve, summary_line
from mechanisms.experiments.records import Store
from mechanisms.experiments.specs import flatten, spec_id
from mechanisms.validation import UserError, require_whole

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RUNS = Path("runs")
MOST_ROWS = 60
VERBS = {
    "list": "the experiments",
    "show": "the specs of an experiment and their records",
    "run": "make the records and print a summary",
}
"""Verb that every layer has → what it does, for `--help`."""


class OneLineParser(argparse.ArgumentParser):
    """argparse whose errors are one line, without the usage block."""

    def error(self, message: str) -> Any:
        """Prints one line and exits with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def guarded(program: str, action: Callable[[], None]) -> int:
    """Runs an action and turns what went wrong into one line on standard error and an exit status."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        with _insistent_interrupt():
            action()
            sys.stdout.flush()
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"{program}: stopped{': ' + str(interrupt) if str(interrupt) else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"{program}: the result could not be written ({error.strerror})", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _insistent_interrupt() -> Iterator[None]:
    """Within it, Ctrl-C is raised again every three seconds until it is heard.

    A compiler calls back into Python from code that swallows exceptions; an interrupt that lands there would be lost.
    """
    reminders: list[threading.Timer] = []

    def handle(*_: object) -> None:
        reminders.append(threading.Timer(3.0, _thread.interrupt_main))
        reminders[-1].daemon = True
        reminders[-1].start()
        raise KeyboardInterrupt

    def unheard(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            report(lost)

    before, report = signal.signal(signal.SIGINT, handle), sys.unraisablehook
    sys.unraisablehook = unheard
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = report
        for reminder in reminders:
            reminder.cancel()


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
    for verb in ("show", "run"):
        one = verbs.add_parser(verb, help=VERBS[verb])
        one.add_argument("experiment")
        one.add_argument("overrides", nargs="*", metavar="field=value", help="settings to change, in every spec")
        one.add_argument("--seeds", type=int, default=3, help="number of replicates, seeds 0 to N-1 (%(default)s)")
        add_runs_argument(one)
        add_json_argument(one)
        if verb == "run":
            one.add_argument("--jobs", type=int, default=1, help="processes on this machine (%(default)s)")
            if layer.run_together:
                one.add_argument(
                    "--together", type=int, default=1, metavar="N", help="runs in turn in each process (%(default)s)"
                )
            for setting in layer.settings:
                how: Any = {"metavar": setting.metavar} if setting.metavar else {"action": "store_const", "const": "1"}
                one.add_argument(setting.option, dest=setting.variable, help=setting.help, **how)
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
    verb = {"list": _list, "show": _show, "run": _run}[options.verb]
    return guarded(parser.prog, lambda: verb(layer, options))


def _list(layer: Layer, options: argparse.Namespace) -> None:
    rows = [{"name": name, "summary": summary_line(function)} for name, function in layer.names().items()]
    print_rows(rows, options.json)


def _seeds(options: argparse.Namespace) -> tuple[int, ...]:
    require_whole("--seeds", options.seeds, 1, 10**6)
    return tuple(range(options.seeds))


def _show(layer: Layer, options: argparse.Namespace) -> None:
    specs, store = layer.specs(options.experiment, options.overrides), Store(options.runs, layer.name, layer.reference)
    flat = [flatten(spec) for spec in specs]
    shared = {k: v for k, v in flat[0].items() if all(f.get(k) == v for f in flat)} if len(flat) > 1 else {}
    if not options.json:
        print(inspect.getdoc(layer.names()[options.experiment]), end="\n\n")
        for name, value in shared.items():
            print(f"  {name} = {_text(value)}")
        print()
    rows = []
    for spec, fields in zip(specs, flat, strict=True):
        done = sum(store.has(spec, seed) for seed in _seeds(options))
        own = {k: _text(v) for k, v in fields.items() if options.json or k not in shared}
        where: dict[str, Any] = {"folders": [str(store.find(spec, seed)) for seed in _seeds(options)]} if options.json else {}
        rows.append({"spec_id": spec_id(spec), "records": f"{done}/{options.seeds}", **where, **own})
    print_rows(rows, options.json)


def _text(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _run(layer: Layer, options: argparse.Namespace) -> None:
    from mechanisms.experiments.runner import run_all

    specs, seeds = layer.specs(options.experiment, options.overrides), _seeds(options)
    store = Store(options.runs, layer.name)
    given = {setting.variable: getattr(options, setting.variable) for setting in layer.settings}
    os.environ.update({variable: value for variable, value in given.items() if value is not None})
    run_all(layer, store, specs, seeds, options.jobs, getattr(options, "together", 1))
    print_table(resolve(layer.summarize)(store, specs, seeds), options.json)


def print_table(table: pd.DataFrame, as_json: bool) -> None:
    """Prints a table for people, or as JSON; at most `MOST_ROWS` rows for people."""
    print_rows(json.loads(table.to_json(orient="records", double_precision=15)), as_json)


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Prints rows of plain values as an aligned table, or as JSON."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows[:MOST_ROWS])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if len(rows) > MOST_ROWS:
        print(f"… {len(rows) - MOST_ROWS} more rows: use --json for all")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
