"""Which filters of a trained network are dead, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

from full_scale.commands.parts import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    arguments.add_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the audit there")


def run(options: argparse.Namespace) -> None:
    """Prints the audit of a network."""
    from full_scale.commands.parts.output import require_free, show
    from full_scale.removal import audit
    from mechanisms.system.files import write_whole
    from mechanisms.validation import require

    if options.out is not None:
        require(options.out.suffix == ".json", "--out", str(options.out), "a name that ends in .json")
        require_free([options.out], options.force)
    asked = arguments.asked(options)
    found = audit(asked.model, asked.example, **asked.evidence)
    if options.out is not None:
        write_whole(options.out, (found.to_json() + "\n").encode(), "choose another with --out")
    show(found, options.json)
