"""Which channels can go, and what must change elsewhere so that the network computes the same function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.reordering import clusters, kinds, length, orders
from full_scale.removal.analysis.values import UNIFORM
from full_scale.removal.plan import Plan, Selection, fold_target, make_plan

KEPT_LAST = "kept because its layer would be empty without it"
KEPT_CARRIER = "kept to carry the constants of its layer across zero padding"
KEPT_EQUAL = "kept so that the pieces that its channels are cut into stay in proportion"
NOT_ASKED = "not asked for"
SMALLEST_RATIO = 0.1
"""A constant is merged only onto one at least this share of its size, so that no weight grows by rounding errors."""


def select(
    tracker: Tracker,
    *,
    multiple_of: int = 1,
    only: np.ndarray | None = None,
    banned: Mapping[int, str] | None = None,
) -> Selection:
    """The largest set of channels that can go without a change of the function.

    Args:
        tracker: an analysed network.
        multiple_of: the kept channels of each convolution are a multiple of this where the dead ones suffice.
        only: marks the components that may go at all.
        banned: component → why it stays.
    """
    components = tracker.components()
    count = int(components.max(initial=-1)) + 1
    selection = Selection(components, np.ones(count, bool), {})
    for component, reason in {**tracker.lock_reasons(components), **(banned or {})}.items():
        selection.keep(component, reason)
    _keep_varying(tracker, selection)
    _keep_unread(tracker, selection)
    if only is not None:
        for component in np.flatnonzero(~only & selection.removed).tolist():
            selection.keep(component, NOT_ASKED)
    for weight, readers in tracker.uses.items():
        targets = [fold_target(tracker, reader) for reader in readers]
        for target in set(targets):
            together = [reader.channels for reader, own in zip(readers, targets, strict=True) if own == target]
            _keep_unlike(selection, weight, together)
            if target is None:
                _choose_carriers(selection, weight, together)
    _keep_fitting(tracker, selection, multiple_of)
    for weight, carriers in selection.carriers.items():
        units = tracker.uses[weight][0].channels.units
        selection.carriers[weight] = {index: to for index, to in carriers.items() if selection.goes(units[index])}
    return selection


def select_in_order(tracker: Tracker, analysed: Callable[[Plan], Tracker | None], **options: Any) -> Selection:
    """What `select` does, and where the code mixes channels, in an order that fits the smaller network.

    Args:
        tracker: an analysed network.
        analysed: a plan → the analysis of the network that it makes, whatever its numbers; None where that does not run.
        options: those of `select`.
    """
    selection = select(tracker, **options)
    mixed = clusters(tracker, selection.components) if tracker.shuffled and selection.removed.any() else []
    banned = _fewest_kept(tracker, selection, mixed, analysed) if mixed else None
    if banned is None:
        return selection
    others = options.pop("banned", None) or {}
    selection = select(tracker, banned={**banned, **others}, **options)
    smaller, inside = analysed(make_plan(tracker, selection)), np.any(mixed, axis=0)
    found = None if smaller is None else orders(tracker, selection.components, selection.removed, inside, smaller)
    if found is None:
        return select(tracker, banned={**dict.fromkeys(np.flatnonzero(inside).tolist(), KEPT_EQUAL), **others}, **options)
    selection.orders = found
    return selection


def _fewest_kept(
    tracker: Tracker, selection: Selection, mixed: list[np.ndarray], analysed: Callable[[Plan], Tracker | None]
) -> dict[int, str] | None:
    """Which components of clusters stay and why, so that each kind loses as many as a smaller network has fewer places for it.

    None where the code does not run with fewer.
    """
    components = selection.components
    removable = selection.removed.copy()
    removable[[component for component, reason in selection.reasons.items() if reason == KEPT_EQUAL]] = True
    lengths = [length(tracker, components, cluster) for cluster in mixed]
    lost = [_most(tracker, components, removable & cluster, cluster, size) for cluster, size in zip(mixed, lengths, strict=True)]
    failed, ran = 0, False
    while any(lost):
        smaller = analysed(_narrowed(tracker, components, mixed, lengths, lost))
        found = None if smaller is None else kinds(tracker, components, smaller)
        if found is None or not np.isin(found[1], [0, *found[0].tolist()]).all():
            failed += 1
            lost = [max(0, number - failed) for number in lost]
            continue
        ran = True
        fewer = [_fewer(cluster, removable, found, number) for cluster, number in zip(mixed, lost, strict=True)]
        if fewer == lost:
            return _stay(selection, mixed, removable, found)
        lost = fewer
    if failed and not ran:
        return None
    return dict.fromkeys(np.flatnonzero(np.any(mixed, axis=0) & removable).tolist(), KEPT_EQUAL)


def _most(tracker: Tracker, components: np.ndarray, removable: np.ndarray, cluster: np.ndarray, size: int) -> int:
    """How many of the channels of each axis of a cluster, `size` long, can go at most."""
    axes = [components[slot.units] for slot in tracker.slots]
    return min(int(removable[axis].sum()) * size // int(cluster[axis].sum()) for axis in axes if cluster[axis].any())


def _narrowed(tracker: Tracker, components: np.ndarray, mixed: list[np.ndarray], lengths: list[int], lost: list[int]) -> Plan:
    """A plan by which the axes of clusters lose their last channels, which only has the right sizes."""
    plan = Plan({}, {}, {}, {}, {})

    def staying(units: np.ndarray) -> np.ndarray:
        stays = np.ones(len(units), bool)
        for cluster, size, number in zip(mixed, lengths, lost, strict=True):
            inside = np.flatnonzero(cluster[components[units]])
            stays[inside[len(inside) - len(inside) // size * number :]] = False
        return stays

    for slot in tracker.slots:
        stays = staying(slot.units)
        if not stays.all():
            plan.keep.setdefault(slot.name, {})[slot.axis] = torch.from_numpy(np.flatnonzero(stays))
    for grouped in tracker.grouped:
        if grouped.owner is not None and not staying(grouped.units).all():
            plan.groups[grouped.owner] = int(staying(grouped.units).sum())
    return plan


def _fewer(cluster: np.ndarray, removable: np.ndarray, found: tuple[np.ndarray, np.ndarray], lost: int) -> int:
    """How many channels a cluster should lose: fewer than `lost` if of one of its kinds too few can go."""
    shares = [1.0]
    for kind in np.unique(found[0][cluster]):
        there = found[0] == kind
        must, can = int(there.sum() - (found[1] == kind).sum()), int(removable[there].sum())
        if not 0 <= must <= can:
            shares.append((can + 1) / max(must, 1))
    return lost if len(shares) == 1 else max(0, min(lost - 1, math.ceil(lost * min(shares)) + 1))


def _stay(
    selection: Selection, mixed: list[np.ndarray], removable: np.ndarray, found: tuple[np.ndarray, np.ndarray]
) -> dict[int, str]:
    stays = np.any(mixed, axis=0)
    for kind in np.unique(found[0][stays]):
        places = int((found[1] == kind).sum())
        there = np.flatnonzero(found[0] == kind)
        stays[there[removable[there]][: len(there) - places]] = False
    return {int(component): selection.reasons.get(int(component), KEPT_EQUAL) for component in np.flatnonzero(stays)}


def _keep_varying(tracker: Tracker, selection: Selection) -> None:
    for reader in tracker.readers:
        varying = reader.channels.values.constant.isnan().numpy()
        reason = f"not constant where {describe(reader.node)} reads it"
        for component in np.unique(selection.components[reader.channels.units[varying]]).tolist():
            selection.keep(component, reason)


def _keep_unread(tracker: Tracker, selection: Selection) -> None:
    """What nothing reads is no feature of the network: it stays."""
    read = np.zeros(len(selection.removed), bool)
    for reader in tracker.readers:
        read[selection.components[reader.channels.units]] = True
    for component in np.flatnonzero(~read & selection.removed).tolist():
        selection.keep(component, "read by no convolution or linear map")


def _alike(uses: list[Channels]) -> np.ndarray:
    """Where channels are the same constant in all uses of a weight."""
    first, *others = (channels.values.constant.numpy() for channels in uses)
    return np.asarray(np.logical_and.reduce([~np.isnan(first), *(first == other for other in others)]))


def _keep_unlike(selection: Selection, weight: str, uses: list[Channels]) -> None:
    """Keeps what is another constant in another use of a weight: no change of the weight or of its bias suits both."""
    units = uses[0].units[~_alike(uses)]
    for component in np.unique(selection.components[units]).tolist():
        selection.keep(component, f"other constants in another use of {weight}")


def _choose_carriers(selection: Selection, weight: str, uses: list[Channels]) -> None:
    """Finds for each removed channel with a constant other than 0 a kept one of the same patterns, or keeps the largest."""
    channels, constants = uses[0], uses[0].values.constant.numpy()
    keys = _patterns(selection, uses)
    carriers = selection.carriers.setdefault(weight, {})
    nonzero = _alike(uses) & (constants != 0)
    for key in np.unique(keys[nonzero & selection.goes(channels.units)], axis=0):
        same = np.flatnonzero(nonzero & (keys == key).all(1))
        going = selection.goes(channels.units[same])
        if not going.any():
            continue  # all of them were kept with a carrier of an earlier place
        largest = np.abs(constants[same[going]]).max()
        fit = same[~going & (np.abs(constants[same]) >= SMALLEST_RATIO * largest)]
        if not len(fit):
            fit = same[going][np.abs(constants[same[going]]).argmax()][None]
            selection.keep(int(selection.components[channels.units[fit[0]]]), KEPT_CARRIER)
        carrier = int(fit[np.abs(constants[fit]).argmax()])
        carriers.update({int(index): carrier for index in same if selection.goes(channels.units[[index]])[0]})


def _patterns(selection: Selection, uses: list[Channels]) -> np.ndarray:
    """What must be the same for one channel to carry another's constant: pattern and place in each use, shape (channels, …)."""
    columns = []
    for channels in uses:
        pattern, places = channels.values.pattern.numpy(), _places(selection, channels)
        columns += [pattern, np.where(pattern == UNIFORM, 0, places)]
    return np.stack(columns, axis=1)


