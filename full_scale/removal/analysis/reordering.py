"""Channels in another order: where code mixes it, fewer channels take other ways than the same ones did among more.

A channel shuffle sends every second channel to the next block, and the others past it; with fewer channels it sends others. All
channels that go through the same operations and parameters are of one kind, and may change places. So the smaller network is
traced, and each of its places given to a channel of the kind that goes that way.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import fx

from full_scale.removal.analysis.channels import Tracker

Key = tuple[str, str, int]
"""("node", name, number of the output) or ("slot", name of the parameter, axis)."""

Places = dict[Key, np.ndarray]
"""For each axis of channels the component at each index."""


def clusters(tracker: Tracker, components: np.ndarray) -> list[np.ndarray]:
    """The components whose order code mixes: those of one cluster can only lose channels in proportion, each marked in a mask."""
    count = int(components.max(initial=-1)) + 1
    mixed = np.zeros(count, bool)
    edges = [components[np.concatenate(pieces)] for pieces in tracker.proportions]
    rows = np.concatenate([np.zeros(0, int), *(np.repeat(edge[:1], len(edge)) for edge in edges)])
    graph = coo_matrix((np.ones(len(rows)), (rows, np.concatenate([np.zeros(0, int), *edges]))), shape=(count, count))
    numbers = connected_components(graph, directed=False)[1]
    for units in tracker.shuffled:
        mixed |= numbers == numbers[components[units[0]]]
    return [mixed & (numbers == number) for number in np.unique(numbers[mixed])]


def length(tracker: Tracker, components: np.ndarray, cluster: np.ndarray) -> int:
    """How many channels the axes and pieces of a cluster have, or the largest number of which all of them have a multiple."""
    stretches = [slot.units for slot in tracker.slots] + [piece for pieces in tracker.proportions for piece in pieces]
    return math.gcd(*(int(cluster[components[units]].sum()) for units in stretches))


def kinds(tracker: Tracker, components: np.ndarray, smaller: Tracker) -> tuple[np.ndarray, np.ndarray] | None:
    """The kind of each component, of a network and of a smaller one; None if that runs other operations."""
    found = smaller.components()
    old, new = _places(tracker, components), _places(smaller, found)
    if not old.keys() <= new.keys():
        return None
    shared = {key: new[key] for key in old}  # a convolution of which one group is left is one without groups
    return _kinds(old, int(components.max(initial=-1)) + 1), _kinds(shared, int(found.max(initial=-1)) + 1)


def orders(
    tracker: Tracker, components: np.ndarray, removed: np.ndarray, mixed: np.ndarray, smaller: Tracker
) -> dict[Key, np.ndarray] | None:
    """For each axis of mixed channels the old index at each one of a smaller network.

    None if that has other places than for those that are kept.
    """
    found = kinds(tracker, components, smaller)
    if found is None:
        return None
    old, new = _places(tracker, components), _places(smaller, smaller.components())
    own = np.unique(found[0][mixed])
    if any(((found[0] == kind) & ~removed).sum() != (found[1] == kind).sum() for kind in own):
        return None
    given = _given(old, new, found, removed, own)
    names = {str(number): node.name for number, node in enumerate(_operations(tracker))}
    result: dict[Key, np.ndarray] = {}
    for (kind, name, number), before in old.items():
        after, others = new[kind, name, number], np.flatnonzero(~(mixed | removed)[before])
        inside = np.isin(found[1][after], own)
        if mixed[before].any():
            indices = np.empty(len(after), int)
            if len(others) != (~inside).sum():
                return None
            indices[inside], indices[~inside] = _indices(before, given[after[inside]]), others
            result[kind, names.get(name, name) if kind == "node" else name, number] = indices
    return result


def _operations(tracker: Tracker) -> list[fx.Node]:
    inputs = tracker.traced.inputs
    return [node for node in tracker.traced.graph.nodes if node.op != "placeholder" or node.name in inputs]


def _places(tracker: Tracker, components: np.ndarray) -> Places:
    """With the number of an operation for its name, which may be another one in another graph."""
    found: Places = {}
    for index, node in enumerate(_operations(tracker)):
        for number, state in enumerate(tracker.states.get(node, [])):
            if state is not None:
                found["node", str(index), number] = components[state.units]
    for slot in sorted(tracker.slots, key=lambda slot: (slot.name, slot.axis)):
        found["slot", slot.name, slot.axis] = components[slot.units]
    return found


def _kinds(places: Places, count: int) -> np.ndarray:
    """For each component a number that says how often it is where: those of two kinds are the same only by chance."""
    weights = np.random.default_rng(0).integers(1, 2**63, len(places), dtype=np.uint64)
    total = np.zeros(count, np.uint64)
    for weight, found in zip(weights, places.values(), strict=True):
        total += weight * np.bincount(found, minlength=count).astype(np.uint64)
    return total


def _given(old: Places, new: Places, kinds: tuple[np.ndarray, np.ndarray], removed: np.ndarray, own: np.ndarray) -> np.ndarray:
    """For each place of a smaller network the component that gets it: the kept ones of each kind of `own`, in their order."""
    given = np.zeros(len(kinds[1]), int)
    ranks = [_ranks(places, len(found)) for places, found in zip((old, new), kinds, strict=True)]
    for kind in own:
        kept, places = np.flatnonzero((kinds[0] == kind) & ~removed), np.flatnonzero(kinds[1] == kind)
        given[places[np.argsort(ranks[1][places])]] = kept[np.argsort(ranks[0][kept])]
    return given


def _ranks(places: Places, count: int) -> np.ndarray:
    """The first index of each component in the first place where it is."""
    ranks = np.full(count, -1)
    for found in places.values():
        components, first = np.unique(found, return_index=True)
        ranks[components] = np.where(ranks[components] < 0, first, ranks[components])
    return ranks


def _indices(old: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in `old` the wanted components are: the first one for the first time that one is wanted, and so on."""
    order, turn = np.argsort(old, kind="stable"), np.argsort(wanted, kind="stable")
    counted = np.empty(len(wanted), int)
    counted[turn] = np.arange(len(wanted)) - np.searchsorted(wanted[turn], wanted[turn])
    return order[np.searchsorted(old[order], wanted) + counted]
