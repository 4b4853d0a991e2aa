"""What the operations share."""

from __future__ import annotations

from torch import fx

from full_scale.removal.analysis.channels import Channels, Tracker, describe


def unknown(tracker: Tracker, node: fx.Node) -> Channels | None:
    """Locks what an operation reads that is not known, or not in this use; nothing is known of what it puts out."""
    tracker.lock_inputs(node, f"read by {describe(node)}, which removal does not cover")
    return None


def followed(tracker: Tracker, node: fx.Node) -> Channels | None:
    """The channels of an operation's first input, or None."""
    return tracker.state(node.args[0])
