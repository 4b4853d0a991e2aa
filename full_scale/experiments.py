"""The experiments of this layer: every public function here is one; its first docstring line is its summary."""

from __future__ import annotations

from full_scale.spec import TrainSpec
from mechanisms.regularizers import L2
from mechanisms.update_rules import SGD, Adam


def digits() -> tuple[TrainSpec, ...]:
    """Which combinations of rule and regularizer kill filters: BasicNet at width 1/4 on digits, 464 features, 1,200 steps.

    Adam under coupled L2 of 3e-3; Adam under independent decay of 3e-3 a step; SGD with momentum under coupled L2 of 5e-3; Adam
    without a regularizer. All fit the training set. Rates larger than usual make the effect show within seconds.
    """
    return (
        TrainSpec(rule=Adam(), regularizer=L2(strength=3e-3), learning_rate=1e-2),
        TrainSpec(rule=Adam(), regularizer=L2(strength=3e-3, coupling="independent"), learning_rate=1e-2),
        TrainSpec(rule=SGD(momentum=0.9), regularizer=L2(strength=5e-3), learning_rate=0.1),
        TrainSpec(rule=Adam(), regularizer=L2(strength=0.0), learning_rate=1e-2),
    )
