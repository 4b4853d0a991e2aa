"""N1 to N6: networks do what the layer of competing features does when the same thing is changed.

Every number was said by the layer (64 replicates of seed 0 of `layer_responses`) before any network was changed in this way.
"""

from __future__ import annotations

import pandas as pd

from mechanisms.claims.hypothesis import Hypothesis, about, explained, more
from mechanisms.claims.measured.response_table import SMALL
from mechanisms.claims.measured.responses import Effects, responses
from mechanisms.measures.statistics import mean_interval
from mechanisms.records.loading import Need

SAID = {
    "coupled: floor 0.03": -0.40,
    "coupled: floor 0.3": -0.37,
    "coupled: norms × 0.5": -0.44,
    "coupled: norms × 1": -0.40,
    "coupled: norms × 2": -0.40,
    "decoupled: floor 0.03": 0.00,
    "decoupled: floor 0.3": -0.01,
    "decoupled: norms × 0.5": -0.13,
    "decoupled: norms × 1": 0.00,
    "decoupled: norms × 2": 0.11,
    "coupled: ε 1e-07": -0.12,
    "coupled: ε 0.001": 0.04,
    "coupled: ε 0.01": 0.02,
    "decoupled: ε 1e-07": -0.01,
    "decoupled: ε 0.001": -0.06,
    "decoupled: ε 0.01": -0.32,
    "coupled: rate × 0.33": -0.56,
    "coupled: rate × 3": 0.02,
    "decoupled: rate × 0.33": -0.59,
    "decoupled: rate × 3": 0.16,
    "coupled: β1 0": 0.04,
    "coupled: β1 0.99": -0.46,
    "decoupled: β1 0": -0.02,
    "decoupled: β1 0.99": -0.21,
    "coupled: half as wide": -0.24,
    "coupled: noisier labels": -0.56,
}
"""Change → what it did to the share of dead features of the layer, against the plain setting."""
TOLERANCE = 0.1


def scores(features: pd.DataFrame) -> Effects:
    """Measure each change on networks, and over all changes how many signs the layer told right and how far off it was."""
    found = responses(features)
    both = pd.DataFrame({"said": SAID, "found": {name: one.value for name, one in found.items()}}).dropna()
    if len(both) < 2:
        return found
    told = both[both["said"].abs() >= SMALL]
    found["signs told right"] = mean_interval((told["said"] * told["found"] > 0).astype(float))
    found["absolute error"] = mean_interval((both["said"] - both["found"]).abs())
    return found


def _claim(name: str, statement: str, part: str, *words: str) -> Hypothesis:
    chosen = [quantity for quantity in SAID if quantity.startswith(part) and any(word in quantity for word in words)]
    predictions = tuple(about(quantity, SAID[quantity], TOLERANCE) for quantity in chosen)
    return explained(name, "the layer, asked first", Need("full_scale", "responses", seeds=3), scores, statement, predictions)


HYPOTHESES = (
    _claim(
        "N1",
        "Under L2, held or floored incoming norms save as much in networks as in the layer.",
        "coupled",
        "floor",
        "norms",
    ),
    _claim("N2", "Under AdamW, held or floored norms change as little as in the layer.", "decoupled", "floor", "norms"),
    _claim("N3", "The ε of the normalization does to networks what it does to the layer.", "", "ε"),
    _claim("N4", "A third and three times the rate do to networks what they do to the layer.", "", "rate"),
    _claim("N5", "β1, width and the task do to networks what they do to the layer.", "", "β1", "wide", "labels"),
    explained(
        "N6",
        "the layer, asked first",
        Need("full_scale", "responses", seeds=3),
        scores,
        "Over all changes the layer tells the sign in 90 %, and the size to a mean absolute error of 0.10.",
        (more("signs told right", 0.9), about("absolute error", 0.0, TOLERANCE)),
    ),
)
