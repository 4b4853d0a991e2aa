"""A smaller copy of a network under training, and a copy of its optimizer that goes on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Unpack

import torch
from torch import Tensor, nn

from full_scale.models.parts.wrappers import uncompiled
from full_scale.monitor.foreign_optimizers import stepping
from full_scale.removal.analysis.graph import require_usable
from full_scale.removal.during_training.cutting import require_plain
from full_scale.removal.during_training.optimizer_state import add_new_biases, cut_states
from full_scale.removal.report import Report
from full_scale.removal.shrinking import Options, Removal, removal
from mechanisms.validation import UserError


def shrink_training(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    example_input: Tensor | tuple[Tensor, ...],
    **options: Unpack[Options],
) -> tuple[nn.Module, torch.optim.Optimizer, Report]:
    """A smaller network, an optimizer for it that goes on where the old one was, and the report; for use within a training.

    `options` are the keyword arguments of `shrink`. The function in evaluation mode is the same at the cut; BatchNorm in training
    mode, and with it the rest of the training, sees the features that are left only. State of the optimizer is cut like its
    parameter. A new bias starts without state. Features that parts need which only training runs, such as auxiliary heads, stay.
    Old network and optimizer are not changed; learning rate schedulers hold the old optimizer and must be made anew: `Shrinker`
    cuts in place instead.

    Raises:
        UserError: as `shrink`; the optimizer holds parameters of another network; the network does not run in training mode.
    """
    model = uncompiled(model)
    require_usable(model)
    require_plain(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    own, wrappers = stepping(optimizer, names)
    if wrappers:
        kind = type(own).__name__
        raise UserError(f"{wrappers[0]} is a wrapper around an optimizer, {kind}: give that one, and wrap the one that you get")
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not all(id(parameter) in names for parameter in held):
        raise UserError("the optimizer holds parameters that are not the network's: give the optimizer of this network")
    done = removal(model, example_input, options, trains=True)
    carried = _carried(optimizer, {names[id(parameter)]: parameter for parameter in held}, done)
    return done.model, carried, done.report


def _carried(optimizer: torch.optim.Optimizer, held: Mapping[str, Tensor], done: Removal) -> torch.optim.Optimizer:
    """A copy of an optimizer that holds the parameters of the smaller network, its state cut like them."""
    parameters = dict(done.model.named_parameters())
    smaller = copy.deepcopy(optimizer, {id(old): parameters[name] for name, old in held.items()})
    cut_states(smaller.state, done.plan, parameters, {name: old.shape for name, old in held.items()})
    add_new_biases(smaller, done.plan, done.model)
    return smaller
