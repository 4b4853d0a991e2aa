"""Looks at a person's model in the middle of its training and leaves it as it was: modes, gradients, random generators, hooks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from full_scale.data.base import AbstractExamples, Examples, in_order
from full_scale.measure.probes import Observation, observe
from full_scale.models.base import BuiltNetwork
from full_scale.models.discovery import LeftOut, listing, survey
from full_scale.models.parts.activations import with_own_activations
from full_scale.models.parts.tracing import Trace
from full_scale.models.parts.wrappers import run_eagerly
from mechanisms.validation import UserError, first_line

HALF = {torch.float16, torch.bfloat16}
Images = Tensor | AbstractExamples | Iterable[Any]


@dataclass(frozen=True)
class Watched:
    """What can be looked at in a model: its feature layers in a network made of its own modules, and what makes none."""

    network: BuiltNetwork
    left_out: tuple[LeftOut, ...]


def observable(model: nn.Module) -> Watched:
    """What the model does in evaluation mode, made of its own modules, and its feature layers; modes are left as they were.

    Raises:
        UserError: it cannot be traced, has no features, no numbers, or holds them in half precision.
    """
    _require_numbers(model)
    with _modes_kept(model):
        # Traced in evaluation mode first, so that what it does in training only (other heads, random paths) is not looked at.
        module = with_own_activations(fx.GraphModule(model, Trace(_evaluated(model)).graph))
        layers, left_out = survey(module, model)
    if not layers:
        raise _without_features(model, left_out)
    half = next((layer.name for layer in layers if {part.weight.dtype for part in (layer.conv, layer.norm) if part} & HALF), None)
    if half is not None:
        raise UserError(f"the weight of {half} is in half precision: keep float32 parameters and train under torch.autocast")
    return Watched(BuiltNetwork(module, layers), left_out)


def _without_features(model: nn.Module, left_out: Iterable[LeftOut]) -> UserError:
    found = listing(left_out)
    return UserError(
        f"{type(model).__name__} has no features to look at:"
        " use convolutions or linear layers that a normalization or an activation reads" + (f"; it has {found}" if found else "")
    )


def _require_numbers(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor) or tensor.is_meta:
            what = "shape yet: run the model once before" if is_lazy(tensor) else "numbers: load the weights before"
            raise UserError(f"{name} has no {what}")


def _evaluated(model: nn.Module) -> nn.Module:
    try:
        return model.eval()
    except NotImplementedError as problem:  # an exported program
        raise UserError(f"the model has no evaluation mode ({first_line(problem)}): give what it was made from") from None


def look(model: nn.Module, images: Images, most: int | None = None) -> tuple[Watched, Observation]:
    """The feature layers of a model, and what they did on the first `most` images (all of them, if None); no scores, no labels.

    Layers whose first axis is not that of the images, or whose features are not on the axis where they should be, are left out.

    Raises:
        UserError: as `observable`, or the images cannot be used.
    """
    watched = observable(model)
    network = watched.network
    weight = network.layers[0].conv.weight
    quiet = BuiltNetwork(_Quiet(network.module), network.layers)
    with (
        _modes_kept(model),
        _draws_undone(images, weight.device),
        torch.autocast(weight.device.type, enabled=False),
        run_eagerly(),
    ):
        seen = [_seen(quiet, batch.to(weight)) for batch in _first(most, _batches(images))]
    if not seen:
        raise UserError("there are no images to look at: give a tensor of images, or a loader that is not used up")
    shapes = [(len(seen[0].labels), layer.features) for layer in network.layers]
    kept = [i for i, shape in enumerate(shapes) if seen[0].peaks[i].shape == shape]
    odd = [layer for i, layer in enumerate(network.layers) if i not in kept]
    left_out = tuple(LeftOut(layer.name, type(layer.conv).__name__, "its outputs are no features of images") for layer in odd)
    if not kept:
        raise _without_features(model, left_out)
    layers = tuple(network.layers[i] for i in kept)
    return Watched(BuiltNetwork(network.module, layers), watched.left_out + left_out), _joined(seen, kept)


def _seen(network: BuiltNetwork, images: Tensor) -> Observation:
    try:
        return observe(network, Examples(images, images.new_zeros(len(images), dtype=torch.int64)))
    except Exception as problem:
        raise UserError(f"the model does not run on images of shape {tuple(images.shape)}: {first_line(problem)}") from None


def _joined(seen: list[Observation], kept: list[int]) -> Observation:
    """The observation of all batches together, of the layers with these numbers."""
    sizes = torch.tensor([len(part.labels) for part in seen], dtype=torch.float64)
    shares = [torch.stack([part.zeros[i] for part in seen]) for i in kept]
    zeros = tuple((share * (sizes / sizes.sum()).to(share).unsqueeze(1)).sum(dim=0) for share in shares)
    peaks = tuple(torch.cat([part.peaks[i] for part in seen]) for i in kept)
    return Observation(torch.cat([part.scores for part in seen]), torch.cat([part.labels for part in seen]), peaks, zeros)


class _Quiet(nn.Module):
    """Runs a network and puts out nothing for each image: its outputs may be of any kind, and are not kept."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """No scores, shape (N, 0)."""
        self.network(images)
        return images.new_zeros(len(images), 0)


def _batches(images: Images) -> Iterator[Tensor]:
    """The images of whatever holds them, batch by batch."""
    if isinstance(images, Tensor):
        yield images
    elif isinstance(images, AbstractExamples):
        yield from (batch for batch, _ in images.batches(in_order(len(images))))
    elif isinstance(images, Iterable):
        for batch in images:
            first = batch[0] if isinstance(batch, list | tuple) and batch else batch
            if not isinstance(first, Tensor):
                raise UserError(f"the loader gives {type(first).__name__}: use tensors of images, or tuples that begin with one")
            yield first
    else:
        raise UserError(f"images are a {type(images).__name__}: give a tensor of images or a loader")


def _first(most: int | None, batches: Iterator[Tensor]) -> Iterator[Tensor]:
    """The batches up to so many images, without asking for one more."""
    left = most
    for batch in batches:
        part = batch[:left]
        if len(part):
            yield part
        left = None if left is None else left - len(part)
        if left == 0:
            return


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Puts the mode of every module back: a person may have frozen some of them in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _draws_undone(images: Images, device: torch.device) -> Iterator[None]:
    """Puts random generators back: loaders draw seeds and orders, augmentation draws from any of them."""
    parts = [images, *(getattr(images, name, None) for name in ("sampler", "batch_sampler", "dataset"))]
    own = [g for part in parts if isinstance(g := getattr(part, "generator", None), torch.Generator)]
    states = [generator.get_state() for generator in own]
    plain, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy)
        for generator, state in zip(own, states, strict=True):
            generator.set_state(state)
