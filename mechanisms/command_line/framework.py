"""The command line that all packages share; exit status 0, 2 on a mistake of the user, 130 on Ctrl-C, 143 on SIGTERM.

A verb is a module that defines `command`, see `verb`. It is imported when it is asked for: what takes long to import, the
function of the command imports itself.
"""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from mechanisms.records.suites import Layer, resolve
from mechanisms.system import signals as interrupts
from mechanisms.system.console import in_one_line
from mechanisms.system.console import print_rows as print_rows  # where all command lines look for it
from mechanisms.validation import UserError, first_line, unknown

DISTRIBUTION = "implicit-filter-sparsity"
SUITE_VERBS = "mechanisms.command_line.suite_verbs"
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Words(click.Option):
    """An option that takes all words up to the next option, as in `--format svg pdf`; its value is a tuple."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "multiple": True})


class Verb(click.Command):
    """A command with examples at the end of its help."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def get_short_help_str(self, limit: int = 200) -> str:
        """The first sentence of the help, whole."""
        return super().get_short_help_str(max(limit, 200))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples after the name by which the command was called; EXPERIMENT is one of the suite."""
        with formatter.section("Examples"):
            for example in self.examples:
                words = example.replace("EXPERIMENT", getattr(ctx.obj, "example", "EXPERIMENT"))
                formatter.write(f"  {ctx.command_path} {words}".rstrip() + "\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each word after an option of several words that option, then parse as click does."""
        several = {name for option in self.params if isinstance(option, Words) for name in option.opts}
        spread, option = list[str](), ""
        for word in args:
            if word.startswith("-"):
                option = word if word in several else ""
            elif option and spread[-1] != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)


def verb(*examples: str, cls: type[Verb] = Verb, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function: its docstring is the help, and the examples are what may follow the name of the command."""
    return click.command(name, cls=cls, examples=examples, context_settings=HELP_NAMES)


class Verbs(click.Group):
    """Commands by name, each imported when it is asked for.

    Args:
        name: how the program is called.
        help: what the commands are about.
        places: name → "MODULE:NAME" of each command.
        layer: the suite that the commands are about, which they get by `click.pass_obj`.
    """

    def __init__(self, name: str, help: str, places: dict[str, str], layer: Layer | None = None) -> None:
        super().__init__(
            name,
            help=help,
            short_help=help.partition("\n")[0],
            no_args_is_help=False,
            context_settings={"obj": layer, **HELP_NAMES},
        )
        self.places = dict(sorted(places.items()))
        click.version_option(package_name=DISTRIBUTION, message="%(package)s %(version)s")(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import the command of that name; raises `UsageError` with all names if there is none."""
        if cmd_name not in self.places:
            raise click.UsageError(str(unknown("command", cmd_name, self.places)), ctx)
        found: click.Command = resolve(self.places[cmd_name])
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; raises `UsageError` with all names where there are no words at all."""
        if not args:
            raise click.UsageError(f"name a command: {', '.join(self.places)}", ctx)
        return super().parse_args(ctx, args)


def verbs_of(*packages: str) -> dict[str, str]:
    """Name → place of every command whose module is in one of the packages."""
    found = {package: pkgutil.iter_modules(importlib.import_module(package).__path__) for package in packages}
    return {one.name: f"{package}.{one.name}:command" for package, inner in found.items() for one in inner if not one.ispkg}


def suite_verbs(layer: Layer, *packages: str) -> Verbs:
    """The commands of a suite: those that every suite has, and those of further packages."""
    places = verbs_of(SUITE_VERBS, *packages)
    return Verbs(f"python -m {layer.name}", f"{layer.about}: their experiments, and what is on record.", places, layer)


def main(layer: Layer, arguments: Sequence[str] | None = None) -> int:
    """Run one command line of a suite; returns the exit status."""
    return call(suite_verbs(layer), arguments)


def call(command: click.Command, arguments: Iterable[str] | None = None, **settings: Any) -> int:
    """Run one command line; returns the exit status. The settings are those of a `click.Context`."""
    words, program = list(sys.argv[1:] if arguments is None else arguments), str(command.name)
    os.environ["MPLBACKEND"] = "Agg"  # pictures are files: no window, whatever is set

    def action() -> None:
        with command.make_context(program, words, **settings) as context:
            command.invoke(context)

    return guarded(program, action)


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
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else program
        print(in_one_line(f"{path}: {error.format_message()} (see {path} --help)"), file=sys.stderr)
        return error.exit_code
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
