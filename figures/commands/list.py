"""The figures and what they need."""

from __future__ import annotations

import argparse

from figures.catalogue import commands, module_of, names, title
from mechanisms.command_line.framework import add_json_argument, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Prints a row for each figure."""
    rows = []
    for name in names():
        module = module_of(name)
        needs = list(dict.fromkeys(f"{need.layer} {need.experiment}" for need in module.NEEDS))
        shown = commands(module) if options.json else ", ".join(needs or commands(module))
        rows.append({"name": name, "needs": shown, "title": title(module)})
    print_rows(rows, options.json)
