"""Smaller networks on disk: safetensors with a JSON header that says what sizes each module has; no code, no pickle."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from full_scale.removal.analysis.computed import made_plain
from full_scale.removal.analysis.graph import structural_copy
from full_scale.removal.surgery import adjust_sizes, relist
from mechanisms.system.files import parse_json
from mechanisms.validation import UserError, first_line

HEADER, FORMAT = "full_scale.removal", 1
SIZES: dict[type[nn.Module], tuple[str, ...]] = {
    _ConvNd: ("in_channels", "out_channels", "groups"),
    nn.Linear: ("in_features", "out_features"),
    _NormBase: ("num_features",),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.RNNBase: ("input_size",),
    nn.RNNCellBase: ("input_size",),
    nn.PReLU: ("num_parameters",),
}
"""Class of module → the attributes that removal changes."""


def save(model: nn.Module, path: str | Path) -> None:
    """Writes the weights of a network as safetensors; the header says sizes and class of each module, as JSON.

    Raises:
        UserError: safetensors is not installed, the file exists, or it cannot be written: it is whole or not there.
    """
    file = Path(path)
    if file.exists():
        raise UserError(f"{file} exists: choose another name or remove it")
    tensors = _numbers(model)
    first = {id(tensor): name for name, tensor in reversed(tensors.items())}
    header = {
        "format": FORMAT,
        "modules": {name: _description(part) for name, part in model.named_modules()},
        "same": {name: first[id(tensor)] for name, tensor in tensors.items() if first[id(tensor)] != name},
    }
    own = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items() if first[id(tensor)] == name}
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
    safetensors = _safetensors()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        safetensors.save_file(own, str(partial), metadata={HEADER: json.dumps(header, ensure_ascii=False)})
        partial.rename(file)
    except Exception as problem:
        raise UserError(f"{file} could not be written ({first_line(problem)}): choose another name") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _numbers(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by all of their names; also the buffers that a state_dict leaves out, which shrink too."""
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise UserError("saving and loading need the package safetensors: pip install safetensors") from None
    return safetensors.torch


def _description(part: nn.Module) -> dict[str, Any]:
    sizes = {field: getattr(part, field) for field in _size_fields(part)}
    return {"class": type(part).__name__} | sizes | {"attributes": dict(_own_sizes(part))}


def _own_sizes(part: nn.Module) -> Iterator[tuple[str, Any]]:
    """Whole numbers, and lists and tuples of them, that the user's code holds: some may be sizes."""
    for name, value in vars(part).items():
        entries = value if type(value) in (list, tuple) else [value]
        if entries and all(type(entry) is int for entry in entries) and not type(part).__module__.startswith("torch.nn."):
            yield name, value


def _size_fields(part: nn.Module) -> tuple[str, ...]:
    known = next((fields for cls, fields in SIZES.items() if isinstance(part, cls)), ())
    return known or (("groups",) if isinstance(getattr(part, "groups", None), int) else ())


def load(path: str | Path, into: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    """The network that was saved: a copy of `into`, or of what it returns, with the sizes and weights of the file.

    Args:
        path: a file written by `save`.
        into: a network of the same code before anything was removed (its weights do not matter), or a function that makes one.

    Raises:
        UserError: the file is not one of `save`, or the network is another one.
    """
    header, tensors = _read(Path(path))
    fresh = into() if callable(into) and not isinstance(into, nn.Module) else into
    if not isinstance(fresh, nn.Module):
        raise UserError(f"into gives {type(fresh).__name__}, not a network: give a torch.nn.Module or a function that makes one")
    model = structural_copy(fresh if set(_numbers(fresh)) <= {*tensors, *header["same"]} else made_plain(fresh))
    described = {name: str(part["class"]) for name, part in header["modules"].items()}
    present = {name: type(part).__name__ for name, part in model.named_modules()}
    for name in sorted({*described, *present}):
        if described.get(name) != present.get(name):
            found, wanted = (group.get(name, "nothing") for group in (present, described))
            raise UserError(f"{path} was saved from another network: {name or 'the whole'} is {found} here and {wanted} there")
    _put_all(model, tensors, header["same"], str(path))
    for name, part in model.named_modules():
        saved = header["modules"][name]
        relist(part)
        adjust_sizes(part, saved.get("groups", saved.get("num_groups")))
        _restate(part, saved.get("attributes", {}))
    return model


def _restate(part: nn.Module, attributes: dict[str, Any]) -> None:
    """Puts the sizes that the saved network's attributes held in the place of those of the same kind."""
    for name, value in list(_own_sizes(part)):
        saved = attributes.get(name)
        if type(saved) is int and type(value) is int:
            setattr(part, name, saved)
        elif type(saved) is list and type(value) is not int and all(type(entry) is int for entry in saved):
            setattr(part, name, type(value)(saved))


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    torch_side = _safetensors()
    import safetensors

    if not file.is_file():
        raise UserError(f"{file} is not a file: give one that full_scale.removal.save has written")
    try:
        with safetensors.safe_open(str(file), "pt") as opened:
            text = (opened.metadata() or {}).get(HEADER)
    except safetensors.SafetensorError as problem:
        raise UserError(f"{file} is not a safetensors file: {first_line(problem)}") from None
    try:
        header = parse_json(text or "{}")
        known = header["format"] == FORMAT and all(isinstance(part["class"], str) for part in header["modules"].values())
        tensors = torch_side.load_file(str(file))
        known = known and all(isinstance(part.get("attributes", {}), dict) for part in header["modules"].values())
        known = known and set(header["same"].values()) <= set(tensors)
    except (ValueError, TypeError, KeyError, AttributeError, safetensors.SafetensorError):
        known = False
    if not known:
        raise UserError(f"{file} does not say the sizes of its modules: give one that full_scale.removal.save has written")
    return header, tensors


@torch.no_grad()
def _put_all(model: nn.Module, tensors: dict[str, Tensor], same: dict[str, str], path: str) -> None:
    """Replaces all parameters and buffers by those of a file, which must be the same ones but for new biases."""
    expected, owners = set(_numbers(model)), dict(model.named_modules(remove_duplicate=False))
    there = {*tensors, *same}
    strange = [name for name in there - expected if not _may_be_made(name, owners)]
    if strange or expected - there:
        alone = f"in the file alone: {_few(strange)}; in the network alone: {_few(expected - there)}"
        raise UserError(f"{path} was saved from another network; {alone}")
    made: dict[str, Tensor] = {}
    for name in [*tensors, *same]:
        owner_name, _, field = name.rpartition(".")
        owner = owners.get(owner_name, model)
        old = owner._parameters.get(field, owner._buffers.get(field))
        given = tuple(tensors[same.get(name, name)].shape)
        if old is not None and old.dim() != len(given):
            raise UserError(f"{path} was saved from another network: {name} has shape {given} there and {tuple(old.shape)} here")
        if name in same:
            new = made[same[name]]
        elif field in owner._buffers:
            new = tensors[name]
        else:
            new = nn.Parameter(tensors[name], tensors[name].is_floating_point() and (old is None or old.requires_grad))
        made[name] = new
        held: dict[str, Any] = owner._buffers if field in owner._buffers else owner._parameters
        held[field] = new


def _may_be_made(name: str, owners: dict[str, nn.Module]) -> bool:
    """Whether a name is that of a bias that its module has none of yet: `shrink` makes such."""
    path, _, field = name.rpartition(".")
    return path in owners and field == "bias" and field in owners[path]._parameters


def _few(names: Iterable[str]) -> str:
    listed = sorted(names)
    return (", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")) or "nothing"
