"""Which weights of a network are dust: so small beside those of their layer that their filter is nearly constant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from full_scale.removal.analysis.constants import NORMS
from full_scale.removal.analysis.graph import TracedNetwork, argument, operation


@dataclass(frozen=True)
class Dust:
    """A weight with 0 in place of its filters of dust, and how many these are."""

    cleaned: Tensor
    filters: int


@torch.no_grad()
def dusty_weights(traced: TracedNetwork, share: float) -> dict[str, Dust]:
    """Name of a parameter → what dust it holds; those without are left out.

    A filter is dust if its largest |weight| is at most `share` of the median norm of its layer's filters; a scale of BatchNorm
    if it is at most `share` of its layer's median |scale|. What is left of such a filter is its bias or shift: a constant.

    Args:
        traced: the network.
        share: above 0; filters that are dust beside their layer's largest one do not count for the median.
    """
    found = {}
    for node in traced.graph.nodes:
        weight = argument(node, "weight") if _weighs(node) else None
        if isinstance(weight, fx.Node) and weight.name in traced.names:
            name, tensor = traced.names[weight.name], traced.tensors[weight.name].detach()
            dust = _dust(_by_filter(node, tensor).double(), share)
            if dust.any():
                found[name] = Dust(_without(node, tensor, dust), int(dust.sum()))
    return found


@torch.no_grad()
def empty_filters(traced: TracedNetwork) -> dict[tuple[str, bool], Tensor]:
    """(Name of a module, whether it is a BatchNorm) → whether each of its filters, or scales, is 0."""
    found = {}
    for node in traced.graph.nodes:
        weight = argument(node, "weight") if _weighs(node) else None
        if isinstance(weight, fx.Node) and weight.name in traced.names:
            owner = traced.names[weight.name].rpartition(".")[0]
            rows = _by_filter(node, traced.tensors[weight.name].detach())
            found[owner, operation(node) in NORMS] = (rows == 0).all(1).cpu()
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
    return weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1).flatten(1)


def _without(node: fx.Node, weight: Tensor, dust: Tensor) -> Tensor:
    """The weights with 0 for these filters."""
    keep, ones = (~dust).to(weight), [1] * (weight.dim() - 2)
    if not _is_transposed(node):
        return weight * keep.view(-1, *[1] * (weight.dim() - 1))
    groups = argument(node, "groups")
    return (weight.reshape(groups, -1, *weight.shape[1:]) * keep.view(groups, 1, -1, *ones)).reshape(weight.shape)


def _dust(rows: Tensor, share: float) -> Tensor:
    """Whether each filter is dust; one that is all 0 is none, because nothing changes."""
    norms, largest = rows.norm(dim=1), rows.abs().amax(1)
    usual = norms[norms > share * norms.max()]
    return (largest > 0) & (largest <= share * usual.median()) if len(usual) else largest < 0
