"""The verb `shrink`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from full_scale.commands.parts.arguments import Given, asked_by, is_onnx, network_options
from mechanisms.command_line.framework import verb
from mechanisms.command_line.options import option

FILES = "FILE.safetensors, FILE.pt2 or FILE.onnx"


@verb(
    "resnet20 --weights mine.pt --input 1,3,32,32 --out small.safetensors",
    "mynets:make --input 1,3,224,224 --out small",
    "mine.onnx --out small.onnx",
)
@network_options
@option("--silent", "Also remove what is only silent on --data; not exact elsewhere.")
@option("--multiple-of K", "Keep channels in multiples of this.", 1)
@option("--tolerance X", "Largest relative difference that is allowed.", type=float)
@option("--out FILE", f"Write it to {FILES} and the report to FILE.json; a folder gets the first two.", type=Path)
def command(given: Given, out: Path | None, force: bool, as_json: bool, **how: Any) -> None:
    """Make a smaller network that computes the same function, without its dead filters, and check that it does.

    MODEL is an ONNX file, a network name, a record folder, or PACKAGE.MODULE:CALLABLE, which is imported: name only code that
    you trust. FIELD=VALUE sets a field of a named network, or an argument of the callable.
    """
    from full_scale.commands.parts.output import require_free, show
    from full_scale.removal import shrink
    from full_scale.removal.analysis.graph import quiet
    from full_scale.removal.files.export import destinations, write
    from mechanisms.validation import require

    if out is not None:
        require(out.suffix == ".onnx" or not is_onnx(given.model), "--out", str(out), "a name that ends in .onnx, as MODEL does")
        require_free(destinations(out), force)
    asked = asked_by(given)
    smaller, report = shrink(asked.model, asked.example, **asked.evidence, **how)
    if out is not None:
        with quiet():
            write(smaller, report, asked.example, out)
    show(report, as_json)
