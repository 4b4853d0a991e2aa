"""The command line that has the verbs of all packages."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import click

from mechanisms.command_line.framework import SUITE_VERBS, Verbs, verbs_of
from mechanisms.records.suites import find_suite, suite_names, suite_of

HELP = """Implicit filter sparsity: explain, predict, measure and use it.

A verb that one package has stands for itself (`audit`, `draw`); the others follow the package (`toy list`). An experiment says by
itself to which suite it belongs (`run digits`), unless both have one of its name (`toy run batch_size`).
"""
BY_EXPERIMENT = ("run", "show", "collect")


class Everything(Verbs):
    """The command lines of packages, each below the name of its package, and their verbs wherever these are clear alone."""

    def __init__(self, packages: Sequence[str]) -> None:
        shared = verbs_of(SUITE_VERBS)
        own = verbs_of(*(f"{name}.commands" for name in packages if find_spec(f"{name}.commands")))
        alone = {name: place for name, place in own.items() if name not in shared}
        alone |= {name: shared[name] for name in BY_EXPERIMENT}
        super().__init__("implicit-sparsity", HELP, {name: f"{name}.__main__:VERBS" for name in packages} | alone)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; where the command is about an experiment, its suite is found by it."""
        if args[0] in BY_EXPERIMENT:
            suites = [find_suite(name) for name in suite_names()]
            words = [word for word in args[1:] if not word.startswith("-") and "=" not in word]
            meant = [word for word in words if any(word in suite.names() for suite in suites)] or words
            ctx.obj = suite_of(meant[0]) if meant else suites[-1]
        return super().resolve_command(ctx, args)
