"""What a report says in words: operations that are not covered, and modules that were not run."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from torch.nn.modules.batchnorm import _BatchNorm

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.assessment import ALIVE

MOST_NAMES = 6


def notes(tracker: Tracker, features: pd.DataFrame) -> tuple[str, ...]:
    """What limits a removal, one line each."""
    return (*_uncovered(tracker), *_not_run(tracker), *_nothing(tracker, features))


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


def _nothing(tracker: Tracker, features: pd.DataFrame) -> list[str]:
    if features["removable"].any():
        return []
    norms = any(isinstance(part, _BatchNorm) for part in tracker.traced.module.modules())
    dead = int((features["kind"] != ALIVE).sum())
    why = f"none of the {dead} dead features can go" if dead else "no feature is constant"
    return [f"nothing to remove: {why}" + ("" if norms else "; the network has no BatchNorm")]
