"""The settings of networks on record, with the share of filters that died: what `translate` compares a recipe with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mechanisms.law.regularizers import L2
from mechanisms.law.torch_rules import TorchRule
from mechanisms.measures.sparsity import CRITERIA
from mechanisms.records.bundles import Columns
from mechanisms.records.loading import Need, specs_of, store_of
from mechanisms.records.specs import spec_id
from mechanisms.records.store import Store
from mechanisms.theory.outcomes import Outcome, expectation_row, expectations
from mechanisms.theory.translation import DECAYED, Recipe, recipe_rows
from mechanisms.validation import UserError

SUITE, SHORT = "full_scale", ("preset=short",)
SOURCES = {
    "digits": (
        Need(SUITE, "early_prediction"),
        Need(SUITE, "digits"),
        *(Need(SUITE, name, seeds=5) for name in ("rescale", "matched_coupling")),
    ),
    "photographs": tuple(Need(SUITE, name, SHORT) for name in ("optimizers", "decayed_parameters", "batch_size", "rescale")),
}
"""Data → the experiments that trained on them; of a setting that several have, the first is read."""
FIRST = SOURCES["digits"][0]
"""What to make where nothing is on record."""
EARLY = 0.1
"""When denominators are looked at, as a fraction of the run."""


def recorded(runs: Path) -> list[Outcome]:
    """Every setting on record that a recipe can describe, with what became of it; empty where there are no records."""
    return [outcome for data, needs in SOURCES.items() for outcome in _of_data(data, needs, runs)]


def translated(recipe: Recipe, runs: Path) -> dict[str, Any]:
    """All that is said of a recipe as plain values: `recipe_rows`, and under `outcomes` what died under its pull on record."""
    found = expectations(recipe, recorded(runs))
    return recipe_rows(recipe) | {"outcomes": [expectation_row(one) for one in found]}


def _of_data(data: str, needs: tuple[Need, ...], runs: Path) -> Iterator[Outcome]:
    seen = set()
    for need in needs:
        try:
            specs, store = specs_of(need), store_of(need, runs)
        except UserError:  # the suite is not installed
            continue
        for spec in specs:
            train = getattr(spec, "train", spec)
            recipe, key = _recipe(train), spec_id(replace(train, interventions=()))
            if recipe is None or key in seen:
                continue
            found = list(_ends(store, spec, need.numbers, train.steps))
            if found:
                seen.add(key)
                dead, denominators = zip(*found, strict=True)
                known = [one for one in denominators if one is not None]
                middle = float(np.median(known)) if known else None
                yield Outcome(data=data, command=need.command, recipe=recipe, dead=dead, denominator=middle)


def _recipe(train: Any) -> Recipe | None:
    """The recipe of a spec; None where a recipe cannot say it: filters that were treated, nothing decayed, a rule of torch's."""
    treated, law = any(getattr(one, "factor", None) != 1 for one in train.interventions), train.regularizer
    decays = isinstance(law, L2) and law.strength > 0 and train.decayed in DECAYED
    if treated or not decays or isinstance(train.rule, TorchRule):
        return None
    names = ("rule", "regularizer", "learning_rate", "schedule", "batch_size", "steps", "decayed")
    return Recipe(**{name: getattr(train, name) for name in names})


def _ends(store: Store, spec: Any, seeds: tuple[int, ...], steps: int) -> Iterator[tuple[float, float | None]]:
    """(share dead at the end, median denominator early) of each seed on record; a damaged record is one that is not there."""
    criterion = CRITERIA["activation"]
    for seed in seeds:
        try:
            tables = store.columns(spec, seed)
        except UserError:
            continue
        features = tables["features"]
        last = features["step"] == features["step"].max()
        dead = np.abs(features[criterion.column][last]) < criterion.threshold
        yield float(dead.mean()), _denominator(tables.get("moments", features), EARLY * steps)


def _denominator(table: Columns, step: float) -> float | None:
    """The median over filters at the recorded step nearest to one, of those after the first."""
    recorded = np.unique(table["step"][table["step"] > 0])
    if "denominator" not in table or len(recorded) < 2:
        return None
    return float(np.nanmedian(table["denominator"][table["step"] == recorded[np.argmin(np.abs(recorded - step))]]))
