"""I1 to I18: what each explanation of the effect predicts for an intervention on networks, before the records.

I17 and I18 came after them: a review of the records asked for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from mechanisms.claims.hypothesis import Hypothesis, Prediction, compared
from mechanisms.claims.treated_runs import (
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
    return Hypothesis(
        name,
        statement,
        f"prediction of the explanation: {explanation}",
        "the 95 % interval of one quantity excludes what is predicted for it",
        (Need("full_scale", experiment, seeds=SEEDS.get(experiment, 5)),),
        compared(predictions, EFFECTS[experiment]),
        predictions,
        explanation,
    )


def _more(quantity: str, size: float = EFFECT) -> Prediction:
    return Prediction(quantity, +1, size)


def _fewer(quantity: str, size: float = EFFECT) -> Prediction:
    return Prediction(quantity, -1, size)


def _same(quantity: str, size: float = NO_EFFECT, center: float = 0.0) -> Prediction:
    return Prediction(quantity, 0, size, center)


HYPOTHESES = (
    _claim(
        "I1",
        COMPETITION,
        "rescale",
        "Small becomes smaller: of filters made smaller without changing the function more die than of their neighbours.",
        _more("adam coupled, half × 0.25: treated minus control"),
        _more("adam coupled, half × 0.5: treated minus control"),
        _fewer("adam coupled, half × 2: treated minus control"),
        _fewer("adam coupled, half × 4: treated minus control"),
    ),
    _claim(
        "I2",
        COMPETITION,
        "rescale",
        "Small becomes smaller under every rule and coupling.",
        _more("adam decoupled, half × 0.5: treated minus control", SMALL_EFFECT),
        _more("adam independent, half × 0.5: treated minus control", SMALL_EFFECT),
        _more("sgd coupled, half × 0.5: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I3",
        COMPETITION,
        "rescale",
        "Untouched filters die because their neighbours were made larger, and live because they were made smaller.",
        _more("adam coupled, half × 2: control minus untouched"),
        _fewer("adam coupled, half × 0.5: control minus untouched", SMALL_EFFECT),
    ),
    _claim(
        "I4",
        COMPETITION,
        "rescale",
        "Only the size beside the neighbours matters: all filters made smaller or larger, as many die.",
        _same("adam coupled, all × 0.5: minus untouched"),
        _same("adam coupled, all × 2: minus untouched"),
    ),
    _claim(
        "I5",
        BARRIER,
        "rescale",
        "The size itself matters, for the barrier is nearer: all filters made smaller, more die; made larger, fewer.",
        _more("adam coupled, all × 0.5: minus untouched"),
        _fewer("adam coupled, all × 2: minus untouched"),
    ),
    _claim(
        "I6",
        f"{PRODUCT}; {SELECTIVITY}",
        "rescale",
        "What leaves the product, the function and the selectivity of a filter as they are does not decide whether it dies.",
        _same("adam coupled, half × 0.5: treated minus control"),
        _same("adam coupled, half × 2: treated minus control"),
    ),
    _claim(
        "I7",
        WEAK_FORCE,
        "gate",
        "Filters whose loss gradient comes more rarely, and so is weaker in the mean, die more.",
        _more("adam coupled, plain gate 0.1: treated minus control"),
        _more("sgd coupled, plain gate 0.1: treated minus control", SMALL_EFFECT),
        _more("adam coupled, plain gate 0.3: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I8",
        SELECTIVITY,
        "gate",
        "Rarity itself kills under Adam with L2: with the mean restored more die too.",
        _more("adam coupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I9",
        WEAK_FORCE,
        "gate",
        "With the mean restored rarity does not kill; the larger denominators even protect, under every law of Adam.",
        _fewer("adam coupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
        _fewer("adam decoupled, restored gate 0.1: treated minus control", SMALL_EFFECT),
    ),
    _claim(
        "I10",
        PRODUCT,
        "factors",
        "Scales and outgoing weights kill together: decaying both kills more than decaying either.",
        _more("free: scale+outgoing minus scale"),
        _more("free: scale+outgoing minus outgoing"),
    ),
    _claim(
        "I11",
        PRODUCT,
        "factors",
        "Decay of the incoming weights plays no part, for a BatchNorm takes their size away.",
        _same("free: scale+incoming minus scale"),
        _same("free: scale+outgoing+incoming minus scale+outgoing"),
    ),
    _claim(
        "I12",
        STEP_LENGTH,
        "factors",
        "Decay of the incoming weights kills through their norm alone: with the norm clamped it does nothing.",
        _more("scale+incoming: free minus clamped"),
        _same("clamped: scale+incoming minus scale"),
    ),
    _claim(
        "I13",
        BARRIER,
        "barrier",
        "Filters collapse because a ReLU can fall silent: without a silent region less than half as many scales become small.",
        _fewer("small scales, shifts frozen minus half of untouched", 0.0),
        _fewer("small scales, leaky ReLU minus half of untouched", 0.0),
    ),
    _claim(
        "I14",
        BARRIER,
        "full_batch",
        "Sampling noise carries filters over the barrier: in full batches fewer die.",
        _more("dead, batch minus full batch"),
    ),
    _claim(
        "I15",
        COMPETITION,
        "balance",
        "Under SGD the loss does not change a layer's sum of squared scales and shifts; decay shrinks it at its own rate.",
        _same("sgd free: layer sum over its law", 0.25, 1.0),
        _same("sgd decayed: layer sum over its law", 0.25, 1.0),
    ),
    _claim(
        "I16",
        PRODUCT,
        "balance",
        "Under SGD the loss does not change scale² + shift² less outgoing²; decay shrinks the difference at its own rate.",
        _same("sgd free: balance minus its law, over its start", 0.25),
        _same("sgd decayed: balance minus its law, over its start", 0.25),
    ),
    _claim(
        "I17",
        OWN_SIZE,
        "rescale",
        "Own size matters too: all filters made four times smaller, more die; four times larger, fewer, under each law of Adam.",
        _more("adam independent, all × 0.25: minus untouched", SMALL_EFFECT),
        _fewer("adam independent, all × 4: minus untouched"),
        _fewer("adam coupled, all × 4: minus untouched"),
        _fewer("adam decoupled, all × 4: minus untouched", SMALL_EFFECT),
    ),
    _claim(
        "I18",
        STEP_LENGTH,
        "factors",
        "Filters that are turned further die more: decay of γ kills more with incoming norms held at their start than free.",
        _fewer("scale: free minus clamped", 0.0),
    ),
)
