"""Files under onnxruntime: whether a network is what its file says, and a smaller file the same function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from full_scale.removal.onnx.network import OnnxNetwork
from full_scale.removal.onnx.reading import OnnxFile, OnnxInput, package
from full_scale.removal.verification import TOLERANCES, Difference, cast_all, differing, in_double
from mechanisms.validation import UserError, first_line

RUNTIME = "onnxruntime"
MARGIN = 100
"""How much further than two networks of torch a file and its network may be apart: onnxruntime has sigmoids to 1e-7 only."""

ROUNDING = 10
"""How many times the original's own error under onnxruntime, as compared with float64, two files may be apart."""

SEED = 20
"""Of the inputs, which no other check uses."""


class Session:
    """An ONNX file, or the content of one, to be run by onnxruntime on the CPU.

    Raises:
        UserError: onnxruntime is not installed, or does not read it.
    """

    def __init__(self, file: Path) -> None:
        runtime = package("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads, options.inter_op_num_threads = 4, 1, 1
        try:
            self.session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as problem:
            raise UserError(f"onnxruntime does not read {file}: {first_line(problem)}") from None

    def __call__(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Name of an output → what the file puts out, in float64; outputs that are no tensors are left out."""
        names = [given.name for given in self.session.get_inputs()]
        found = self.session.run(None, {name: part.numpy() for name, part in zip(names, inputs, strict=False)})
        outputs = [entry.name for entry in self.session.get_outputs()]
        arrays = {name: part for name, part in zip(outputs, found, strict=True) if isinstance(part, np.ndarray)}
        return {name: torch.from_numpy(part).double() for name, part in arrays.items() if part.dtype.kind in "fiub"}


@torch.no_grad()
def require_read_right(network: OnnxNetwork) -> None:
    """Raises `UserError` unless the network puts out what onnxruntime does with the file; nothing without onnxruntime."""
    try:
        expected = Session(network.file.path)(network.example)
    except Exception:
        return  # not installed, or of a type or with sizes that onnxruntime does not run on the CPU
    if not all(bool(part.isfinite().all()) for part in expected.values()):
        return  # the weights are not finite, which is said of them by name, or the input is none that the network is for
    dtype = dtype_of_file(network)
    apart = _apart(dtype, network.example, named_outputs(network, network.example), expected)
    if not apart <= MARGIN * TOLERANCES[dtype]:
        raise UserError(
            f"{network.file.path} is not read as onnxruntime runs it, the outputs differ by {apart:.2g}: nothing is said of it"
        )


def named_outputs(network: OnnxNetwork, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Name of an output of the file → what the network puts out, in float64, where that is covered."""
    values = network.values(*inputs)
    found = {name: values.get(network.alias.get(name, name)) for name in network.file.outputs}
    return {name: value.double() for name, value in found.items() if isinstance(value, Tensor)}


def _in_double(network: OnnxNetwork, inputs: Sequence[Tensor]) -> dict[str, Tensor] | None:
    """The outputs in float64; None where the network does not run so."""
    try:
        return named_outputs(cast(OnnxNetwork, in_double(network)), cast_all([tuple(inputs)], torch.float64)[0])
    except Exception:
        return None


def _apart(dtype: torch.dtype, inputs: Sequence[Tensor], expected: dict[str, Tensor], found: dict[str, Tensor]) -> float:
    names = [name for name in expected if name in found]
    pair = [expected[name] for name in names], [found[name] for name in names]
    return differing(dtype, RUNTIME, tuple(inputs), *pair).relative


def dtype_of_file(network: OnnxNetwork) -> torch.dtype:
    """The coarsest type of real numbers among the file's parameters."""
    found = {part.dtype for part in network.parameters() if part.is_floating_point()}
    return max(found, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float32)


@torch.no_grad()
def differences(network: OnnxNetwork, smaller: Path, limit: float = 0.0) -> list[Difference]:
    """How far a smaller file is from the original under onnxruntime, on new inputs of the example's size and of others.

    Args:
        network: of the original file.
        smaller: the file that was written.
        limit: the largest change that a removal which is not exact may make, relative to the largest output.

    Raises:
        UserError: the smaller file does not run, or is another function.
    """
    pair = Session(network.file.path), Session(smaller)
    rows: list[Difference] = []
    dtype, generator = dtype_of_file(network), torch.Generator().manual_seed(SEED)
    for sizes in _sizes(network.file, network.example):
        inputs = [_drawn(part, size, generator) for part, size in zip(network.example, sizes, strict=True)]
        try:
            expected = pair[0](inputs)
        except Exception as problem:
            if not rows:
                raise UserError(f"onnxruntime does not run {network.file.path}: {first_line(problem)}") from None
            continue  # the original does not take this size
        try:
            found = pair[1](inputs)
        except Exception as problem:
            raise UserError(f"what was written does not run under onnxruntime: {first_line(problem)}") from None
        rows.append(differing(dtype, RUNTIME, tuple(inputs), list(expected.values()), list(found.values())))
        exact = _in_double(network, inputs)
        rounding = 0.0 if exact is None else _apart(dtype, inputs, exact, expected)
        if not rows[-1].relative <= max(TOLERANCES[dtype], ROUNDING * rounding, limit):
            raise UserError(
                f"what was written is another function under onnxruntime, its outputs differ by {rows[-1].relative:.2g}:"
                " nothing was written"
            )
    return rows


def _sizes(file: OnnxFile, example: Sequence[Tensor]) -> list[list[list[int]]]:
    """The example's shapes, and where the file leaves sizes open, some with other ones there."""
    own = [list(part.shape) for part in example]
    changes: list[Any] = [lambda axis, size: size, lambda axis, size: 2 * size if not axis else size + 32 if axis > 1 else size]
    changes += [lambda axis, size: 2 * size if axis != 1 else size, lambda axis, size: size if not axis else max(1, size // 2)]
    found = [[_changed(change, *pair) for pair in zip(own, file.inputs, strict=True)] for change in changes]
    return [sizes for number, sizes in enumerate(found) if sizes not in found[:number]]


def _changed(change: Callable[[int, int], int], own: list[int], given: OnnxInput) -> list[int]:
    """Sizes with others where the file leaves them open, but not that of the channels of images."""
    opened = [size is None and not (axis == 1 and len(own) == 4) for axis, size in enumerate(given.sizes)]
    return [change(axis, size) if free else size for axis, (size, free) in enumerate(zip(own, opened, strict=True))]


def _drawn(part: Tensor, size: Sequence[int], generator: torch.Generator) -> Tensor:
    if not part.is_floating_point():
        return torch.ones(list(size), dtype=part.dtype)
    return torch.randn(list(size), generator=generator).to(part.dtype)
