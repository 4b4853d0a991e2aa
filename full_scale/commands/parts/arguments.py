"""The arguments that `audit` and `shrink` share, and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechanisms.command_line.framework import add_json_argument
from mechanisms.validation import UserError, require, require_whole

if TYPE_CHECKING:
    from torch import Tensor, nn


MOST_CLASSES = 10**6
MOST_NUMBERS = 1 << 28
"""In one input: a gigabyte in float32."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL and what says how it is judged."""
    parser.add_argument(
        "model", metavar="MODEL", help="network name, record folder, or PACKAGE.MODULE:CALLABLE, which is imported"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="field=value", help="fields of a named network, or arguments of the callable"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors, or what torch.save wrote (weights only)")
    parser.add_argument("--weights-key", metavar="KEY", help="key or prefix of the weights in it, where several fit (.: none)")
    parser.add_argument("--input", metavar="1,3,224,224", help="size of an input; known of a record")
    parser.add_argument("--classes", type=int, metavar="N", help="of a named network (10, or those of the record)")
    parser.add_argument("--data", metavar="FILE", help="images in .npy or .npz, as the network sees them, or a data set's name")
    parser.add_argument("--most-images", type=int, metavar="N", help="use at most the first N of them")
    parser.add_argument(
        "--input-range", metavar="low,high", help="of all inputs, as --input-range=-1,1; or the low then the high of each channel"
    )
    parser.add_argument(
        "--scale-threshold", type=float, default=0.0, metavar="X", help="scales up to this count as 0 (%(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace what --out names")
    add_json_argument(parser)


@dataclass(frozen=True)
class Asked:
    """What a command line asks about: a network, an input for it, and the evidence that `full_scale.removal.audit` takes."""

    model: nn.Module
    example: Tensor
    evidence: dict[str, Any]


def asked(options: argparse.Namespace) -> Asked:
    """The network with its weights, an input and the evidence that the options name.

    Raises:
        UserError: an option is not valid.
    """
    import torch

    from full_scale.commands.parts.images import images_of
    from full_scale.removal.verification import dtype_of

    size, bounds = _size(options), _range(options.input_range)
    if options.classes is not None:
        require_whole("--classes", options.classes, 1, MOST_CLASSES)
    if options.most_images is not None:
        require_whole("--most-images", options.most_images, 1)
    model = _network(options, size)
    dtype = dtype_of(model)
    images = None if options.data is None else images_of(options.data, options.most_images, dtype)
    evidence = {"data": images, "input_range": bounds, "scale_threshold": options.scale_threshold}
    return Asked(model, torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype), evidence)


def _network(options: argparse.Namespace, size: tuple[int, ...]) -> nn.Module:
    from full_scale.commands.parts.networks import network_of
    from full_scale.commands.parts.weights import with_weights

    model, has_own = network_of(options.model, options.overrides, size, options.classes)
    if options.weights is None and not has_own:
        raise UserError(f"{options.model} says what the network is but holds no weights: give them with --weights FILE")
    if options.weights is None:
        require(options.weights_key is None, "--weights-key", options.weights_key, "it with --weights FILE")
        return model.eval()
    return with_weights(model, options.weights, options.weights_key).eval()


def _size(options: argparse.Namespace) -> tuple[int, ...]:
    from full_scale.commands.parts.networks import record_of

    if options.input is None:
        spec = record_of(options.model)
        if spec is None:
            raise UserError("--input is missing: give the size of an input, such as --input 1,3,224,224")
        return (1, *spec.data.shape)
    parts = options.input.split(",")
    valid = len(parts) > 1 and all(re.fullmatch(r"\s*[0-9]{1,10}\s*", part) and int(part) > 0 for part in parts)
    require(valid, "--input", options.input, "whole numbers above 0 with the images first, such as 1,3,224,224")
    size = tuple(map(int, parts))
    require(math.prod(size) <= MOST_NUMBERS, "--input", options.input, f"an input of at most {MOST_NUMBERS} numbers")
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
