"""Which channels must go together, where they are read, and which parameters hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor, fx, nn

from full_scale.removal.analysis.graph import TracedNetwork, caller, module_of, operation, shape
from full_scale.removal.analysis.values import UNIFORM, Values

Units = np.ndarray
"""One number a channel; channels with the same number, or with tied numbers, can only be removed together."""


PARAMETER = "its parameter is"
"""Beginning of the reason why something stays that a parameter holds of which it is not known what is done with it."""


@dataclass(frozen=True)
class Channels:
    """A tensor's channel axis, and for each index on it its unit and what is known of its values."""

    axis: int
    units: Units
    values: Values

    def with_values(self, values: Values) -> Channels:
        """The same channels with other values."""
        return Channels(self.axis, self.units, values)


@dataclass(frozen=True)
class Folded:
    """A tensor whose channels are on two axes, of which `axis` may lose some: as many indices as each of `groups` groups has."""

    axis: int
    groups: int
    units: Units


@dataclass(frozen=True)
class Slot:
    """One axis of a parameter or buffer, with the unit of each index."""

    name: str
    axis: int
    units: Units


@dataclass(frozen=True)
class Reader:
    """A convolution or linear map without groups that reads channels: `weight` has one index a channel on `axis`.

    `node` is the operation, `holder` the node of the weight and `bias` that of what is added; with `folds` a uniform constant
    input is the same at all outputs, so that it can become a bias.
    """

    node: fx.Node
    weight: str
    axis: int
    channels: Channels
    folds: bool
    holder: fx.Node
    bias: fx.Node | None


@dataclass(frozen=True)
class Grouped:
    """A module with groups, which loses whole groups only: `units` has one unit a group.

    `owner` is the name of the module whose attribute says how many there are; None where the code counts them.
    """

    node: fx.Node
    owner: str | None
    units: Units


@dataclass(frozen=True)
class Stated:
    """An attribute of a module that may state how many units there are; of a list or tuple, the entry at `place`."""

    module: str
    attribute: str
    place: int | None
    units: Units


