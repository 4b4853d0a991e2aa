"""The verb `list`."""

from __future__ import annotations

from figures.catalogue import Entry, names
from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option


@verb("", "--json")
@json_option
def command(as_json: bool) -> None:
    """List the figures and what they need."""
    rows = []
    for name in names():
        entry = Entry(name)
        needs = list(dict.fromkeys(f"{need.layer} {need.experiment}" for need in entry.needs))
        shown = entry.commands if as_json else ", ".join(needs or entry.commands)
        rows.append({"name": name, "needs": shown, "title": entry.title})
    print_rows(rows, as_json)
