"""The verb `list`."""

from __future__ import annotations

import click

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import json_option
from mechanisms.records.suites import Layer, summary_line


@verb("", "--json")
@json_option
@click.pass_obj
def command(layer: Layer, as_json: bool) -> None:
    """List the experiments."""
    print_rows([{"name": name, "summary": summary_line(function)} for name, function in layer.names().items()], as_json)
