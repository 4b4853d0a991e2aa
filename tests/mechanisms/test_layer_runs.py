"""What claims read from records of layers, from tables with planted answers; and that each claim can fail."""

import numpy as np
import pandas as pd
import pytest

from mechanisms.claims.layer_model import HYPOTHESES
from mechanisms.claims.measured.layer_runs import EFFECTS
from mechanisms.law.regularizers import L2
from mechanisms.records.specs import flatten
from mechanisms.records.store import spec_columns
from mechanisms.theory.incoming import equilibrium_norm, runaway_threshold
from toy.suite import LAYER

REPLICATES = 4


def planted(experiment, dead_share, norm=lambda spec, dead: 1.0, **columns):
    """The table of an experiment at 0, 10, 60 and 100 %; of each spec a `dead_share` of the features is dead at the end."""
    parts = []
    for spec in LAYER.specs(experiment):
        axes = np.arange(REPLICATES), np.array([0.0, 0.1, 0.6, 1.0]), np.arange(spec.features)
        replicate, fraction, feature = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        dead = feature < np.round((dead_share(spec) + 0.01 * (replicate % 2)) * spec.features)
        now = dead & (fraction == 1)
        one = {
            "seed": 0, "replicate": replicate, "step": (fraction * spec.steps).round().astype(int), "layer": "hidden",
            "feature": feature, "max_activation": np.where(now, 0.0, 1.0), "scale": np.where(dead, 0.1, 0.5),
            "incoming": np.where(now, norm(spec, True), norm(spec, False)),
            "incoming_gradient": np.where(dead, np.where(fraction < 0.6, 1e-3, 1e-7), 1e-2),
            **({"treated": feature % 2 == 0} if spec.interventions else {}),
        }  # fmt: skip
        parts.append(pd.DataFrame({**one, **columns, **spec_columns(flatten(spec))}))
    return pd.concat(parts, ignore_index=True)


def found(experiment, *arguments, **options):
    return {name: estimate.value for name, estimate in EFFECTS[experiment](planted(experiment, *arguments, **options)).items()}


def coupled(spec):
    return spec.regularizer.coupling == "coupled"


def test_every_prediction_is_of_something_that_is_measured():
    for claim in HYPOTHESES:
        experiment = claim.needs[0].experiment
        measured = found(experiment, lambda spec: 0.3)
        assert {prediction.quantity for prediction in claim.predictions} <= set(measured), claim.name


def test_changes_are_told_from_the_plain_setting_of_the_same_law():
    def dead(spec):
        if not coupled(spec):
            return 0.5 if spec.decayed == ("incoming", "scale") else 0.7
        return 0.6 if not spec.interventions and len(spec.decayed) == 3 else 0.2

    values = found("layer_two_ways", dead, norm=lambda spec, is_dead: 1e-9 if is_dead else 2.0)
    assert values["coupled: floor minus plain"] == pytest.approx(-0.4, abs=0.05)
    assert values["coupled: incoming free minus plain"] == pytest.approx(-0.4, abs=0.05)
    assert values["decoupled: floor minus plain"] == pytest.approx(0)
    assert values["decoupled: outgoing free minus plain"] == pytest.approx(-0.2, abs=0.05)
    assert values["coupled: incoming norm of the dead over its start"] == pytest.approx(5e-10)


def test_who_dies_and_how_norms_stand_to_their_equilibrium():
    def norm(spec, is_dead):
        law = {"learning_rate": spec.learning_rate, "inputs": spec.inputs}
        return 1.5 * float(equilibrium_norm(spec.regularizer, **law, gradient=1e-2))

    values = found("layer_runaway", lambda spec: 0.5, norm=norm)
    assert values["coupled: incoming norm over its equilibrium"] == pytest.approx(1.5)
    assert values["coupled: share below the threshold at 10 %"] == 0
    assert values["coupled: AUC of a small incoming gradient at 10 %, minus ½"] == pytest.approx(0.5)
    assert values["coupled: the same, minus that of a small scale"] == pytest.approx(0)
    assert runaway_threshold(L2(strength=3e-3), learning_rate=1e-2, inputs=16) > 1e-7
    assert values["coupled: share of the dead that were below the threshold when last seen alive"] == 1


def test_deaths_by_incoming_decay_are_what_it_adds():
    def dead(spec):
        return 0.5 - 0.3 * (spec.decayed == ("scale", "outgoing")) - 0.2 * (spec.inputs == 64 and len(spec.decayed) == 3)

    assert found("layer_runaway", dead)["coupled: deaths by incoming decay, 64 inputs minus 16"] == pytest.approx(-0.2, abs=0.03)


def test_slopes_of_survivors_and_their_numbers():
    def dead(spec):
        alive = 10 * (spec.features / 32 * spec.teacher_features / 6 / (spec.regularizer.strength / 3e-3)) ** 0.5
        return 1 - alive / spec.features

    values = found("layer_survivors", dead)
    assert values["slope of survivors in features"] == pytest.approx(0.5, abs=0.05)
    assert values["slope of survivors in regularizer.strength"] == pytest.approx(-0.5, abs=0.05)
    assert values["survivors over the standard's: 128 features, 6 needed, strength 0.012"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("claim", HYPOTHESES, ids=lambda claim: claim.name)
def test_every_claim_can_fail(claim):
    """Where no setting differs from any other; decay of incoming weights is all that kills; gradients say nothing."""
    experiment = claim.needs[0].experiment
    tables = (
        planted(experiment, lambda spec: 0.3),
        planted(experiment, lambda spec: 0.6 * ("incoming" in spec.decayed and not spec.interventions)),
        planted(experiment, lambda spec: 0.3, incoming_gradient=1e-2),
    )
    assert "refuted" in [finding.verdict for table in tables for finding in claim.judge(table)]
