"""What the operations share."""

from __future__ import annotations

from typing import cast

from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.values import Values


def unknown(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Locks what an operation reads that is not known, or not in this use; nothing is known of what it puts out."""
    tracker.lock_inputs(node, f"read by {describe(node)}, which removal does not cover")
    return None


def followed(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of an operation's first input, which may be a parameter with one number a channel; or None."""
    return tracker.state(node.args[0]) or _of_parameter(tracker, node.args[0])


def _of_parameter(tracker: Tracker, node: object) -> Channels | None:
    value = tracker.value(node) if tracker.holds(node) else None
    axes = [] if value is None else [axis for axis, length in enumerate(value.shape) if length > 1]
    if value is None or len(axes) != 1 or not value.isfinite().all():
        return None
    units = tracker.new_units(value.numel())
    tracker.claim(node, axes[0], units)
    found = Channels(axes[0], units, Values.bounded(value.flatten(), value.flatten()))
    tracker.states[cast(fx.Node, node)] = [found]
    return found


def rearranged(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    """The same values at other positions, which makes another pattern of each."""
    return values.with_constants(values.constant, tracker.pattern(node, values.pattern, borders=False))