def _places(selection: Selection, channels: Channels) -> np.ndarray:
    """Which of the indices of its unit an index is: the position of a flattened map."""
    components = selection.components[channels.units]
    order = np.argsort(components, kind="stable")
    starts = np.searchsorted(components[order], components[order])
    places = np.empty(len(order), int)
    places[order] = np.arange(len(order)) - starts
    return places


def _keep_fitting(tracker: Tracker, selection: Selection, multiple_of: int) -> None:
    """Takes back channels until no parameter is empty, each of its axes a multiple where there are enough, and pieces fit."""
    changed = True
    while changed:
        changed = _keep_multiples(tracker, selection, multiple_of) | _keep_proportions(tracker, selection)


def _keep_multiples(tracker: Tracker, selection: Selection, multiple_of: int) -> bool:
    changed = False
    for slot in tracker.slots:
        goes = selection.goes(slot.units)
        kept = int((~goes).sum())
        wanted = min(len(goes), max(1, -(-kept // multiple_of) * multiple_of))
        if kept < wanted and goes.any():
            reason = KEPT_LAST if not kept else f"kept to make the channels a multiple of {multiple_of}"
            selection.keep(int(selection.components[slot.units[goes.argmax()]]), reason)
            changed = True
    return changed


def _keep_proportions(tracker: Tracker, selection: Selection) -> bool:
    """Takes back one component of each piece that loses more than its share; first those with the fewest channels."""
    changed = False
    for pieces in tracker.proportions:
        lengths = np.array([len(piece) for piece in pieces])
        weights = lengths // np.gcd.reduce(lengths)
        lost = np.array([selection.goes(piece).sum() for piece in pieces])
        share = (lost // weights).min()
        for piece, surplus in zip(pieces, lost - share * weights, strict=True):
            if surplus > 0:
                going = selection.components[piece[selection.goes(piece)]]
                found, counts = np.unique(going, return_counts=True)
                selection.keep(int(found[counts.argmin()]), KEPT_EQUAL)
                changed = True
    return changed
