"""The parameters of a filter: where they are in a network, and what can be done to those of chosen filters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from full_scale.models.base import FeatureLayer


@dataclass(frozen=True)
class Part:
    """One parameter of one layer of filters, of which the elements of the chosen filters are treated.

    `owners` holds the number of the filter that each element belongs to, in the shape of the parameter; `chosen` a yes or no for
    each filter; `place` is the number of the layer.
    """

    key: str
    place: int
    parameter: nn.Parameter
    owners: Tensor
    chosen: Tensor

    @torch.no_grad()
    def multiply(self, factor: float | Tensor) -> None:
        """The chosen filters' elements times a number, or times one of each filter."""
        self.parameter.mul_(self._spread(factor))

    @torch.no_grad()
    def multiply_gradient(self, factors: Tensor) -> None:
        """The chosen filters' gradients times a number for each filter."""
        if self.parameter.grad is not None:
            self.parameter.grad.mul_(self._spread(factors))

    @torch.no_grad()
    def multiply_state(self, state: Tensor, factor: float) -> None:
        """As `multiply`, on a tensor of the shape of the parameter."""
        state.mul_(self._spread(factor).to(state))

    @torch.no_grad()
    def fill(self, value: float) -> None:
        """The chosen filters' elements become a value."""
        self.parameter.masked_fill_(self.chosen[self.owners], value)

    def copy(self) -> Tensor:
        """The parameter as it is now."""
        return self.parameter.detach().clone()

    @torch.no_grad()
    def restore(self, kept: Tensor) -> None:
        """The chosen filters' elements as they were."""
        self.parameter.copy_(torch.where(self.chosen[self.owners], kept, self.parameter))

    @torch.no_grad()
    def norms(self) -> Tensor:
        """The L2 norm of each filter's elements, shape (filters,)."""
        squares = torch.zeros_like(self.chosen, dtype=self.parameter.dtype)
        return squares.index_add_(0, self.owners.flatten(), self.parameter.detach().square().flatten()).sqrt()

    def _spread(self, factor: float | Tensor) -> Tensor:
        ones = torch.ones_like(self.chosen, dtype=self.parameter.dtype)
        return torch.where(self.chosen, ones * factor, ones)[self.owners]


def part_of(layer: FeatureLayer, place: int, part: str, chosen: Tensor) -> Part:
    """A part ("scale", "shift", "incoming" or "outgoing") of a layer, of which it has to have one."""
    parameter = parameter_of(layer, part)
    return Part(f"{part} {layer.name}", place, parameter, owners(layer, part).to(parameter.device), chosen)


def has_part(layer: FeatureLayer, part: str) -> bool:
    """Whether a layer has a part of this name."""
    return {"incoming": True, "outgoing": layer.following is not None}.get(part, layer.norm is not None)


def parameter_of(layer: FeatureLayer, part: str) -> nn.Parameter:
    """The parameter that holds a part of a layer's filters."""
    owner, name = {
        "scale": (layer.norm, "weight"),
        "shift": (layer.norm, "bias"),
        "incoming": (layer.conv, "weight"),
        "outgoing": (layer.following, "weight"),
    }[part]
    found: nn.Parameter = getattr(owner, name)
    return found


def owners(layer: FeatureLayer, part: str) -> Tensor:
    """The number of the filter that each element of a part belongs to, in the shape of the parameter."""
    if part in ("scale", "shift"):
        return torch.arange(layer.features)
    places = torch.arange(parameter_of(layer, part).numel()).view(parameter_of(layer, part).shape)
    rows = layer.incoming(places) if part == "incoming" else layer.outgoing(places)
    assert rows is not None
    numbers = torch.empty_like(places).flatten()
    numbers[rows.flatten()] = torch.arange(layer.features).repeat_interleave(rows.shape[1])
    return numbers.view(places.shape)
