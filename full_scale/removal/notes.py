"""What a report says in words: operations that are not covered, and modules that were not run."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from torch.nn.modules.batchnorm import _BatchNorm

from full_scale.models.parts.tracing import has_frozen_statistics, normalizes
from full_scale.removal.analysis.channels import PARAMETER, Tracker
from full_scale.removal.analysis.constants import layers
from full_scale.removal.assessment import ALIVE

MOST_NAMES = 6


def notes(tracker: Tracker, features: pd.DataFrame) -> tuple[str, ...]:
    """What limits a removal, one line each."""
    missed = _not_looked_at(tracker)
    lines = (*_uncovered(tracker), *_not_run(tracker), *_left_out(tracker), *missed)
    return (*lines, *_nothing(tracker, features, whole=not missed))


def _uncovered(tracker: Tracker) -> list[str]:
    components = tracker.components()
    counts = Counter(reason for reason in tracker.lock_reasons(components).values() if reason.startswith(("read by", "cut into")))
    lines = [f"left alone: {count} channels {reason}" for reason, count in counts.most_common(MOST_NAMES)]
    return lines + ([f"left alone: {len(counts) - MOST_NAMES} more operations"] if len(counts) > MOST_NAMES else [])


def _not_run(tracker: Tracker) -> list[str]:
    names = tracker.traced.names
    used = {names[node.name] for node in tracker.traced.graph.nodes if node.name in names and node.users}
    modules = sorted({name.partition(".")[0] for name, _ in tracker.traced.module.named_parameters()})
    idle = [name for name in modules if not any(part == name or part.startswith(f"{name}.") for part in used)]
    return [f"left alone: {name} is not run in evaluation mode and may not fit after a removal" for name in idle]


def _left_out(tracker: Tracker) -> list[str]:
    """What a reader of files says of the network, and did not make a part of it."""
    lines = [f"left alone: {reason}" for reason in getattr(tracker.traced.module, "left_out", ())]
    more = len(lines) - MOST_NAMES
    lines = lines[:MOST_NAMES] + ([f"left alone: {more} more operations that are not covered"] if more > 0 else [])
    return [*getattr(tracker.traced.module, "remarks", ()), *lines]


def _not_looked_at(tracker: Tracker) -> list[str]:
    """What takes part without being followed: layers whose weights are computed, what mixes channels, other normalizations."""
    names = tracker.traced.names
    used = {names[node.name] for node in tracker.traced.graph.nodes if node.name in names and node.users}
    looked = {module for layer in layers(tracker) for module in layer.modules} | _claimed(tracker)
    kinds: Counter[str] = Counter()
    for path, part in tracker.traced.module.named_modules():
        held = [*part.named_parameters(recurse=False), *(part.named_buffers(recurse=False) if normalizes(part) else ())]
        weighs = normalizes(part) or any(tensor.dim() > 1 for _, tensor in held)
        if weighs and path not in looked and any(f"{path}.{name}".lstrip(".") in used for name, _ in held):
            kinds[part._get_name()] += 1
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(MOST_NAMES))
    more = f" and {len(kinds) - MOST_NAMES} more kinds" if len(kinds) > MOST_NAMES else ""
    return [f"not looked at, because what is done with their weights is not covered: {listed}{more}"] if kinds else []


def _claimed(tracker: Tracker) -> set[str]:
    """The modules of whose parameters it is known what is done with them: with at least one matrix, or with all vectors."""
    components = tracker.components()
    reasons = tracker.lock_reasons(components)
    known, strange = {_owner(name) for name, _ in tracker.claims}, set[str]()
    for slot in tracker.slots:
        owner = tracker.traced.module.get_submodule(_owner(slot.name))
        if any(reasons.get(int(c), "").startswith(PARAMETER) for c in components[slot.units]):
            strange.add(_owner(slot.name))
        elif all(tensor.numel() == max(tensor.shape, default=1) for tensor in owner.parameters(recurse=False)):
            known.add(_owner(slot.name))
    return known - strange


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _nothing(tracker: Tracker, features: pd.DataFrame, whole: bool) -> list[str]:
    if features["removable"].any():
        return []
    norms = any(isinstance(part, _BatchNorm) or has_frozen_statistics(part) for part in tracker.traced.module.modules())
    dead = int((features["kind"] != ALIVE).sum())
    alive = "no feature is constant" if whole else "no feature that was looked at is constant"
    why = f"none of the {dead} dead features can go" if dead else alive
    return [f"nothing to remove: {why}" + ("" if norms else "; the network has no BatchNorm")]
