"""The arguments that `audit` and `shrink` share, and what they mean."""

from __future__ import annotations

import functools
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mechanisms.command_line.options import json_option, option, together
from mechanisms.validation import UserError, require, require_whole

if TYPE_CHECKING:
    from torch import Tensor, nn


MOST_CLASSES = 10**6
MOST_NUMBERS = 1 << 28
"""In one input: a gigabyte in float32."""


@dataclass(frozen=True)
class Given:
    """What a command line says of a network and of how it is judged, each word as it was typed."""

    model: str
    overrides: tuple[str, ...]
    weights: Path | None
    weights_key: str | None
    input: tuple[str, ...]
    classes: int | None
    data: str | None
    most_images: int | None
    input_range: str | None
    scale_threshold: float
    dust: float
    largest_change: float | None


_OPTIONS = together(
    click.argument("model"),
    click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]..."),
    option("--weights FILE", "safetensors, or what torch.save wrote (weights only).", type=Path),
    option("--weights-key KEY", "Key or prefix of the weights in it, where several fit (.: none)."),
    option("--input 1,3,224,224", "Size of an input, once for each; known of a record.", multiple=True),
    option("--classes N", "Of a named network (10, or those of the record).", type=int),
    option("--data FILE", "Images in .npy or .npz, as the network sees them, or a data set's name."),
    option("--most-images N", "Use at most the first N of them.", type=int),
    option("--input-range LOW,HIGH", "Of all inputs, such as -1,1; or the low then the high of each channel."),
    option("--scale-threshold X", "Scales up to this count as 0.", 0.0),
    option("--dust X", "Filters whose weights are at most this share of their layer's usual norm count as 0 (1e-6).", 0.0),
    option("--largest-change X", "Choose --dust by how much of the output removing it may change (1e-5).", type=float),
    option("--force", "Replace what --out names."),
    json_option,
)


def network_options(function: Callable[..., None]) -> Callable[..., Any]:
    """Let a command take MODEL and what says how it is judged; the function gets them as one `Given`, and `force`, `as_json`."""
    names = [field.name for field in fields(Given)]

    @functools.wraps(function)
    def with_given(**words: Any) -> None:
        given = Given(**{name: words.pop(name) for name in names})
        function(given, **words)

    return _OPTIONS(with_given)


def shrinking(given: Given) -> str:
    """The command line that removes what an audit with these words finds.

    >>> shrinking(Given("net.onnx", (), None, None, ("1,3,32,32",), None, None, None, None, 0.0, 1e-6, None))
    'python -m full_scale shrink net.onnx --input 1,3,32,32 --dust 1e-06 --out small.onnx'
    """
    out = "small.onnx" if is_onnx(given.model) else "small.safetensors"
    words = ["python", "-m", "full_scale", "shrink", given.model, *given.overrides]
    for field in fields(Given)[2:]:
        value = getattr(given, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if one not in (None, 0.0):
                words += [f"--{field.name.replace('_', '-')}", str(one)]
    return shlex.join([*words, "--out", out])


@dataclass(frozen=True)
class Asked:
    """What a command line asks about: a network, its input or inputs, and the evidence that `full_scale.removal.audit` takes."""

    model: nn.Module
    example: Tensor | tuple[Tensor, ...]
    evidence: dict[str, Any]


def asked_by(given: Given) -> Asked:
    """The network with its weights, an input and the evidence that are meant.

    Raises:
        UserError: an option is not valid.
    """
    from full_scale.commands.parts.images import images_of
    from full_scale.removal.verification import dtype_of

    bounds = _range(given.input_range)
    if given.classes is not None:
        require_whole("--classes", given.classes, 1, MOST_CLASSES)
    if given.most_images is not None:
        require_whole("--most-images", given.most_images, 1)
    model, example = _of_file(given) if is_onnx(given.model) else _of_network(given)
    images = None if given.data is None else images_of(given.data, given.most_images, dtype_of(model))
    evidence = {"data": images, "input_range": bounds, "scale_threshold": given.scale_threshold}
    evidence |= {"dust": given.dust, "largest_change": given.largest_change}
    return Asked(model, example, evidence)


def is_onnx(model: str) -> bool:
    """Whether MODEL names an ONNX file."""
    return model.endswith(".onnx")


def _of_file(given: Given) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """An ONNX file, which holds the network and its weights."""
    from full_scale.removal.onnx.building import read_onnx

    for name in ("weights", "weights_key", "classes"):
        value = getattr(given, name)
        require(value is None, f"--{name.replace('_', '-')}", value, "nothing: an ONNX file holds network and weights")
    require(not given.overrides, "field=value", given.overrides[:1], "nothing: an ONNX file says what its network is")
    require(len(given.input) <= 1, "--input", given.input, "it once: the size of the first input of an ONNX file")
    network = read_onnx(given.model, *map(_size, given.input))
    return network, network.example


def _of_network(given: Given) -> tuple[nn.Module, Tensor | tuple[Tensor, ...]]:
    import torch

    from full_scale.removal.verification import dtype_of

    sizes = _sizes(given)
    model, generator = _network(given, sizes), torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(size, generator=generator).to(dtype_of(model)) for size in sizes)
    return model, inputs[0] if len(inputs) == 1 else inputs


def _network(given: Given, sizes: list[tuple[int, ...]]) -> nn.Module:
    from full_scale.commands.parts.networks import network_of
    from full_scale.commands.parts.weights import with_weights

    model, has_own = network_of(given.model, given.overrides, sizes, given.classes)
    if given.weights is None and not has_own:
        raise UserError(f"{given.model} says what the network is but holds no weights: give them with --weights FILE")
    if given.weights is None:
        require(given.weights_key is None, "--weights-key", given.weights_key, "it with --weights FILE")
        return model.eval()
    return with_weights(model, given.weights, given.weights_key).eval()


def _sizes(given: Given) -> list[tuple[int, ...]]:
    from full_scale.commands.parts.networks import record_of

    if not given.input:
        spec = record_of(given.model)
        if spec is None:
            raise UserError("--input is missing: give the size of an input, such as --input 1,3,224,224")
        return [(1, *spec.data.shape)]
    return [_size(text) for text in given.input]


def _size(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    valid = len(parts) > 1 and all(re.fullmatch(r"\s*[0-9]{1,10}\s*", part) and int(part) > 0 for part in parts)
    require(valid, "--input", text, "whole numbers above 0 with the images first, such as 1,3,224,224")
    size = tuple(map(int, parts))
    require(math.prod(size) <= MOST_NUMBERS, "--input", text, f"an input of at most {MOST_NUMBERS} numbers")
    return size


def _range(text: str | None) -> tuple[Any, Any] | None:
    """Smallest and largest input: two numbers, or two tensors with one number a channel."""
    if text is None:
        return None
    import torch

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    require(
        len(numbers) > 1 and len(numbers) % 2 == 0,
        "--input-range",
        text,
        "low,high, or the low of each channel and then the high of each",
    )
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    half = len(numbers) // 2
    return torch.tensor(numbers[:half]), torch.tensor(numbers[half:])
