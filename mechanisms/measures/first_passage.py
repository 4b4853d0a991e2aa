"""When a scale that noise and coupled L2 act on has fallen to a tenth: as recorded, and as the closed forms of Adam say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechanisms.measures.sparsity import run_columns
from mechanisms.theory.feature import decay_time, mean_field_decay_time

if TYPE_CHECKING:
    import pandas as pd

MOST_STEPS = 10**7
END = 0.1
"""The threshold, of a scale that starts at 1."""


def passages(features: pd.DataFrame, end: float = END) -> pd.DataFrame:
    """One row a run whose mean scale has fallen below `end`: `simulated`, `closed_form`, `mean_field` steps; `crossover` σ/λ.

    `simulated` is the first recorded step at which the mean over features is below `end`. For Adam under coupled L2 in the toy
    layer's noise alone (`toy.experiments.scalar.passage`).
    """
    import pandas as pd

    rows = []
    for _, run in features.groupby(run_columns(features), sort=False):
        mean = run.groupby("step")["scale"].mean()
        below = mean.index[mean < end]
        if len(below):
            rows.append({"simulated": int(below[0]), **_predicted(run.iloc[0], end)})
    return pd.DataFrame(rows, columns=["simulated", "closed_form", "mean_field", "crossover"])


def _predicted(setting: pd.Series, end: float) -> dict[str, Any]:
    strength = float(setting["spec.regularizer.strength"])
    sigma = float(setting["spec.gradient.sigma"])
    start = float(setting["spec.initial_scale"])
    law = {"learning_rate": float(setting["spec.learning_rate"]), "strength": strength, "sigma": sigma}
    beta1, beta2 = float(setting["spec.rule.beta1"]), float(setting["spec.rule.beta2"])
    return {
        "closed_form": float(decay_time(start, end, **law)),
        "mean_field": mean_field_decay_time(start, end, beta1=beta1, beta2=beta2, most=MOST_STEPS, **law),
        "crossover": sigma / strength,
    }
