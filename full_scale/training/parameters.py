"""Which parameters of a network a regularizer acts on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from full_scale.models.parts.tracing import NORMS

NORMALIZATIONS = (*NORMS, nn.LayerNorm, nn.RMSNorm)
SELECTIONS: dict[str, Callable[[nn.Module], bool]] = {
    "all": lambda owner: True,
    "no_norm": lambda owner: not isinstance(owner, NORMALIZATIONS),
    "norm": lambda owner: isinstance(owner, NORMALIZATIONS),
    "conv": lambda owner: isinstance(owner, nn.Conv2d | nn.ConvTranspose2d),
}
"""Choice of `TrainSpec.decayed` → whether the parameters of a module are decayed."""

BIASES_KEPT = ("conv",)
"""Choices that spare the biases of the modules they select."""


@dataclass(frozen=True)
class ParameterGroups:
    """Name → parameter, those the regularizer acts on and the free ones, in the order of the module."""

    decayed: dict[str, nn.Parameter]
    free: dict[str, nn.Parameter]

    def narrowed(self, kept: Iterable[nn.Parameter]) -> ParameterGroups:
        """The groups with all decayed parameters but these made free."""
        chosen = {id(parameter) for parameter in kept}
        decayed = {name: parameter for name, parameter in self.decayed.items() if id(parameter) in chosen}
        freed = {name: parameter for name, parameter in self.decayed.items() if name not in decayed}
        return ParameterGroups(decayed, freed | self.free)


def group_parameters(module: nn.Module, decayed: str) -> ParameterGroups:
    """The trainable parameters of a module, each once, split by a choice of `TrainSpec.decayed`."""
    groups, seen = ParameterGroups({}, {}), set[int]()
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            acts = SELECTIONS[decayed](owner) and not (decayed in BIASES_KEPT and name == "bias")
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                (groups.decayed if acts else groups.free)[f"{prefix}.{name}".lstrip(".")] = parameter
    return groups
