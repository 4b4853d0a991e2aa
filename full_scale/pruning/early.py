"""One training with what every criterion reads measured early on, and which features are dead at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from full_scale.measure.criteria_measures import criteria_table
from full_scale.pruning.spec import EarlySpec
from full_scale.training.context import computing
from full_scale.training.loop import Tables, Training, training_memory
from mechanisms.measures.sparsity import inactive
from mechanisms.system.context import HERE, RunContext


def run(spec: EarlySpec, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> tuple[Tables, dict[str, Any]]:
    """The tables of one training, and `moments`: a row for each feature at each moment, with `dies`.

    The training is the one that `full_scale.training.loop.run` makes, to the bit.

    Raises:
        UserError: as `full_scale.training.loop.run`.
    """
    with computing(), training_memory(spec.train):
        training = Training(spec.train, seed, checkpoints, context)
        training.tables["moments"] = []
        for done in training.steps():
            if done in spec.steps():
                training.tables["moments"].append(criteria_table(training, spec.images))
        fate = training.tables["features"][-1]
        tables, extra = training.result()
        keys = ["layer", "feature"]
        fates = fate[keys].assign(dies=inactive(fate).to_numpy())
        return tables | {"moments": tables["moments"].merge(fates, on=keys, how="left")}, extra
