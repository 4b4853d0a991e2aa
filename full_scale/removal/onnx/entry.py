"""Audit and shrink an ONNX file from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from full_scale.removal.files.export import write
from full_scale.removal.onnx.building import read_onnx
from full_scale.removal.report import Audit, Report
from full_scale.removal.shrinking import Options, audit, removal
from mechanisms.validation import UserError, require


def audit_onnx(path: str | Path, size: Sequence[int] | None = None, **evidence: Any) -> Audit:
    """Tell what is dead in an ONNX file and why, and what could be removed.

    Args:
        path: an ONNX file of opset 9 or later.
        size: see `read_onnx`.
        evidence: keyword arguments of `audit`.

    Raises:
        UserError: the file cannot be read, or as `audit`.
    """
    network = read_onnx(path, size)
    return audit(network, network.example, **evidence)


def shrink_onnx(path: str | Path, out: str | Path, size: Sequence[int] | None = None, **options: Unpack[Options]) -> Report:
    """Write a smaller ONNX file that computes the same function, and its report as JSON beside it.

    Both files are compared under onnxruntime on inputs that nothing else saw.

    Args:
        path: an ONNX file of opset 9 or later.
        out: the smaller file, which must not exist; names, opset, open sizes and what is not covered are those of the original.
        size: see `read_onnx`.
        options: keyword arguments of `shrink`.

    Raises:
        UserError: the file cannot be read or written, or as `shrink`.
    """
    file = Path(out)
    require(file.suffix == ".onnx", "out", str(out), "a name that ends in .onnx")
    if file.exists():
        raise UserError(f"{file} exists: choose another name or remove it")
    network = read_onnx(path, size)
    done = removal(network, network.example, options)
    write(done.model, done.report, network.example, file)
    return done.report