@dataclass
class Tracker:
    """What is found on the way through a graph; the operations of `full_scale.removal.analysis.operations` fill it."""

    traced: TracedNetwork
    rounding: float
    states: dict[fx.Node, list[Channels | None]] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    uses: dict[str, list[Reader]] = field(default_factory=dict)
    grouped: list[Grouped] = field(default_factory=list)
    proportions: list[list[Units]] = field(default_factory=list)
    stated: list[Stated] = field(default_factory=list)
    shuffled: list[Units] = field(default_factory=list)
    folded: dict[fx.Node, Folded] = field(default_factory=dict)
    count: int = 0
    ties: list[tuple[Units, Units]] = field(default_factory=list)
    locks: list[tuple[Units, str]] = field(default_factory=list)
    held: dict[tuple[str, int], Units] = field(default_factory=dict)
    claims: Counter[tuple[str, int]] = field(default_factory=Counter)
    fixed: set[fx.Node] = field(default_factory=set)
    patterns: dict[tuple[str, int], int] = field(default_factory=dict)

    def new_units(self, count: int) -> Units:
        """Units that are tied to nothing yet."""
        self.count += count
        return np.arange(self.count - count, self.count)

    def tie(self, a: Units, b: Units) -> None:
        """Channels at the same place of both can only be removed together."""
        self.ties.append((a, b))

    def lock(self, units: Units, reason: str) -> None:
        """These channels stay."""
        self.locks.append((units, reason))

    def cut(self, node: fx.Node, pieces: list[Units], stated: list[Units]) -> None:
        """Let the pieces of an axis lose channels in proportion to their lengths, as code that halves it cuts.

        Pieces of several lengths may lose any number where attributes hold how many `stated` channels there are.
        """
        pieces = [piece for piece in pieces if len(piece)]
        in_attributes = [self.state_size(node, units) for units in stated]
        if len({len(piece) for piece in pieces}) == 1 or not all(in_attributes):
            self.proportions.append(pieces)

    def state_size(self, node: fx.Node, units: Units) -> bool:
        """Note the attributes of the calling module that hold the number of these units; return whether there are any."""
        path, found = caller(node), False
        for attribute, place in _holding(self.traced.module.get_submodule(path), len(units)):
            for other in self.stated:
                if (other.module, other.attribute, other.place) == (path, attribute, place):
                    self.proportions.append([other.units, units])
            self.stated.append(Stated(path, attribute, place, units))
            found = True
        return found

    def shuffle(self, units: Units, groups: int) -> np.ndarray:
        """Let channels of all groups be mixed, one of each in turn; return their old indices in the new order."""
        self.proportions.append(list(units.reshape(groups, -1)))
        self.shuffled.append(units)
        return np.arange(len(units)).reshape(groups, -1).T.ravel()

    def state(self, node: object) -> Channels | None:
        """What is known of the channels of a tensor; None where nothing is."""
        found = self.states.get(node, [None]) if isinstance(node, fx.Node) else [None]
        return found[0] if found else None

    def read(self, reader: Reader) -> None:
        """An operation reads channels; all that read by the same weight are among `uses`."""
        self.readers.append(reader)
        uses = self.uses.setdefault(reader.weight, [])
        uses.append(reader)
        if reader.axis != uses[0].axis:
            for use in (reader, uses[0]):
                self.lock(use.channels.units, f"{reader.weight} is read along two axes")

    def lock_inputs(self, node: fx.Node, reason: str) -> None:
        """All channels that an operation reads stay."""
        for read in node.all_input_nodes:
            for channels in self.states.get(read, []):
                if channels is not None:
                    self.lock(channels.units, f"{PARAMETER} {reason}" if self.holds(read) else reason)

    def channels(self, node: fx.Node, axis: int) -> Channels:
        """The channels of a tensor on an axis that an operation works on; locked ones if they were not followed up to here."""
        found, count = self.state(node), shape(node)[axis]
        if found is not None and found.axis == axis:
            return found
        units, values = self.new_units(count), Values.unknown(count)
        self.lock(units, f"its channels are not followed through {describe(node)}")
        if found is not None:
            self.lock(found.units, f"another axis is mixed at {describe(node)}")
            values = found.values.hull(count)
        return Channels(axis, units, values)

    def holds(self, node: object) -> bool:
        """Whether a node is a parameter, a buffer or a constant."""
        return isinstance(node, fx.Node) and node.name in self.traced.tensors

    def is_fixed(self, node: object) -> bool:
        """Whether a node is a parameter, or computed from nothing but parameters."""
        return self.holds(node) or node in self.fixed

    def value(self, node: object) -> Tensor | None:
        """A parameter, buffer or constant in float64 on the CPU; None for None."""
        return None if node is None else self.traced.tensors[node.name].detach().double().cpu()  # type: ignore[attr-defined]

    def claim(self, node: object, axis: int, units: Units) -> None:
        """These units are the indices on an axis of a parameter, tied to those that other operations claim on it."""
        if not isinstance(node, fx.Node):
            return
        own = self.state(node)
        if own is not None and own.axis == axis:
            self.tie(own.units, units)
            return
        name = self.traced.names.get(node.name)
        if name is None:
            self.lock(units, f"{node.name} is a constant of the traced code")
            return
        self.claims[name, axis] += 1
        self.tie(self._hold(name, axis, units), units)

    def follow_parameter(self, node: fx.Node) -> None:
        """A parameter, buffer or constant with one number a channel is followed like all tensors of channels.

        Whatever reads it follows its channels or locks them.
        """
        value, name = self.traced.tensors[node.name], self.traced.names.get(node.name)
        if not value.is_floating_point() or not value.dim() or value.numel() != max(value.shape):
            return
        axis, numbers = value.shape.index(value.numel()), value.detach().double().cpu().flatten()
        units = self.new_units(len(numbers))
        if name is None:
            self.lock(units, f"{node.name} is a constant of the traced code")
        else:
            units = self._hold(name, axis, units)
        self.states[node] = [Channels(axis, units, Values.bounded(numbers, numbers))]

    def _hold(self, name: str, axis: int, units: Units) -> Units:
        """The units of an axis of a parameter: these, if none are known yet."""
        if (name, axis) not in self.held:
            self.held[name, axis] = units
            self.slots.append(Slot(name, axis, units))
            if name in self.traced.shared:
                self.lock(units, f"{name} shares its memory with another parameter")
        return self.held[name, axis]

    def lock_partly_claimed(self) -> None:
        """Locks what is held by a parameter that is also used in a way in which its channels are not known."""
        users: Counter[str] = Counter()
        for node in self.traced.graph.nodes:
            if self.holds(node) and node.name in self.traced.names:
                users[self.traced.names[node.name]] += sum(not _takes_dtype_only(user, node) for user in node.users)
        for (name, axis), number in self.claims.items():
            if number != users[name]:
                self.lock(self.held[name, axis], f"{name} is shared")

    def pattern(self, node: fx.Node, before: Tensor, borders: bool) -> Tensor:
        """The patterns after a linear map of positions, the same for all channels; one without borders keeps a uniform one."""
        known = {
            old: UNIFORM if old == UNIFORM and not borders else self.patterns.setdefault((node.name, old), len(self.patterns) + 1)
            for old in set(before.tolist())
        }
        return torch.tensor([known[old] for old in before.tolist()], dtype=torch.int64)

    def components(self) -> np.ndarray:
        """For each unit the number of its component: all units that are tied to one another, directly or not."""
        if not self.count:
            return np.zeros(0, int)
        a, b = (np.concatenate([np.zeros(0, int), *(pair[side] for pair in self.ties)]) for side in (0, 1))
        edges = coo_matrix((np.ones(len(a)), (a, b)), shape=(self.count, self.count))
        return np.asarray(connected_components(edges, directed=False)[1])

    def lock_reasons(self, components: np.ndarray) -> dict[int, str]:
        """Component → why it stays, for those that are locked; the first reason found."""
        reasons: dict[int, str] = {}
        for units, reason in self.locks:
            for component in np.unique(components[units]).tolist():
                reasons.setdefault(component, reason)
        return reasons


def _takes_dtype_only(user: fx.Node, node: fx.Node) -> bool:
    return operation(user) == "type_as" and user.args[0] is not node


def describe(node: fx.Node) -> str:
    """An operation and the module it belongs to, for messages."""
    if node.op == "placeholder":
        return f"the input {node.name}"
    return f"{operation(node) or node.name} in {module_of(node)}"


def _holding(module: nn.Module, number: int) -> Iterator[tuple[str, int | None]]:
    """The attributes of a module that are a number, and entries of those that are lists or tuples."""
    if type(module).__module__.startswith("torch.nn."):
        return  # these follow from the weights
    for name, value in vars(module).items():
        if type(value) is int and value == number:
            yield name, None
        elif isinstance(value, list | tuple):
            yield from ((name, place) for place, entry in enumerate(value) if type(entry) is int and entry == number)


def repeated(units: Iterable[int], times: int) -> Units:
    """Each unit `times` times in a row."""
    return np.repeat(np.asarray(units), times)
