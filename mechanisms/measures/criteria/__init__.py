"""Pruning criteria: one score for each feature of a network at one moment; the lowest scores are removed first.

Every public function of a module of this package is a criterion, known by its name: a table of features (one row a feature, the
columns of `mechanisms.records.columns`) → its scores. To add one, add a function to a module here, or a file of its own. One
that draws numbers takes a second argument `seed`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.validation import InvalidValue, UserError, require_choice

if TYPE_CHECKING:
    import pandas as pd

Criterion = Callable[..., Any]


@functools.cache
def all_criteria() -> dict[str, Criterion]:
    """Name → function of every criterion, by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    own = [(name, value, module) for module in modules for name, value in vars(module).items() if inspect.isfunction(value)]
    found = {name: function for name, function, module in own if function.__module__ == module.__name__ and name[0] != "_"}
    return dict(sorted(found.items()))


def require_criteria(field: str, names: tuple[str, ...]) -> None:
    """Raises `InvalidValue`, with the list of what there is, unless all are names of criteria."""
    for name in names:
        require_choice(field, name, tuple(all_criteria()))


def score(criterion: str, features: pd.DataFrame, seed: int = 0) -> pd.Series:
    """The score of each row of a table of features, float64, with the index of the table; the lowest goes first.

    Args:
        criterion: the name of one.
        features: one network at one moment.
        seed: what a criterion that draws numbers draws from.

    Raises:
        UserError: there is no such criterion, a feature twice, a column that it needs is not there, or it has no number for a
            feature (the BatchNorm scale of a layer without BatchNorm).
    """
    import pandas as pd

    require_criteria("criterion", (criterion,))
    function = all_criteria()[criterion]
    if features.duplicated(["layer", "feature"]).any():
        raise InvalidValue("features = a table that has a feature twice is not valid: use one network at one moment")
    try:
        values = function(features, **({"seed": seed} if "seed" in inspect.signature(function).parameters else {}))
    except KeyError as missing:
        raise UserError(
            f"criterion {criterion} needs the column {missing}, which this table does not have:"
            " use one of full_scale.measure.criteria_measures"
        ) from None
    scores = pd.Series(np.asarray(values, np.float64), features.index, name=criterion)
    if scores.isna().any():
        layers = ", ".join(dict.fromkeys(features.loc[scores.isna(), "layer"]))
        raise UserError(f"criterion {criterion} has no value for features of {layers}: use another criterion or network")
    return scores
