"""The verb `audit`."""

from __future__ import annotations

from pathlib import Path

from full_scale.commands.parts.arguments import Given, asked_by, network_options, shrinking
from mechanisms.command_line.framework import verb
from mechanisms.command_line.options import option


@verb(
    "resnet20 --weights mine.safetensors --input 1,3,32,32",
    "mynets:make width=2 --weights mine.pt --input 1,3,224,224",
    "mine.onnx --largest-change 1e-5",
)
@network_options
@option("--out FILE.json", "Also write the audit there.", type=Path)
def command(given: Given, out: Path | None, force: bool, as_json: bool) -> None:
    """Tell which filters of a trained network are dead, and why.

    MODEL is an ONNX file, a network name, a record folder, or PACKAGE.MODULE:CALLABLE, which is imported: name only code that
    you trust. FIELD=VALUE sets a field of a named network, or an argument of the callable.
    """
    from full_scale.commands.parts.output import require_free, show
    from full_scale.removal import audit
    from mechanisms.system.files import write_whole
    from mechanisms.validation import require

    if out is not None:
        require(out.suffix == ".json", "--out", str(out), "a name that ends in .json")
        require_free([out], force)
    asked = asked_by(given)
    found = audit(asked.model, asked.example, **asked.evidence)
    if out is not None:
        write_whole(out, (found.to_json() + "\n").encode(), "choose another with --out")
    show(found, as_json)
    if found.features["removable"].any() and not as_json:
        print(f"to remove them: {shrinking(given)}")
