"""Whether two networks compute the same function, on random inputs of two sizes and on the user's images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from full_scale.removal.analysis.constants import InputRange
from full_scale.removal.analysis.graph import Inputs, structural_copy, to_double
from mechanisms.validation import UserError, first_line

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest relative difference that exact removal may make, by the dtype the networks run in."""

SCALES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda numbers: 0.01 * numbers,
    lambda numbers: 30 * numbers.abs(),
    lambda numbers: -30 * numbers.abs(),
    lambda numbers: 1000 * numbers,
)
"""What is done to random inputs so that what is closed for some is open for others."""

ENDS: tuple[Callable[[Tensor], Tensor], ...] = (torch.isnan, torch.isfinite, lambda numbers: numbers > 0)
"""Where the inputs are the highest of a range, else the lowest: nowhere, everywhere, at random."""

GROWTH = 8
"""Pixels by which the second input is larger than small images; of large ones it has half the size."""

LARGE = 64
"""Pixels from which images are large: a comparison costs a fourth at half the size."""


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart on one input; each output tensor relative to the original's largest |number| in it."""

    dtype: str
    input: str
    shape: tuple[int, ...]
    absolute: float
    relative: float


def differing(dtype: torch.dtype, kind: str, inputs: Inputs, expected: list[Tensor], found: list[Tensor]) -> Difference:
    """The difference between two lists of outputs; infinite where shapes or the places of non-finite numbers differ."""
    absolute = relative = 0.0
    if [tuple(part.shape) for part in expected] != [tuple(part.shape) for part in found]:
        absolute = relative = float("inf")
    else:
        for a, b in zip(expected, found, strict=True):
            if a.numel() and not torch.equal(a, b):
                gap = torch.where(a == b, 0.0, (a - b).abs()).nan_to_num(nan=float("inf")).max().item()
                scale = torch.where(a.isfinite(), a, 0.0).abs().max().item()
                absolute, relative = max(absolute, gap), max(relative, gap / scale if scale else float("inf"))
    return Difference(str(dtype).removeprefix("torch."), kind, tuple(inputs[0].shape), absolute, relative)


@torch.no_grad()
def outputs(network: nn.Module, inputs: Inputs) -> list[Tensor]:
    """All tensors that a network puts out, in float64 if they hold real numbers."""
    leaves = [leaf for leaf in tree_leaves(_plain(network(*inputs))) if isinstance(leaf, Tensor)]
    if not leaves:
        raise UserError("the network puts out no tensors that could be compared")
    return [leaf.double() for leaf in leaves]


def _plain(result: Any) -> Any:
    return dict(result) if isinstance(result, dict) else result


class _DoesNotRun(UserError):
    """A network that takes none of the sizes tried."""


Trial = tuple[Inputs, list[Tensor]]
"""Inputs, and what a network puts out on them."""


