"""Which channels can go, and what must change elsewhere so that the network computes the same function."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.values import UNIFORM
from full_scale.removal.plan import Selection, fold_target

KEPT_LAST = "kept because its layer would be empty without it"
KEPT_CARRIER = "kept to carry the constants of its layer across zero padding"
KEPT_EQUAL = "kept so that the pieces that its channels are cut into stay in proportion"
NOT_ASKED = "not asked for"
SMALLEST_RATIO = 0.1
"""A constant is merged only onto one at least this share of its size, so that no weight grows by rounding errors."""


def select(
    tracker: Tracker, *, multiple_of: int = 1, only: np.ndarray | None = None, banned: Mapping[int, str] | None = None
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
