"""What the operations share."""

from __future__ import annotations

from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe
from full_scale.removal.analysis.values import Values


def unknown(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Locks what an operation reads that is not known, or not in this use; nothing is known of what it puts out."""
    tracker.lock_inputs(node, f"read by {describe(node)}, which removal does not cover")
    return None


def followed(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of an operation's first input, or None."""
    return tracker.state(node.args[0])


def rearranged(tracker: Tracker, node: fx.Node, values: Values) -> Values:
    """The same values at other positions, which makes another pattern of each."""
    return values.with_constants(values.constant, tracker.pattern(node, values.pattern, borders=False))
