"""Removal by mask, which changes the function."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.constants import Layer, analyse, layers
from full_scale.removal.analysis.graph import as_inputs
from full_scale.removal.assessment import Evidence, assess, traced_with
from full_scale.removal.report import Report
from full_scale.removal.shrinking import remove, unseen
from mechanisms.validation import UserError, require, require_whole


def prune(
    model: nn.Module,
    masks: Mapping[str, Tensor | np.ndarray],
    example_input: Tensor | tuple[Tensor, ...],
    *,
    multiple_of: int = 1,
) -> tuple[nn.Module, Report]:
    """A smaller copy without the masked features, and a report that says by how much the output changes.

    A masked feature is silenced: its BatchNorm's scale and shift are 0, or without BatchNorm its weights and bias. The
    smaller network computes exactly what the network with silenced features does (`Report.differences` proves it); what that
    changes is in `Report.changes`. A silenced feature that others still need, such as one branch of a residual sum, stays.

    Args:
        model: is not changed.
        masks: name of a BatchNorm, convolution or linear module → which of its features to keep (True), shape (features,).
            A convolution stands for the BatchNorm right after it, too.
        example_input: see `shrink`.
        multiple_of: see `shrink`.

    Raises:
        UserError: a name or shape does not fit, or as `shrink`.
    """
    return Pruner(model, example_input).prune(masks, multiple_of=multiple_of)


class Pruner:
    """One network that is pruned in many ways, each from the network as it is: its code is read once, not for each.

    The network must not change in between; arguments and errors are those of `prune`.
    """

    def __init__(self, model: nn.Module, example_input: Tensor | tuple[Tensor, ...]) -> None:
        with unseen(model) as (plain, self._said):
            self._model, self._inputs = plain, as_inputs(example_input)
            self._traced = traced_with(plain, self._inputs)
            self._layers = layers(analyse(self._traced))

    def prune(self, masks: Mapping[str, Tensor | np.ndarray], *, multiple_of: int = 1) -> tuple[nn.Module, Report]:
        """See `prune`."""
        require_whole("multiple_of", multiple_of, 1)
        require(isinstance(masks, Mapping), "masks", type(masks).__name__, "a dict of module name → mask")
        masked: dict[str, np.ndarray] = {}
        substitutes: dict[str, Tensor] = {}
        for layer, mask in (_layer_of(self._layers, *item) for item in masks.items()):
            masked[layer.name] = mask & masked.get(layer.name, mask)
            substitutes |= _silenced(self._model, layer, masked[layer.name])
        with unseen(self._model):
            assessment = assess(self._model, self._inputs, Evidence(), substitutes, self._traced)
            only = _components_of(assessment.last, masked)
            done = remove(assessment, assessment.last, multiple_of=multiple_of, only=only, said=self._said)
        return done.model, done.report


def _components_of(tracker: Tracker, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Marks the components that hold a masked feature."""
    components = tracker.components()
    marked = np.zeros(components.max(initial=-1) + 1, bool)
    for layer in layers(tracker):
        if layer.name in masks:
            marked[components[layer.channels.units[~masks[layer.name]]]] = True
    return marked


def _layer_of(found: list[Layer], name: str, mask: Tensor | np.ndarray) -> tuple[Layer, np.ndarray]:
    layer = next((layer for layer in found if name in layer.modules), None)
    if layer is None:
        names = ", ".join(layer.name for layer in found[:8])
        raise UserError(f"masks names {name!r}, which is no layer of features: use names such as {names}")
    keep = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if keep.dtype != bool or keep.shape != layer.channels.units.shape:
        raise UserError(
            f"the mask of {name} has shape {keep.shape} and dtype {keep.dtype}: use {layer.channels.units.shape} of bool"
        )
    return layer, keep


@torch.no_grad()
def _silenced(model: nn.Module, layer: Layer, keep: np.ndarray) -> dict[str, Tensor]:
    """The parameters of a layer's last module with weights, 0 for the features that go."""
    owner = model.get_submodule(layer.name)
    if isinstance(owner, _BatchNorm) and not owner.affine:
        raise UserError(f"{layer.name} has no scale and shift that could be 0: mask another layer")
    mask = torch.from_numpy(keep)
    transposed = getattr(owner, "transposed", False)
    silenced = {}
    held = dict(owner.named_parameters(recurse=False)) or {name: getattr(owner, name) for name in ("weight", "bias")}
    for name, value in held.items():  # those of a norm with frozen statistics are buffers
        axis = 1 if transposed and name == "weight" else 0
        size = [-1 if place == axis else 1 for place in range(value.dim())]
        silenced[f"{layer.name}.{name}".lstrip(".")] = value.detach() * mask.to(value).view(size)
    return silenced