def random_trials(network: nn.Module, example: Inputs, input_range: InputRange | None) -> list[Trial]:
    """A network on random inputs of the example's size with two images, and on one image of another size if it takes that.

    The other size is half the example's for large images, if the network takes that, and else larger.

    Inputs are normal, or uniform within `input_range`; whole-number inputs are the example itself.
    """
    generator = torch.Generator().manual_seed(0)
    found = [_first_that_runs(network, generator, example, input_range, [_batch(example, 2), _sizes(example)])]
    others = [[length + GROWTH if axis >= 2 else length for axis, length in enumerate(part)] for part in _batch(example, 1)]
    doubled = [[2 * length if axis >= 2 else length for axis, length in enumerate(part)] for part in _batch(example, 1)]
    halved = [[length // 2 if axis >= 2 else length for axis, length in enumerate(part)] for part in _batch(example, 1)]
    candidates = [others, doubled] if any(len(part) > 2 for part in others) else [_batch(example, 3)]
    candidates = [halved, *candidates] if is_large(example) else candidates
    with suppress(_DoesNotRun):
        found.append(_first_that_runs(network, generator, example, input_range, candidates))
    return found


def is_large(inputs: Inputs) -> bool:
    """Whether inputs are images with many pixels."""
    sides = [length for part in inputs for length in part.shape[2:]]
    return bool(sides) and min(sides) >= LARGE


def scaled_inputs(example: Inputs, input_range: InputRange | None) -> list[Inputs]:
    """One random image of each of several sizes and signs of its numbers, in float64; none where inputs are whole numbers.

    Within `input_range`, if that is given, they are its ends: the lowest, the highest, and both at random.
    """
    if not any(part.is_floating_point() for part in example):
        return []
    generator = torch.Generator().manual_seed(1)
    sizes = _batch(example, 1)
    images = tuple(_random(part, size, generator, None) for part, size in zip(example, sizes, strict=True))
    return [
        tuple(_scaled(part, number, input_range) if part.is_floating_point() else part for part in images)
        for number in range(len(SCALES if input_range is None else ENDS))
    ]


def _scaled(part: Tensor, number: int, input_range: InputRange | None) -> Tensor:
    if input_range is None:
        return SCALES[number](part.double())
    low, high = (_spread(torch.as_tensor(end), part.double()) for end in input_range)
    return torch.where(ENDS[number](part), high, low)


def _spread(end: Tensor, part: Tensor) -> Tensor:
    """An end of a range, one number or one a channel, to be broadcast to inputs."""
    return (end.view(-1, *[1] * (part.dim() - 2)) if end.dim() else end).to(part)


Sizes = list[list[int]]


def _sizes(example: Inputs) -> Sizes:
    return [list(part.shape) for part in example]


def _batch(example: Inputs, images: int) -> Sizes:
    return [[images, *part.shape[1:]] for part in example]


def _first_that_runs(
    network: nn.Module, generator: torch.Generator, example: Inputs, input_range: InputRange | None, candidates: list[Sizes]
) -> Trial:
    problem = ""
    for sizes in candidates:
        inputs = tuple(_random(part, size, generator, input_range) for part, size in zip(example, sizes, strict=True))
        try:
            found = outputs(network, inputs)
        except Exception as raised:
            problem = first_line(raised)
            continue
        if any(bool(part.isnan().any()) for part in found):
            raise UserError("the network puts out NaN on random inputs, so nothing can be proved: check its weights")
        return inputs, found
    raise _DoesNotRun(f"the network does not run on random inputs: {problem}")


def _random(part: Tensor, size: list[int], generator: torch.Generator, input_range: InputRange | None) -> Tensor:
    if not part.is_floating_point():
        return part
    if input_range is None:
        return torch.randn(size, generator=generator).to(part)
    share = torch.rand(size, generator=generator).double()
    low, high = (_spread(torch.as_tensor(end), share) for end in input_range)
    return (low + (high - low) * share).to(part)


def dtype_of(network: nn.Module) -> torch.dtype:
    """The dtype of a network's parameters, the coarsest if there are several; float32 without parameters."""
    found = {tensor.dtype for tensor in network.parameters() if tensor.is_floating_point()}
    return max(found, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float32)


def cast_all(inputs: list[Inputs], dtype: torch.dtype) -> list[Inputs]:
    """The inputs with real numbers in another dtype."""
    return [tuple(part.to(dtype) if part.is_floating_point() else part for part in group) for group in inputs]


def all_outputs(network: nn.Module, inputs: list[Inputs]) -> list[list[Tensor]]:
    """What a network puts out on each of the inputs, in evaluation mode; the network's own mode is not touched."""
    evaluated = structural_copy(network).eval()
    return [outputs(evaluated, group) for group in inputs]


def in_double(network: nn.Module) -> nn.Module:
    """A copy of a network in float64, in evaluation mode."""
    return structural_copy(network, to_double).eval()


def outputs_in_double(network: nn.Module, inputs: list[Inputs]) -> list[list[Tensor]]:
    """What a network puts out in float64, in evaluation mode; the network itself is not touched."""
    doubled = in_double(network)
    return [outputs(doubled, group) for group in inputs]


def all_differences(
    expected: list[list[Tensor]],
    smaller: nn.Module,
    inputs: list[Inputs],
    dtype: torch.dtype,
    kind: str,
    run: Callable[[nn.Module, list[Inputs]], list[list[Tensor]]] = all_outputs,
) -> list[Difference]:
    """How far a smaller network is from the expected outputs on each of the inputs.

    Raises:
        UserError: the smaller network does not run.
    """
    try:
        found = run(smaller, inputs)
    except Exception as problem:
        raise UserError(f"the smaller network does not run: {first_line(problem)}") from None
    return [differing(dtype, kind, *group) for group in zip(inputs, expected, found, strict=True)]
