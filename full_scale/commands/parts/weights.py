"""Weights from a file into a network, without pickled code; what does not fit is named in one line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechanisms.validation import UserError, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

NESTED = ("state_dict", "model_state_dict", "model", "module", "net", "network")
"""Keys under which training programs save the weights beside other things."""
PREFIXES = ("module.", "_orig_mod.")
"""What data parallelism and compilation put before every name."""
VARIANCE = "running_var"
COUNTER = "num_batches_tracked"
"""A buffer that older files lack, and that no output depends on."""


def with_weights(model: nn.Module, file: Path) -> nn.Module:
    """The network with the weights of a file: itself, or for a file of `full_scale.removal.save` a smaller copy.

    Raises:
        UserError: the file cannot be read, holds more or other things than weights, or the weights do not fit.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}: give the weights as safetensors or as what torch.save wrote")
    if file.suffix == ".safetensors":
        if _is_shrunk(file):
            from full_scale.removal import load

            return load(file, model)
        tensors: Any = _read_safetensors(file)
    else:
        tensors = _state_dict(_read_torch(file), file)
    _put(model, _without_prefixes(tensors), file)
    return model


def _opened(file: Path) -> Any:
    """The file, open; its errors come when it is entered."""
    try:
        import safetensors
    except ImportError:
        raise UserError(f"reading {file} needs the package safetensors: pip install safetensors") from None
    try:
        return safetensors.safe_open(str(file), "pt")
    except safetensors.SafetensorError as problem:
        raise UserError(f"{file} is not a safetensors file ({problem}): give another file") from None


def _is_shrunk(file: Path) -> bool:
    from full_scale.removal.files.saving import HEADER

    with _opened(file) as opened:
        return HEADER in (opened.metadata() or {})


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    with _opened(file) as opened:
        try:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        except Exception as problem:  # sizes that cannot be, types of numbers that torch does not have
            raise UserError(f"{file} cannot be read as weights ({first_line(problem)}): give another file") from None


def _read_torch(file: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):  # of a file's version: it is read, or refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise UserError(
            f"{file} cannot be read as weights ({_why(problem)}): save model.state_dict(), by torch.save or as safetensors"
        ) from None


def _why(problem: Exception) -> str:
    """What torch says of a file that it does not read, in a few words."""
    said = str(problem) or type(problem).__name__
    if "Unsupported operand" in said:
        return "it is damaged, or was not saved in pickle protocol 2, the default of torch.save"
    return "it holds a pickled module or other code" if "eights only" in said else first_line(problem)[:120]


def _state_dict(content: Any, file: Path) -> Mapping[str, Any]:
    """The weights in what a file holds: all of it, or what stands under a usual key."""
    import torch

    for candidate in (content, *(content.get(key) for key in NESTED if isinstance(content, Mapping))):
        if isinstance(candidate, Mapping) and any(isinstance(value, torch.Tensor) for value in candidate.values()):
            return candidate
    held = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
    raise UserError(f"{file} holds no weights but {held or 'nothing'}: save model.state_dict()")


def _without_prefixes(tensors: Mapping[Any, Any]) -> dict[str, Any]:
    found = {str(name): value for name, value in tensors.items()}
    while prefix := next((p for p in PREFIXES if found and all(name.startswith(p) for name in found)), None):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _unfit(name: str, given: Tensor, own: Tensor) -> str:
    """Why numbers of the right shape cannot be those of a network; empty if they can."""
    import torch

    if given.layout != torch.strided or given.is_meta or given.is_quantized:
        return "holds no plain numbers (sparse, quantized, or none at all)"
    if own.is_floating_point() and not given.is_floating_point():
        return f"holds {str(given.dtype).removeprefix('torch.')} and not real numbers"
    return "is negative in places" if name.endswith(VARIANCE) and bool((given.float() < 0).any()) else ""


def _put(model: nn.Module, tensors: dict[str, Any], file: Path) -> None:
    own = model.state_dict()
    strange = [f"{name} is not in the network" for name in tensors if name not in own]
    missing = [f"{name} is not in the file" for name in own if name not in tensors and not name.endswith(COUNTER)]
    shapes = [
        f"{name} has shape {tuple(getattr(tensors[name], 'shape', ()))} in the file and {tuple(own[name].shape)} in the network"
        for name in own
        if name in tensors and getattr(tensors[name], "shape", None) != own[name].shape
    ]
    problems = [*shapes, *missing, *strange] or [
        f"{name} {why}" for name in own if name in tensors and (why := _unfit(name, tensors[name], own[name]))
    ]
    if problems:
        more = f", and {len(problems) - 1} more differences" if len(problems) > 1 else ""
        raise UserError(f"the weights do not fit: {problems[0]}{more} ({file}): give those of this {type(model).__name__}")
    model.load_state_dict(tensors, strict=False)
