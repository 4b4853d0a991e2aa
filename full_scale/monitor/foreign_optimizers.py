"""What can be read off any optimizer: which one of a nest of wrappers steps, how many steps it made, and how far it decays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mechanisms.validation import UserError

Group = dict[str, Any]
DECOUPLED_FLAGS = ("decoupled_weight_decay", "decoupled_decay", "weight_decouple", "decouple", "decoupled", "adam_w_mode")
"""Options, of a group or of the whole optimizer, that say whether the decay is beside the update; the first found counts."""
DECOUPLED_NAMES = re.compile(r"AdamW|SGDW|Lion|Muon|Adan|Sophia|Tiger|ScheduleFree|^Adafactor$")
"""Classes whose decay is lr·weight_decay·w beside the update, whatever package they are of."""
FACTOR = "d"
"""An option by which some multiply `lr`."""
OWN_RATE_FLAGS = ("corrected_weight_decay", "fixed_decay", "decoupled_wd", "relative_step", "scale_parameter")
"""Options under which a decay is not at the rate `lr`."""


def stepping(optimizer: Any, wanted: Iterable[int]) -> tuple[torch.optim.Optimizer, list[str]]:
    """The optimizer that steps parameters with these ids, and the names of the wrappers around it.

    Raises:
        UserError: it is no optimizer, its steps cannot be followed, or several of those inside it move the parameters.
    """
    wrappers: list[str] = []
    wanted, passed = set(wanted), [optimizer]
    while _is_optimizer(passed[-1]):
        inner = [one for one in _inside(passed[-1]) if not any(one is other for other in passed)]
        moving = [one for one in inner if wanted & {id(p) for group in one.param_groups for p in group["params"]}]
        if len(moving) > 1:
            raise UserError(f"{_name(passed[-1])} holds {len(moving)} optimizers that move the scales: give one of them")
        if not moving and len(inner) != 1:
            break
        wrappers.append(_name(passed[-1]))
        passed.append((moving or inner)[0])
    found = passed[-1]
    if not _is_optimizer(found):
        raise UserError(f"optimizer is a {_name(found)}, not a torch.optim.Optimizer: give the one that steps")
    if not isinstance(found, torch.optim.Optimizer) or not _calls_hooks(found):
        raise UserError(f"the steps of a {_name(found)} cannot be followed: give the torch.optim.Optimizer that it steps")
    return found, wrappers


def _name(optimizer: object) -> str:
    return type(optimizer).__name__


def _is_optimizer(thing: object) -> bool:
    return not isinstance(thing, type) and callable(getattr(thing, "step", None)) and hasattr(thing, "param_groups")


def _inside(optimizer: object) -> list[torch.optim.Optimizer]:
    """The optimizers among the attributes of a wrapper, alone or in a list, tuple or dict."""
    held: list[Any] = []
    for value in vars(optimizer).values():
        several = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
        held += [one for one in several if _is_optimizer(one)]
    return list({id(one): one for one in held}.values())


def _calls_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether torch runs hooks at its steps; a class that does not call `Optimizer.__init__` has none."""
    return hasattr(optimizer, "_optimizer_load_state_dict_post_hooks") and bool(getattr(type(optimizer).step, "hooked", False))


def counted_steps(optimizer: torch.optim.Optimizer) -> int | None:
    """How many steps the optimizer made, by its own count; None where it keeps none (torch's SGD)."""
    counts = [state["step"] for state in optimizer.state.values() if isinstance(state, dict) and "step" in state]
    counts += [group["k"] if "train_mode" in group else group["step"] for group in optimizer.param_groups if _counts(group)]
    return max((int(float(count)) for count in counts if isinstance(count, int | float | Tensor)), default=None)


def _counts(group: Group) -> bool:
    """Whether a group counts its steps: free of schedules as k, beside their mode, others as `step`."""
    return "step" in group or ("train_mode" in group and "k" in group)


def decoupled_rate(optimizer: torch.optim.Optimizer, group: Group) -> float | None:
    """By which share the decay alone shrinks what a group holds in one step, lr·weight_decay; None where that is not known.

    It is known without decay, and where options or the name of the class say that the decay is decoupled.
    """
    strength = group.get("weight_decay", None if any("decay" in key or key == "wd" for key in group) else 0.0)
    rate = group.get("scheduled_lr", group.get("lr"))
    if strength is not None and not float(strength):
        return 0.0
    if strength is None or rate is None:
        return None
    said = {name: _option(optimizer, group, name) for name in (*DECOUPLED_FLAGS, *OWN_RATE_FLAGS)}
    flag = next((bool(said[name]) for name in DECOUPLED_FLAGS if said[name] is not None), None)
    named = any(DECOUPLED_NAMES.search(cls.__name__) for cls in type(optimizer).__mro__)
    if (
        any(said[name] for name in OWN_RATE_FLAGS)
        or _option(optimizer, group, FACTOR) not in (None, 1.0)
        or not (named if flag is None else flag)
    ):
        return None
    return (
        float(rate) * float(strength) * float(group.get("fallback_lr_scale", 1.0))
    )  # the last: of what timm's Muon leaves to AdamW


def _option(optimizer: object, group: Group, name: str) -> Any:
    return group.get(name, vars(optimizer).get(name))
