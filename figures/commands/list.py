"""The figures and what they need."""

from __future__ import annotations

import argparse

from figures.catalogue import Entry, names
from mechanisms.command_line.framework import add_json_argument, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_json_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Prints a row for each figure."""
    rows = []
    for name in names():
        entry = Entry(name)
        needs = list(dict.fromkeys(f"{need.layer} {need.experiment}" for need in entry.needs))
        shown = entry.commands if options.json else ", ".join(needs or entry.commands)
        rows.append({"name": name, "needs": shown, "title": entry.title})
    print_rows(rows, options.json)
