"""List what was left half-done or stands beside records for nothing, and remove it on confirmation."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from mechanisms.records.gc import find
from mechanisms.records.suites import Layer
from mechanisms.system.console import print_rows
from mechanisms.system.progress import say
from mechanisms.validation import UserError


def add_arguments(parser: argparse.ArgumentParser, layer: Layer) -> None:
    """The options of the verb."""
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.add_argument("--orphans", action="store_true", help="records that no command finds any more, too")


def run(layer: Layer, options: argparse.Namespace) -> None:
    """Prints what may go and why; then asks, unless `--yes` was given."""
    found = find(layer, options.runs, orphans=options.orphans)
    print_rows([{"path": str(path), "why": why} for path, why in found.items()], options.json)
    if not found:
        say(f"nothing to remove under {options.runs / layer.name}")
    elif options.yes or _agreed(len(found)):
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
