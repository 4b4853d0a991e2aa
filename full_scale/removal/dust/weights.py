"""Which weights of a network are dust: so small beside those of their layer that their filter is nearly constant."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.constants import NORMS
from full_scale.removal.analysis.graph import TracedNetwork, argument, operation


@torch.no_grad()
def dusty_weights(traced: TracedNetwork, share: float) -> dict[str, Tensor]:
    """Weights that hold filters of dust, with 0 in their place.

    A filter is dust if its largest |weight| is at most `share` of the median norm of its layer's filters; a scale of BatchNorm, if
    it is at most `share` of its layer's median |scale|. What is left of such a filter is its bias or shift: a constant.

    Args:
        traced: the network.
        share: above 0; filters that are dust beside their layer's largest one do not count for the median.

    Returns:
        Name of a parameter → its new values.
    """
    found = {}
    for node in traced.graph.nodes:
        weight = argument(node, "weight") if _weighs(node) else None
        if isinstance(weight, fx.Node) and weight.name in traced.names:
            name, tensor = traced.names[weight.name], traced.tensors[weight.name].detach()
            dust = _dust(_by_filter(node, tensor).double(), share)
            if dust.any():
                found[name] = _without(node, tensor, dust)
    return found


def _weighs(node: fx.Node) -> bool:
    return operation(node) in NORMS or operation(node).startswith(("conv", "linear"))


def _is_transposed(node: fx.Node) -> bool:
    return operation(node).startswith("conv_transpose")


def _by_filter(node: fx.Node, weight: Tensor) -> Tensor:
    """The weights with one row a filter."""
    if not _is_transposed(node):
        return weight.reshape(len(weight), -1)
    groups = argument(node, "groups")
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flatten(1)


def _without(node: fx.Node, weight: Tensor, dust: Tensor) -> Tensor:
    """The weights with 0 for these filters."""
    keep, ones = (~dust).to(weight), [1] * (weight.dim() - 2)
    if not _is_transposed(node):
        return weight * keep.view(-1, *[1] * (weight.dim() - 1))
    groups = argument(node, "groups")
    return (weight.unflatten(0, (groups, -1)) * keep.view(groups, 1, -1, *ones)).flatten(0, 1)


def _dust(rows: Tensor, share: float) -> Tensor:
    """Whether each filter is dust; one that is all 0 is none, because nothing changes."""
    norms, largest = rows.norm(dim=1), rows.abs().amax(1)
    usual = norms[norms > share * norms.max()]
    return (largest > 0) & (largest <= share * usual.median()) if len(usual) else largest < 0
