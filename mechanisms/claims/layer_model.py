"""L1 to L11: what a layer of competing features decides of how features die, predicted before its records.

Signs and rough sizes of most come from a throw-away prototype (other code, other draws, 16 replicates); one pilot of 16
replicates under another seed was looked at before L4 to L6. Nothing else was known.
"""

from __future__ import annotations

from mechanisms.claims.hypothesis import Hypothesis, Prediction, about, explained, fewer, more
from mechanisms.claims.measured.layer_runs import EFFECTS
from mechanisms.records.loading import Need

COLLAPSE = "collapse of incoming norms"
PRODUCT = "product γ·outgoing"
NOISE = "noise of batches"
TASK = "what the task needs"
SURVIVORS = "survivors over the standard's"
"""The number of survivors over that of 32 features of which the task needs 6, at strength 3e-3."""


def _claim(name: str, explanation: str, experiment: str, statement: str, *predictions: Prediction) -> Hypothesis:
    return explained(name, explanation, Need("toy", experiment, seeds=1), EFFECTS[experiment], statement, predictions)


HYPOTHESES = (
    _claim(
        "L1",
        COLLAPSE,
        "layer_two_ways",
        "Under L2 most features die by the collapse of single incoming norms: a floor, or no decay of them, saves them.",
        fewer("coupled: floor minus plain", 0.25),
        fewer("coupled: norms held minus plain", 0.25),
        fewer("coupled: incoming free minus plain", 0.3),
        about("coupled: incoming norm of the dead over its start", 0, 1e-3),
    ),
    _claim(
        "L2",
        PRODUCT,
        "layer_two_ways",
        "Under AdamW incoming norms play no part: a floor, held norms, or no decay of them save none.",
        about("decoupled: floor minus plain", 0, 0.05),
        about("decoupled: norms held minus plain", 0, 0.05),
        about("decoupled: incoming free minus plain", 0, 0.1),
        more("decoupled: incoming norm of the dead over its start", 5e-3),
    ),
    _claim(
        "L3",
        PRODUCT,
        "layer_two_ways",
        "Under AdamW the product kills: where outgoing weights are not decayed, fewer die.",
        fewer("decoupled: outgoing free minus plain", 0.15),
    ),
    _claim(
        "L4",
        COLLAPSE,
        "layer_runaway",
        "Who dies is known at 10 % by the size of incoming gradients, as well as by |γ|, when all are far above the threshold.",
        about("coupled: share below the threshold at 10 %", 0, 0.01),
        more("coupled: AUC of a small incoming gradient at 10 %, minus ½", 0.3),
        about("coupled: the same, minus that of a small scale", 0, 0.02),
        more("coupled: share of the dead that were below the threshold when last seen alive", 0.5),
    ),
    _claim(
        "L5",
        COLLAPSE,
        "layer_runaway",
        "The runaway scales as its threshold η²dλ/4: at a quarter of the rate it stops, with more inputs it kills more.",
        fewer("coupled: a quarter of the rate, four times the steps, minus plain", 0.3),
        about("decoupled: a quarter of the rate, four times the steps, minus plain", -0.15, 0.1),
        more("coupled: deaths by incoming decay, 64 inputs minus 16", 0.0),
    ),
    _claim(
        "L6",
        "equilibrium of noise and decay",
        "layer_runaway",
        "Incoming norms of features that do not run away are those of the closed form, under L2 and under AdamW.",
        about("coupled: incoming norm over its equilibrium", 1, 0.1),
        about("decoupled: incoming norm over its equilibrium", 1, 0.15),
    ),
    _claim(
        "L7",
        PRODUCT,
        "layer_two_ways",
        "What no floor prevents under L2 is the product: as many die as without incoming decay, fewer without outgoing decay.",
        about("coupled: floor minus incoming free", 0, 0.1),
        fewer("coupled: floor and outgoing free minus floor", 0.05),
    ),
    _claim(
        "L8",
        COLLAPSE,
        "layer_epsilon",
        "A larger ε of the normalization kills more under L2, for below it a norm is not restored; under AdamW it does nothing.",
        more("coupled: ε 0.001 minus 1e-10", 0.2),
        more("coupled: ε 1e-05 minus 1e-10", 0.1),
        about("decoupled: ε 0.001 minus 1e-10", 0, 0.05),
        more("coupled: ε 0.01 minus 1e-05", 0.02),
        about("decoupled: ε 0.01 minus 1e-05", 0, 0.05),
    ),
    _claim(
        "L9",
        NOISE,
        "layer_gate_parts",
        "A restored gate changes the controls, not the treated; on incoming weights it protects, on scale and shift it kills.",
        more("restored gate 0.1 on all: treated minus control", 0.1),
        about("restored gate 0.1 on all: treated minus untouched", 0, 0.05),
        fewer("restored gate 0.1 on all: control minus untouched", 0.1),
        more("restored gate 0.3 on all: treated minus control", 0.05),
        fewer("restored gate 0.1 on incoming: treated minus control", 0.05),
        more("restored gate 0.1 on scale+shift: treated minus control", 0.05),
    ),
    _claim(
        "L10",
        NOISE,
        "layer_noise",
        "Without the noise of batches nothing dies, nor at small rates; the noise of gates does not stand in for it.",
        about("coupled: dead in full batches", 0, 0.02),
        about("decoupled: dead in full batches", 0, 0.05),
        fewer("coupled: full batches with gates of 0.1 minus batches of 40", 0.2),
        about("coupled: dead at rate 0.001", 0, 0.02),
        fewer("coupled: rate 0.003 minus 0.01", 0.3),
    ),
    _claim(
        "L11",
        TASK,
        "layer_survivors",
        "The number of survivors goes with the square root of features × features needed / strength.",
        about("slope of survivors in features", 0.5, 0.15),
        about("slope of survivors in teacher_features", 0.5, 0.15),
        about("slope of survivors in regularizer.strength", -0.5, 0.15),
        about(f"{SURVIVORS}: 64 features, 3 needed, strength 0.003", 1, 0.15),
        about(f"{SURVIVORS}: 64 features, 6 needed, strength 0.006", 1, 0.15),
        about(f"{SURVIVORS}: 32 features, 12 needed, strength 0.006", 1, 0.15),
        about(f"{SURVIVORS}: 128 features, 6 needed, strength 0.012", 1, 0.15),
    ),
)
