"""Recurrent layers: features that come in are followed, those of the hidden state stay."""

from __future__ import annotations

from typing import Any

from torch import fx

from full_scale.removal.analysis.channels import Channels, Reader, Tracker, describe
from full_scale.removal.analysis.graph import argument, shape, source
from full_scale.removal.analysis.operations.common import unknown


def layers(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """The first of the layers of an LSTM, GRU or plain recurrent network reads features, in one direction or in both."""
    parts, biased = argument(node, "params"), argument(node, "has_biases")
    directions = 2 if argument(node, "bidirectional") else 1
    if argument(node, "input") is None or not all(map(tracker.holds, parts)):  # packed sequences have no axis of time
        return [unknown(tracker, node)]
    each = len(parts) // (argument(node, "num_layers") * directions)
    firsts = [parts[number * each : (number + 1) * each] for number in range(directions)]
    return _read(tracker, node, [(part[0], part[2] if biased else None) for part in firsts])


def cell(tracker: Tracker, node: fx.Node) -> list[Channels | None]:
    """A single step reads features."""
    parts = [argument(node, name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    if not all(part is None or tracker.holds(part) for part in parts):
        return [unknown(tracker, node)]
    return _read(tracker, node, [(parts[0], parts[2])])


def _read(tracker: Tracker, node: fx.Node, weights: list[tuple[fx.Node, Any]]) -> list[Channels | None]:
    """Reads the features of the last axis by each of the weights, and its bias."""
    inputs = tracker.channels(source(node), len(shape(source(node))) - 1)
    for weight, bias in weights:
        tracker.claim(weight, 1, inputs.units)
        name = tracker.traced.names.get(weight.name, weight.name)
        tracker.read(Reader(node, name, 1, inputs, True, weight, bias))
    for part in node.all_input_nodes:
        for state in tracker.states.get(part, []):
            if state is not None and part is not source(node) and part not in [weight for weight, _ in weights]:
                tracker.lock(state.units, f"a part of {describe(node)}")
    return []
