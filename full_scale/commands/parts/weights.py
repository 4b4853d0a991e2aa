"""Weights from a file into a network, without pickled code; what does not fit is named in one line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.commands.parts.names import COUNTER, TOP, Placed, few, flat, placed
from mechanisms.system.progress import say
from mechanisms.validation import UserError, first_line, require

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIANCE = "running_var"


def with_weights(model: nn.Module, file: Path, key: str | None = None) -> nn.Module:
    """The network with the weights of a file: itself, or for a file of `full_scale.removal.save` a smaller copy.

    The weights may stand below any key and behind any prefix, beside other things: what is read is said in one line then.
    `key` is the key or prefix where several fit (`.`: none).

    Raises:
        UserError: the file cannot be read, holds no weights or several that fit, or the weights do not fit.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}: give the weights as safetensors or as what torch.save wrote")
    if file.suffix == ".safetensors":
        if _is_shrunk(file):
            from full_scale.removal import load

            require(key is None, "--weights-key", key, "nothing: a file that shrink wrote holds one network")
            return load(file, model)
        content: Any = _read_safetensors(file)
    else:
        content = _read_torch(file)
    found = placed(_held(content, file), model.state_dict(), key, file)
    _put(model, found, file)
    if found.label or found.beside:
        beside = f"; left out beside them: {few(found.beside, 5)}" if found.beside else ""
        say(f"{file}: read {len(found.tensors)} tensors under {found.label or TOP}{beside}")
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


def _held(content: Any, file: Path) -> dict[str, Any]:
    """What a file holds, by its path; raises `UserError` where no weights are among it."""
    import torch

    held = flat(content)
    if not any(isinstance(value, torch.Tensor) for value in held.values()):
        what = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise UserError(f"{file} holds no weights but {what or 'nothing'}: save model.state_dict()")
    return held


def _unfit(name: str, given: Any, own: Any) -> str:
    """Why numbers of the right shape cannot be those of a network; empty if they can."""
    import torch

    if not isinstance(own, torch.Tensor):
        return ""
    if given.layout != torch.strided or given.is_meta or given.is_quantized:
        return "holds no plain numbers (sparse, quantized, or none at all)"
    if own.is_floating_point() and not given.is_floating_point():
        return f"holds {str(given.dtype).removeprefix('torch.')} and not real numbers"
    return "is negative in places" if name.endswith(VARIANCE) and bool((given.float() < 0).any()) else ""


def _put(model: nn.Module, found: Placed, file: Path) -> None:
    own, tensors = model.state_dict(), found.tensors
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTER)]
    sizes = {name: (getattr(tensors[name], "shape", None), getattr(own[name], "shape", None)) for name in tensors}
    shapes = [
        f"{name} has shape {tuple(given or ())} in the file and {tuple(wanted or ())} in the network"
        for name, (given, wanted) in sizes.items()
        if given != wanted
    ]
    problems = [
        *shapes,
        *(f"{name} is not in the file" for name in missing),
        *(f"{name} is not in the network" for name in found.strange),
    ] or [f"{name} {why}" for name in tensors if (why := _unfit(name, tensors[name], own[name]))]
    if problems:
        more = f", and {len(problems) - 1} more differences" if len(problems) > 1 else ""
        if missing or found.strange:
            more += f"; in the network alone: {few(missing)}; in the file alone: {few(found.strange)}"
        where = f"{file}, under {found.label}" if found.label else f"{file}"
        raise UserError(f"the weights do not fit: {problems[0]}{more} ({where}): give those of this {type(model).__name__}")
    model.load_state_dict(tensors, strict=False)
