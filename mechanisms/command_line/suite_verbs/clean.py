"""The verb `clean`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from mechanisms.command_line.framework import print_rows, verb
from mechanisms.command_line.options import option, table_options
from mechanisms.records.gc import find
from mechanisms.records.suites import Layer
from mechanisms.system.progress import say
from mechanisms.validation import UserError


@verb("", "--yes", "--orphans --json")
@option("--yes", "Remove without asking.")
@option("--orphans", "Records that no command finds any more, too.")
@table_options
@click.pass_obj
def command(layer: Layer, yes: bool, orphans: bool, runs: Path, as_json: bool) -> None:
    """List what was left half-done or stands beside records for nothing, and remove it on confirmation."""
    found = find(layer, runs, orphans=orphans)
    print_rows([{"path": str(path), "why": why} for path, why in found.items()], as_json)
    if not found:
        say(f"nothing to remove under {runs / layer.name}")
    elif yes or _agreed(len(found)):
        for path in found:
            _remove(path)
        say(f"{len(found)} removed")
    else:
        say("nothing was removed" + ("" if sys.stdin.isatty() else ": add --yes to remove them"))


def _agreed(number: int) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"remove these {number}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path} could not be removed ({error.strerror})") from None
