"""What an optimizer remembers of a parameter, cut like the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.removal.plan import Plan
from full_scale.removal.surgery import kept
from mechanisms.validation import UserError

States = Mapping[Tensor, dict[str, Any]]
"""Parameter → name → value: `Optimizer.state`."""


def cut_states(states: States, plan: Plan, parameters: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Cut the states of parameters in place: all of them, or none.

    Args:
        states: of an optimizer.
        plan: what is cut.
        parameters: name in the plan → the parameter that the state is of.
        shapes: name → the shape of the parameter before the cut.

    Raises:
        UserError: a state has neither the shape of its parameter nor one number along some of its axes.
    """
    found: list[tuple[dict[str, Any], str, Tensor]] = []
    for name in plan.keep:
        state = states.get(parameters[name], {}) if name in parameters else {}
        for key, value in state.items():
            if isinstance(value, Tensor) and value.numel() > 1:
                found.append((state, key, _cut_state(plan, name, key, value, shapes[name])))
            elif isinstance(value, list | tuple | dict) and any(isinstance(part, Tensor) for part in value):
                raise UserError(f"the optimizer keeps several tensors as {key!r} of {name}, which cannot be cut: {USE}")
    for state, key, value in found:
        state[key] = value


USE = "use one whose state has the shape of the parameters, such as Adam, AdamW, SGD or Lion"


def _cut_state(plan: Plan, name: str, key: str, value: Tensor, shape: torch.Size) -> Tensor:
    """What stays of a state: of the shape of its parameter, or with a single number along some axes (Adafactor)."""
    fits = value.dim() == len(shape) and all(own in (1, size) for own, size in zip(value.shape, shape, strict=True))
    if not fits:
        raise UserError(f"the optimizer keeps {key!r} of {name} in shape {tuple(value.shape)}, which cannot be cut: {USE}")
    own = {axis: indices for axis, indices in plan.keep[name].items() if value.shape[axis] > 1}
    return kept(Plan({name: own}, {}, {}, {}, {}), name, value).clone()


def add_new_biases(optimizer: torch.optim.Optimizer, plan: Plan, model: nn.Module) -> None:
    """Give the optimizer the biases that a plan made, each beside the weight of its layer; they start without state."""
    for owner in plan.biases:
        part = model.get_submodule(owner)
        group = _group_of(optimizer, part.weight)  # type: ignore[arg-type]
        if group is not None:
            group["params"].append(part.bias)


def _group_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any] | None:
    return next((group for group in optimizer.param_groups if any(held is parameter for held in group["params"])), None)
