"""A smaller network that computes the same function, without its dead filters, and the proof."""

from __future__ import annotations

import argparse
from pathlib import Path

from full_scale.commands.parts import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    arguments.add_arguments(parser)
    parser.add_argument("--silent", action="store_true", help="also remove what is only silent on --data; not exact elsewhere")
    parser.add_argument(
        "--multiple-of", type=int, default=1, metavar="K", help="keep channels in multiples of this (%(default)s)"
    )
    parser.add_argument("--tolerance", type=float, metavar="X", help="largest relative difference that is allowed")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write it to FILE.safetensors, FILE.pt2 or FILE.onnx and the report to FILE.json; a folder gets the first two",
    )


def run(options: argparse.Namespace) -> None:
    """Shrinks a network, writes it where asked, and prints the report."""
    from full_scale.commands.parts.output import require_free, show
    from full_scale.removal import shrink
    from full_scale.removal.analysis.graph import quiet
    from full_scale.removal.files.export import destinations, write

    if options.out is not None:
        require_free(destinations(options.out), options.force)
    asked = arguments.asked(options)
    how = {"silent": options.silent, "multiple_of": options.multiple_of, "tolerance": options.tolerance}
    smaller, report = shrink(asked.model, asked.example, **asked.evidence, **how)
    if options.out is not None:
        with quiet():
            write(smaller, report, asked.example, options.out)
    show(report, options.json)
