"""What must change in a network so that selected channels can go and the function stays the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from full_scale.removal.analysis.channels import Reader, Stated, Tracker
from full_scale.removal.analysis.graph import argument, module_of, operation, shape
from full_scale.removal.analysis.reordering import Key
from full_scale.removal.analysis.values import UNIFORM


@dataclass
class Selection:
    """What goes: `removed` marks components of units; `reasons` says of the others why they stay."""

    components: np.ndarray
    removed: np.ndarray
    reasons: dict[int, str]
    carriers: dict[str, dict[int, int]] = field(default_factory=dict)
    """Weight that reads channels → index of a removed channel → index of the kept one that carries its constant."""
    orders: dict[Key, np.ndarray] = field(default_factory=dict)
    """Where channels change places: axis → the old index at each new one."""

    def goes(self, units: np.ndarray) -> np.ndarray:
        """Whether each of these channels goes."""
        return np.asarray(self.removed[self.components[units]])

    def kept(self, units: np.ndarray, key: Key) -> np.ndarray | None:
        """The indices of the channels that stay, in their new order; None if all do, in the old one."""
        goes = self.goes(units)
        order = self.orders.get(key, np.flatnonzero(~goes))
        return None if np.array_equal(order, np.arange(len(goes))) else order

    def keep(self, component: int, reason: str) -> None:
        """Takes a component back."""
        self.removed[component] = False
        self.reasons.setdefault(component, reason)


@dataclass(frozen=True)
class Plan:
    """What to change, by names in the user's module; all numbers in float64.

    Attributes:
        keep: parameter or buffer → axis → which indices stay.
        columns: weight → (axis, index, what is added there), in the old numbering.
        additions: parameter or buffer → what is added to it, in the old numbering.
        biases: convolution or linear map without bias → the bias it gets, in the new numbering.
        groups: convolution or GroupNorm → its new number of groups.
        sizes: module → attribute → its new value.
    """

    keep: dict[str, dict[int, Tensor]]
    columns: dict[str, list[tuple[int, int, Tensor]]]
    additions: dict[str, Tensor]
    biases: dict[str, Tensor]
    groups: dict[str, int]
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def changed(self) -> set[str]:
        """The names of all parameters and buffers that get other numbers."""
        return {*self.keep, *self.columns, *self.additions}

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not self.keep


def make_plan(tracker: Tracker, selection: Selection, *, with_sizes: bool = False) -> Plan:
    """The changes that remove what is selected.

    With `with_sizes`, also of attributes that may state sizes, as `self.width` in x.split(self.width, 1) does.
    """
    keep: dict[str, dict[int, Tensor]] = {}
    for slot in tracker.slots:
        kept = selection.kept(slot.units, ("slot", slot.name, slot.axis))
        if kept is not None:
            keep.setdefault(slot.name, {})[slot.axis] = torch.from_numpy(kept)
    plan = Plan(keep, {}, {}, {}, {})
    for readers in tracker.uses.values():
        if selection.goes(readers[0].channels.units).any():
            targets = [fold_target(tracker, reader) for reader in readers]
            if targets[0] is None:
                _merge(tracker, readers[0], selection.carriers.get(readers[0].weight, {}), plan)
            for reader, target in zip(readers, targets, strict=True):
                if target is not None:
                    _fold(tracker, selection, reader, target, plan)
    for grouped in tracker.grouped:
        goes = selection.goes(grouped.units)
        if goes.any() and grouped.owner is not None:
            plan.groups[grouped.owner] = int((~goes).sum())
    for stated in tracker.stated if with_sizes else ():
        goes = selection.goes(stated.units)
        if goes.any():
            _state(tracker, stated, int((~goes).sum()), plan)
    return plan


def _state(tracker: Tracker, stated: Stated, size: int, plan: Plan) -> None:
    changed = plan.sizes.setdefault(stated.module, {})
    value: Any = size
    if stated.place is not None:
        whole = changed.get(stated.attribute, getattr(tracker.traced.module.get_submodule(stated.module), stated.attribute))
        entries = [*whole]
        entries[stated.place] = size
        value = type(whole)(entries) if type(whole) in (list, tuple) else whole
    changed[stated.attribute] = value


def fold_target(tracker: Tracker, reader: Reader) -> tuple[str, float] | None:
    """The bias (sign 1) or BatchNorm mean (sign −1) that can take up the uniform constants that an operation reads.

    A name without parameter is a bias to be made. None where there is no such place for each use of the weight, or where the
    constants are not the same at all outputs.
    """
    places = [_place(tracker, use) for use in tracker.uses[reader.weight]]
    own = places[next(n for n, use in enumerate(tracker.uses[reader.weight]) if use is reader)]
    for place in places:
        if place is None or place.name in tracker.traced.shared:
            return None
        users = {other.user for other in places if other is not None and other.name == place.name}
        if place.holder is not None and set(place.holder.users) != users:
            return None  # something else reads it, too
    return None if own is None else (own.name, own.sign)


@dataclass(frozen=True)
class _Place:
    """A parameter or buffer that can take up constants, None if it is to be made, and the operation that reads it."""

    name: str
    sign: float
    holder: fx.Node | None
    user: fx.Node


def _place(tracker: Tracker, reader: Reader) -> _Place | None:
    """Where the constants of one use of a weight can go."""
    names = tracker.traced.names
    if not reader.folds or bool((reader.channels.values.pattern != UNIFORM).any()):
        return None
    if reader.bias is not None:
        return _Place(names[reader.bias.name], 1.0, reader.bias, reader.node) if reader.bias.name in names else None
    readers = list(reader.node.users)
    norm = len(readers) == 1 and operation(readers[0]) == "_native_batch_norm_legit_no_training"
    put_out = tracker.state(reader.node)
    if norm and put_out is not None and put_out.axis == min(1, len(shape(reader.node)) - 1):
        mean = argument(readers[0], "running_mean")
        return _Place(names[mean.name], -1.0, mean, readers[0]) if mean.name in names else None
    path, _, field = reader.weight.rpartition(".")
    owner = tracker.traced.module.get_submodule(path)
    standard = isinstance(owner, nn.Linear | _ConvNd) and "bias" in owner._parameters and owner.bias is None
    called = field == "weight" and module_of(reader.node) == path  # other code may use the weight and no bias
    return _Place(f"{path}.bias", 1.0, None, reader.node) if standard and called else None


def _weight(tracker: Tracker, reader: Reader) -> Tensor:
    """The weight with the axis of the channels that are read first."""
    return tracker.traced.tensors[reader.holder.name].detach().cpu().movedim(reader.axis, 0)


def _fold(tracker: Tracker, selection: Selection, reader: Reader, target: tuple[str, float], plan: Plan) -> None:
    constants = reader.channels.values.constant
    going = np.flatnonzero(selection.goes(reader.channels.units) & (constants != 0).numpy())
    if len(going):
        columns = _weight(tracker, reader)[going].double()
        total = target[1] * (constants[going, None] * columns.reshape(len(going), columns.shape[1], -1).sum(2)).sum(0)
        if target[0] in tracker.traced.names.values():
            plan.additions[target[0]] = total
        else:
            outputs = plan.keep.get(reader.weight, {}).get(0)
            plan.biases[target[0].rpartition(".")[0]] = total if outputs is None else total[outputs]


def _merge(tracker: Tracker, reader: Reader, carriers: dict[int, int], plan: Plan) -> None:
    constants = reader.channels.values.constant
    for carrier in sorted(set(carriers.values())):
        gone = [index for index, to in carriers.items() if to == carrier]
        ratio = constants[gone] / constants[carrier]
        columns = _weight(tracker, reader)[gone].double()
        plan.columns.setdefault(reader.weight, []).append((reader.axis, carrier, torch.tensordot(ratio, columns, dims=1)))
