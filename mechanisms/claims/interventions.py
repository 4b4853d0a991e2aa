"""I1 to I18: what each explanation of the effect predicts for an intervention on networks, before the records.

I17 and I18 came after them: a review of the records asked for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from mechanisms.claims.hypothesis import Hypothesis, Prediction, about, explained, fewer, more
from mechanisms.claims.measured.treated_runs import (
    balance_effects,
    barrier_effects,
    factor_effects,
    full_batch_effects,
    gate_effects,
    rescale_effects,
)
from mechanisms.measures.statistics import Estimate
from mechanisms.records.loading import Need

COMPETITION = "competition for a conserved sum"
PRODUCT = "product γ·outgoing"
SELECTIVITY = "selectivity"
WEAK_FORCE = "weak mean force"
BARRIER = "noise over a barrier"
STEP_LENGTH = "step length"
"""In front of a BatchNorm the norm of the incoming weights only says how far a step turns them."""

OWN_SIZE = "own size"
SEEDS: dict[str, int] = {"full_batch": 3}
"""Experiment → replicates, where they are not five: a step on all images is thirty times the work."""
EFFECT, SMALL_EFFECT, NO_EFFECT = 0.1, 0.05, 0.05
"""Shares of filters: the least that counts as an effect, as a small one, and the most that counts as none."""


EFFECTS: dict[str, Callable[[pd.DataFrame], Mapping[str, Estimate]]] = {
    "rescale": rescale_effects,
    "gate": gate_effects,
    "factors": factor_effects,
    "barrier": barrier_effects,
    "full_batch": full_batch_effects,
    "balance": balance_effects,
}
"""Experiment → all that is measured on it."""


def _claim(name: str, explanation: str, experiment: str, statement: str, *predictions: Prediction) -> Hypothesis:
    need = Need("full_scale", experiment, seeds=SEEDS.get(experiment, 5))
    return explained(name, explanation, need, EFFECTS[experiment], statement, predictions)


HYPOTHESES = (
    _claim(
        "I1",
        COMPETITION,
        "rescale",
        "Small becomes smaller: of filters made smaller without changing the function more die than of their neighbours.",
        more("adam coupled, half × 0.25: treated minus control", EFFECT),
        more("adam coupled, half × 0.5: treated minus control", EFFECT),
        fewer("adam coupled, half × 2: treated minus control", EFFECT),
        fewer("adam coupled, half × 4: treated minus control", EFFECT),
    ),
    _claim(
        "I2",
        COMPETITION,
        "rescale",
        "Small becomes smaller under every rule and coupling.",
        more("adam decoupled, half × 0.5: treated minus control", SMALL_EFFECT),
        more("adam independent, half × 0.5: treated minus control", SMALL_EFFECT),
        more("sgd coupled, half × 0.5: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I3",
        COMPETITION,
        "rescale",
        "Untouched filters die because their neighbours were made larger, and live because they were made smaller.",
        more("adam coupled, half × 2: control minus untouched", EFFECT),
        fewer("adam coupled, half × 0.5: control minus untouched", SMALL_EFFECT),
    ),
    _claim(
        "I4",
        COMPETITION,
        "rescale",
        "Only the size beside the neighbours matters: all filters made smaller or larger, as many die.",
        about("adam coupled, all × 0.5: minus untouched", 0.0, NO_EFFECT),
        about("adam coupled, all × 2: minus untouched", 0.0, NO_EFFECT),
    ),
    _claim(
        "I5",
        BARRIER,
        "rescale",
        "The size itself matters, for the barrier is nearer: all filters made smaller, more die; made larger, fewer.",
        more("adam coupled, all × 0.5: minus untouched", EFFECT),
        fewer("adam coupled, all × 2: minus untouched", EFFECT),
    ),
    _claim(
        "I6",
        f"{PRODUCT}; {SELECTIVITY}",
        "rescale",
        "What leaves the product, the function and the selectivity of a filter as they are does not decide whether it dies.",
        about("adam coupled, half × 0.5: treated minus control", 0.0, NO_EFFECT),
        about("adam coupled, half × 2: treated minus control", 0.0, NO_EFFECT),
    ),
    _claim(
        "I7",
        WEAK_FORCE,
        "gate",
        "Filters whose loss gradient comes more rarely, and so is weaker in the mean, die more.",
        more("adam coupled, plain gate 0.1: treated minus control", EFFECT),
        more("sgd coupled, plain gate 0.1: treated minus control", SMALL_EFFECT),
        more("adam coupled, plain gate 0.3: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I8",
        SELECTIVITY,
        "gate",
        "Rarity itself kills under Adam with L2: with the mean restored more die too.",
        more("adam coupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I9",
        WEAK_FORCE,
        "gate",
        "With the mean restored rarity does not kill; the larger denominators even protect, under every law of Adam.",
        fewer("adam coupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
        fewer("adam decoupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I10",
        PRODUCT,
        "factors",
        "Scales and outgoing weights kill together: decaying both kills more than decaying either.",
        more("free: scale+outgoing minus scale", EFFECT),
        more("free: scale+outgoing minus outgoing", EFFECT),
    ),
    _claim(
        "I11",
        PRODUCT,
        "factors",
        "Decay of the incoming weights plays no part, for a BatchNorm takes their size away.",
        about("free: scale+incoming minus scale", 0.0, NO_EFFECT),
        about("free: scale+outgoing+incoming minus scale+outgoing", 0.0, NO_EFFECT),
    ),
    _claim(
        "I12",
        STEP_LENGTH,
        "factors",
        "Decay of the incoming weights kills through their norm alone: with the norm clamped it does nothing.",
        more("scale+incoming: free minus clamped", EFFECT),
        about("clamped: scale+incoming minus scale", 0.0, NO_EFFECT),
    ),
    _claim(
        "I13",
        BARRIER,
        "barrier",
        "Filters collapse because a ReLU can fall silent: without a silent region less than half as many scales become small.",
        fewer("small scales, shifts frozen minus half of untouched", 0.0),
        fewer("small scales, leaky ReLU minus half of untouched", 0.0),
    ),
    _claim(
        "I14",
        BARRIER,
        "full_batch",
        "Sampling noise carries filters over the barrier: in full batches fewer die.",
        more("dead, batch minus full batch", EFFECT),
    ),
    _claim(
        "I15",
        COMPETITION,
        "balance",
        "Under SGD the loss does not change a layer's sum of squared scales and shifts; decay shrinks it at its own rate.",
        about("sgd free: layer sum over its law", 1.0, 0.25),
        about("sgd decayed: layer sum over its law", 1.0, 0.25),
    ),
    _claim(
        "I16",
        PRODUCT,
        "balance",
        "Under SGD the loss does not change scale² + shift² less outgoing²; decay shrinks the difference at its own rate.",
        about("sgd free: balance minus its law, over its start", 0.0, 0.25),
        about("sgd decayed: balance minus its law, over its start", 0.0, 0.25),
    ),
    _claim(
        "I17",
        OWN_SIZE,
        "rescale",
        "Own size matters too: all filters made four times smaller, more die; four times larger, fewer, under each law of Adam.",
        more("adam independent, all × 0.25: minus untouched", SMALL_EFFECT),
        fewer("adam independent, all × 4: minus untouched", EFFECT),
        fewer("adam coupled, all × 4: minus untouched", EFFECT),
        fewer("adam decoupled, all × 4: minus untouched", SMALL_EFFECT),
    ),
    _claim(
        "I18",
        STEP_LENGTH,
        "factors",
        "Filters that are turned further die more: decay of γ kills more with incoming norms held at their start than free.",
        fewer("scale: free minus clamped", 0.0),
    ),
)
