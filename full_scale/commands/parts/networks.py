"""The network that a command line names: one of ours, that of a record, or a person's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.custom import blaming, imported, importing_nothing, require_path
from full_scale.models.base import AbstractNetwork, Shape
from full_scale.suite import LAYER
from full_scale.training.spec import TrainSpec
from mechanisms.records.specs import from_json, make_choice, override_all, parse_override, written_choices
from mechanisms.records.store import MANIFEST, read_manifest
from mechanisms.validation import UserError, require

if TYPE_CHECKING:
    from torch import nn

NAMED = "a network name, the folder of a record, or PACKAGE.MODULE:CALLABLE"
CLASSES = 10
NAME_IT = "name the network itself, as PACKAGE.MODULE:CALLABLE or by its name, with --input and --classes"


def record_of(name: str) -> TrainSpec | None:
    """The spec of the record in a folder; None where the text names no folder.

    Raises:
        UserError: the folder holds no record of a training.
    """
    folder = Path(name)
    if not folder.is_dir():
        return None
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} is a folder without {MANIFEST}: give {NAMED}")
    manifest = read_manifest(folder)
    if manifest.get("layer") != LAYER.name:
        raise UserError(f"{folder} is a record of {manifest.get('layer')}, which has no network: give one of {LAYER.name}")
    with importing_nothing(NAME_IT):
        return from_json(TrainSpec, manifest["spec"])


def network_of(
    name: str, overrides: Sequence[str], sizes: Sequence[tuple[int, ...]], classes: int | None
) -> tuple[nn.Module, bool]:
    """The network of a text, and whether it comes with weights of its own: only a person's own may.

    Args:
        name: see `NAMED`; a person's own code is imported, which is how networks that this package does not know are read.
        overrides: texts "field=value": fields of one of our networks, keyword arguments of a person's own callable.
        sizes: of each input, with the images on the first axis.
        classes: of our networks; default that of a record, else `CLASSES`.

    Raises:
        UserError: there is no such network, or it cannot be made.
    """
    spec = record_of(name)
    if spec is not None:
        require(not overrides, "field=value", overrides[0] if overrides else "", "nothing: a record says what its network is")
        with importing_nothing(NAME_IT):
            return _built(spec.network, sizes, classes or spec.data.classes), False
    own_code = ":" in name and name.partition(":")[0] not in written_choices(AbstractNetwork)
    if own_code:
        return _called(name, dict(map(parse_override, overrides))), True
    chosen = make_choice(AbstractNetwork, name, "MODEL")
    return _built(override_all(chosen, map(parse_override, overrides)), sizes, classes or CLASSES), False


def _built(network: AbstractNetwork, sizes: Sequence[tuple[int, ...]], classes: int) -> nn.Module:
    given = " ".join(",".join(map(str, size)) for size in sizes)
    require(len(sizes) == 1, "--input", given, "one input for this network")
    size = sizes[0]
    require(len(size) == 4, "--input", given, "four numbers for this network: images, channels, height, width")
    shape: Shape = size[1:]  # type: ignore[assignment]
    network.require_fits(shape)
    return network.build(shape, classes, seed=0).module


def _called(path: str, arguments: dict[str, Any]) -> nn.Module:
    from torch import nn

    require_path("MODEL", path)
    make = imported("MODEL", path)
    with blaming(f"MODEL {path}", "it cannot be called with these arguments"):
        model = make(**arguments)
    if not isinstance(model, nn.Module):
        raise UserError(f"MODEL {path}: it gives a {type(model).__name__}, use a callable that returns a torch.nn.Module")
    with blaming(f"MODEL {path}", "it cannot be set to evaluation"):
        return model.eval()
