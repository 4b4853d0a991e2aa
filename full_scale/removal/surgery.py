"""Carries out a plan on a copy of the user's module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from full_scale.models.parts.tracing import has_frozen_statistics
from full_scale.removal.analysis.graph import structural_copy, to_double
from full_scale.removal.plan import Plan


@torch.no_grad()
def carried_out(plan: Plan, module: nn.Module, *, exact: bool = False) -> nn.Module:
    """A smaller copy of a module.

    With `exact` what is computed stays in float64, not rounded to the module's dtype, and what does not change is shared
    with the original; else nothing is.
    """
    smaller = structural_copy(module)
    replaced: dict[int, Any] = {}
    computed = {*plan.columns, *plan.additions} if exact else set()
    for name, tensor in [*smaller.named_parameters(), *smaller.named_buffers()]:
        own = tensor.detach()
        new = _changed(plan, name, to_double(own) if name in computed else own if exact else own.clone())
        replaced[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
    for part in smaller.modules():
        for held in (part._parameters, part._buffers):
            held.update({key: replaced[id(value)] for key, value in held.items() if value is not None})
    _fit_sizes(plan, smaller)
    _make_biases(plan, smaller, exact=exact)
    return smaller


@torch.no_grad()
def carry_out(plan: Plan, module: nn.Module) -> None:
    """Carries out a plan on the module itself.

    Parameters and buffers stay the objects that they are, so that what holds them goes on; gradients are cut along.
    """
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    for name in sorted(plan.changed):
        gradient = tensors[name].grad
        _rebind(tensors[name], _changed(plan, name, tensors[name].detach()))
        tensors[name].grad = None if gradient is None else kept(plan, name, gradient)
    _fit_sizes(plan, module)
    _make_biases(plan, module)
    torch.clear_autocast_cache()  # within an autocast it holds parameters as they were


def _make_biases(plan: Plan, module: nn.Module, *, exact: bool = False) -> None:
    for owner, bias in plan.biases.items():
        weight = module.get_submodule(owner).weight
        new = bias.to(weight.device) if exact else bias.to(weight)  # type: ignore[arg-type]
        module.get_submodule(owner).bias = nn.Parameter(new, weight.requires_grad)  # type: ignore[arg-type]


def _rebind(tensor: Tensor, values: Tensor) -> None:
    """Gives a tensor numbers of another shape."""
    tensor.grad = None
    # Whoever still holds the loss of the last step holds the node that receives this gradient, which expects the old shape:
    # torch makes a new one only where the dtype changes.
    tensor.data = values.new_empty(0, dtype=torch.float64 if values.dtype != torch.float64 else torch.float32)
    tensor.data = values


def _fit_sizes(plan: Plan, module: nn.Module) -> None:
    """Makes what modules state about their sizes fit; a parameter may have several holders."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    changed = {id(tensors[name]) for name in plan.changed}
    for path, part in module.named_modules():
        relist(part)
        if path in plan.groups or any(id(held) in changed for held in (*part._parameters.values(), *part._buffers.values())):
            adjust_sizes(part, plan.groups.get(path))
    for owner, sizes in plan.sizes.items():
        vars(module.get_submodule(owner)).update(sizes)


def _changed(plan: Plan, name: str, tensor: Tensor) -> Tensor:
    columns, addition = plan.columns.get(name, []), plan.additions.get(name)
    if columns or addition is not None:
        tensor = _with_columns(tensor, columns, addition)
    return kept(plan, name, tensor)


def kept(plan: Plan, name: str, tensor: Tensor) -> Tensor:
    """The part of a parameter, or of a tensor of its shape, that stays, with its axes in the same order in memory."""
    axes = plan.keep.get(name, {})
    if not axes:
        return tensor
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    for axis, indices in axes.items():
        tensor = tensor.index_select(axis, indices.to(tensor.device))
    ordered = tensor.permute(order).clone(memory_format=torch.contiguous_format)
    return ordered.permute([order.index(axis) for axis in range(len(order))])


def _with_columns(tensor: Tensor, columns: list[tuple[int, int, Tensor]], addition: Tensor | None) -> Tensor:
    wide = tensor.double()
    if addition is not None:
        wide = wide + addition.to(wide)
    elif wide is tensor:
        wide = tensor.clone()
    for axis, index, column in columns:
        wide.select(axis, index).add_(column.to(wide))
    return wide.to(tensor.dtype)


def relist(part: nn.Module) -> None:
    """Makes the list of its weights that a recurrent module keeps hold those that it has."""
    if isinstance(part, nn.RNNBase):
        part._flat_weights = [getattr(part, name, None) for name in part._flat_weights_names]


def adjust_sizes(owner: nn.Module, groups: int | None = None) -> None:
    """Makes the sizes that a module of torch.nn states fit its weights."""
    weight = getattr(owner, "weight", None)
    if isinstance(owner, _ConvNd) and weight is not None:
        owner.groups = owner.groups if groups is None else groups
        first, second = weight.shape[:2]
        transposed = isinstance(owner, _ConvTransposeNd)
        owner.in_channels = first if transposed else second * owner.groups
        owner.out_channels = second * owner.groups if transposed else first
    elif isinstance(owner, nn.Linear):
        owner.out_features, owner.in_features = weight.shape  # type: ignore[union-attr]
    elif isinstance(owner, _NormBase) or (has_frozen_statistics(owner) and hasattr(owner, "num_features")):
        sized: Any = next((t for t in (weight, owner.running_mean) if t is not None), None)
        owner.num_features = owner.num_features if sized is None else len(sized)  # type: ignore[assignment]
    elif isinstance(owner, nn.GroupNorm) and groups is not None:
        owner.num_channels, owner.num_groups = owner.num_channels // owner.num_groups * groups, groups
    elif isinstance(owner, nn.RNNBase | nn.RNNCellBase):
        owner.input_size = getattr(owner, "weight_ih_l0" if isinstance(owner, nn.RNNBase) else "weight_ih").shape[1]
    elif isinstance(owner, nn.PReLU):
        owner.num_parameters = len(owner.weight)
    elif groups is not None:
        owner.groups = groups  # type: ignore[assignment]
