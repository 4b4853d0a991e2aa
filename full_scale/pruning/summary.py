"""What the command line prints after runs about pruning."""

from __future__ import annotations

from typing import Any

import pandas as pd

from full_scale.pruning.spec import EarlySpec, MatchedSpec, PruningSpec
from mechanisms.measures.death_prediction import KINDS, forecast_errors, forecasts, over_runs, prediction_table, scored
from mechanisms.measures.pruning_curves import WAY, against, over_seeds
from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.records.store import Store

FORECAST_AT = 0.1
"""The fraction of the run after which the final sparsity is forecast."""
CONTROL = "random"
SHOWN = ("seeds", "parameters_share", "macs_share", "latency_share", "pruned_test_error", "test_error")


def summarize(store: Store, specs: tuple[PruningSpec | MatchedSpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a setting and thing done: shares of what is left, errors over seeds, and the test error less that of chance.

    `low` and `high` bound the mean test error (95 %), `minus_random`, with `…_low` and `…_high`, is paired by seed.
    """
    parts = [_pruned(store, number, spec, seeds) for number, spec in enumerate(specs)]
    return pd.concat(parts, ignore_index=True)


def _pruned(store: Store, number: int, spec: Any, seeds: tuple[int, ...]) -> pd.DataFrame:
    table = store.collect((spec,), seeds, "pruned")
    pruned = table[[name for name in table if not str(name).startswith(SPEC_PREFIX)]]
    whole = over_seeds(pruned)
    names = [name for name in WAY if name in whole]
    shown = whole[[*names, *SHOWN]].assign(low=whole["test_error_low"], high=whole["test_error_high"])
    shown.insert(0, "rule", spec.train.rule.name)
    shown.insert(0, "setting", number)
    if CONTROL not in set(pruned["criterion"]):
        return shown
    columns = {"difference": "minus_random", "low": "minus_random_low", "high": "minus_random_high", "verdict": "verdict"}
    compared = against(pruned, CONTROL).rename(columns=columns)
    return shown.merge(compared[[*names, *columns.values()]], on=names, how="left")


def summarize_early(store: Store, specs: tuple[EarlySpec, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """One row a criterion and moment: AUC for death pooled, within layers and given the scale, over runs where enough die.

    Under `forecast_error`, at a tenth of the run, the mean absolute error of the final sparsity in points on settings that the
    forecast has not seen; rows without an AUC are forecasts that use no criterion.
    """
    table = pd.concat([store.collect((spec,), seeds, "moments") for spec in specs], ignore_index=True)
    whole = over_runs(prediction_table(scored(table)))
    shown = whole[["criterion", "moment", "runs", "seeds", *(f"{kind}{end}" for kind in KINDS for end in ("", "_low", "_high"))]]
    if len(specs) < 2 or FORECAST_AT not in specs[0].moments:
        return shown
    errors = forecast_errors(forecasts(table, FORECAST_AT)).rename(columns={"method": "criterion"})
    columns = {"error": "forecast_error", "error_low": "forecast_low", "error_high": "forecast_high"}
    both = shown.merge(errors.rename(columns=columns).assign(moment=FORECAST_AT), on=["criterion", "moment"], how="outer")
    return both.sort_values(["moment", "within"], ascending=[True, False], kind="stable", ignore_index=True)
