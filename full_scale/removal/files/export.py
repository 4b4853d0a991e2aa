"""Smaller networks in the formats that others read: safetensors, `torch.export`, ONNX; whole and verified, or not at all."""

from __future__ import annotations

import importlib
import shutil
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.removal.analysis.graph import Inputs, as_inputs, structural_copy
from full_scale.removal.files.saving import save
from full_scale.removal.onnx.network import OnnxNetwork
from full_scale.removal.onnx.reading import package
from full_scale.removal.onnx.runtime import differences
from full_scale.removal.onnx.writing import write_network
from full_scale.removal.report import Report
from full_scale.removal.verification import TOLERANCES, differing, dtype_of, outputs
from mechanisms.validation import UserError, first_line, require

REPORT = ".json"
MARGIN = 10
"""How many times the change that was measured for a removal that is not exact may be found under onnxruntime, on other inputs."""

IN_FOLDER = "network"
"""Name of the files of a network that is written to a folder."""


def destinations(out: Path) -> list[Path]:
    """The files that `write` makes: the network's, one or in a folder two, and the report's beside.

    >>> [str(file) for file in destinations(Path("small.onnx"))]
    ['small.onnx', 'small.json']
    >>> [file.name for file in destinations(Path("small"))]
    ['network.safetensors', 'network.pt2', 'network.json']

    Raises:
        InvalidValue: the format is unknown.
    """
    if not out.suffix:
        stem = out / IN_FOLDER
        return [stem.with_suffix(suffix) for suffix in (".safetensors", ".pt2", REPORT)]
    require(out.suffix in FORMATS, "--out", str(out), f"a name that ends in {', '.join(FORMATS)}, or a folder")
    return [out, out.with_suffix(REPORT)]


def write(network: nn.Module, report: Report, example: Tensor | Inputs, out: Path) -> list[Path]:
    """The files of a network and its report, which appear all or none; those that are there are replaced.

    Each network file is read back and must do the same on `example`; of a network from an ONNX file, as the original file does.

    Raises:
        UserError: a format is unknown or lacks its package, the network cannot be written in it, or the disk refuses.
    """
    files = destinations(out)
    folder = files[0].parent
    partial = folder / f".{out.stem}.{uuid.uuid4().hex[:8]}.partial"
    try:
        partial.mkdir(parents=True)
        for file in files[:-1]:
            _put(structural_copy(network).eval(), report, example, partial / file.name)
        report.to_json(partial / files[-1].name)
        mode = (partial / files[-1].name).stat().st_mode
        for file in reversed(files):
            (partial / file.name).chmod(mode)  # safetensors makes its files readable for their owner alone
            (partial / file.name).replace(file)
    except OSError as problem:
        raise UserError(f"{out} could not be written ({problem.strerror}): choose another with --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def _put(network: nn.Module, report: Report, example: Tensor | Inputs, file: Path) -> None:
    if isinstance(network, OnnxNetwork) and file.suffix == ".onnx":
        write_network(network, file)
        differences(network, file, float(report.changes["relative"].max() * MARGIN) if len(report.changes) else 0.0)
    elif isinstance(network, OnnxNetwork):
        raise UserError(f"a network from an ONNX file is not written as {file.suffix}: use .onnx")
    else:
        FORMATS[file.suffix](network, example, file)


def write_program(network: nn.Module, example: Tensor | Inputs, file: Path) -> None:
    """A program of `torch.export`, which torch.export.load reads without the network's code; any number of images, if it can be.

    Raises:
        UserError: the network cannot be exported, or does something else when it is.
    """
    images = _two(example)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(_program(network, images), file)
        again: Any = torch.export.load(file).module()
    _require_same(network, images, lambda: outputs(again, images), file)


def write_onnx(network: nn.Module, example: Tensor | Inputs, file: Path) -> None:
    """An ONNX model; any number of images, if it can be.

    Raises:
        UserError: the packages are missing, or the network cannot be exported, or does something else when it is.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        package(name)
    images = _two(example)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = _program(network, images)
        try:
            torch.onnx.export(program, dynamo=True, verbose=False).save(str(file), external_data=False)  # type: ignore[union-attr]
        except Exception as problem:
            raise UserError(f"the network cannot be written as ONNX: {first_line(problem)}") from None
    _require_same(network, images, lambda: _run_onnx(file, images), file)


def _write_safetensors(network: nn.Module, example: Tensor | Inputs, file: Path) -> None:
    save(network, file)


FORMATS: dict[str, Callable[[nn.Module, Tensor | Inputs, Path], None]] = {
    ".safetensors": _write_safetensors,
    ".pt2": write_program,
    ".onnx": write_onnx,
}
"""Suffix → what writes a network in that format."""


def _two(example: Tensor | Inputs) -> Inputs:
    """Two images for each input: an exporter takes a single one for a size that is fixed."""
    return tuple(torch.cat([part, part])[:2].contiguous() if part.dim() else part for part in as_inputs(example))


def _program(network: nn.Module, images: Inputs) -> torch.export.ExportedProgram:
    problems = []
    number = torch.export.Dim("images", min=1)
    for sizes in (tuple({0: number} if part.dim() else {} for part in images), None):
        try:
            return torch.export.export(network, images, dynamic_shapes=sizes)
        except Exception as problem:
            problems.append(problem)
    raise UserError(f"the network cannot be exported: {first_line(problems[-1])}") from None


def _run_onnx(file: Path, images: Inputs) -> list[Tensor]:
    session = importlib.import_module("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = zip(session.get_inputs(), images, strict=True)
    found = session.run(None, {entry.name: part.numpy(force=True) for entry, part in given})
    return [torch.from_numpy(part).double() for part in found]


def _require_same(network: nn.Module, images: Inputs, run: Callable[[], list[Tensor]], file: Path) -> None:
    """Raises `UserError` unless what was written runs, and puts out what the network does."""
    dtype = dtype_of(network)
    try:
        found = run()
    except Exception as problem:
        raise UserError(f"what was written as {file.suffix} does not run: {first_line(problem)}") from None
    apart = differing(dtype, file.suffix, images, outputs(network, images), found).relative
    if not apart <= TOLERANCES[dtype]:
        raise UserError(f"what was written as {file.suffix} is another function: its outputs differ by {apart:.2g}")
