"""Does an early measurement tell which features will die, and how many? From `moments` tables of records.

A `moments` table has one row for each feature at each measured moment of each run, the columns that criteria read, `dies`, the
fields of the spec and `seed`. A criterion predicts death by a low score; only features that are alive are asked about.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mechanisms.measures.criteria import all_criteria, score
from mechanisms.measures.sparsity import grouped, inactive, run_columns
from mechanisms.measures.statistics import auc, auc_within, mean_interval
from mechanisms.validation import InvalidValue

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = 401
"""Thresholds that a forecast chooses from: quantiles of the scores of all runs."""
FEWEST = 5
"""A run has to have so many features of each fate for an AUC to be taken."""
KINDS = ("pooled", "within", "given_scale")
TRIVIAL = "mean of the other settings"
ALREADY = "dead already"


def moments_of(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `moment`, the fraction of the run at each row, and `setting`, a number for each spec."""
    fields = [name for name in run_columns(table) if name != "seed"]
    steps = table["spec.train.steps"]
    return table.assign(moment=(table["step"] / steps).round(3), setting=grouped(table, fields).ngroup() if fields else 0)


def scored(table: pd.DataFrame, criteria: tuple[str, ...] | None = None) -> pd.DataFrame:
    """One row a feature and moment, those alive there: setting, seed, moment, layer, feature, dies, a column a criterion."""
    import pandas as pd

    names = tuple(all_criteria()) if criteria is None else criteria
    table = moments_of(table)
    parts = []
    for _, one in table.groupby(["setting", "seed", "moment"], sort=False):
        scores = {name: score(name, one, int(one["seed"].iloc[0])) for name in names}
        kept = one[["setting", "seed", "moment", "layer", "feature", "dies"]].assign(alive=~inactive(one), **scores)
        parts.append(kept)
    whole = pd.concat(parts, ignore_index=True)
    return whole[whole["alive"]].drop(columns="alive").reset_index(drop=True)


def given(values: np.ndarray, control: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """What is left of the ranks of a score, within each layer, by a linear regression on the ranks of a control; shape (n,).

    Zeros where the control, or nothing, explains all. The ranks are within the layer and divided by its size, so that large
    layers do not speak louder.
    """
    from scipy.stats import rankdata

    left = np.zeros(len(values))
    for name in dict.fromkeys(layer):
        own = layer == name
        first, second = (rankdata(column[own]) / own.sum() for column in (values, control))
        centred = second - second.mean()
        spread = float(centred @ centred)
        slope = float(centred @ (first - first.mean())) / spread if spread else 0.0
        residual = first - first.mean() - slope * centred
        left[own] = np.where(np.abs(residual) > 1e-9, residual, 0.0)
    return left


def aucs(run: pd.DataFrame, criterion: str) -> dict[str, float]:
    """The AUC of a low score for death in one run at one moment, as `KINDS`; all NaN with less than `FEWEST` of a fate.

    `pooled` compares all features, `within` those of one layer, `given_scale` the same by what is left of the score given |γ|
    (`given`): ½ where the score knows nothing that |γ| does not; NaN where `run` lacks the criterion `scale`.
    """
    dies = run["dies"].to_numpy(bool)
    if min(dies.sum(), (~dies).sum()) < FEWEST:
        return dict.fromkeys(KINDS, math.nan)
    danger, layer = -run[criterion].to_numpy(np.float64), run["layer"].to_numpy()
    partial = given(danger, -run["scale"].to_numpy(np.float64), layer) if "scale" in run else np.full(len(run), math.nan)
    if np.isnan(partial).any():
        return {"pooled": auc(danger, dies), "within": auc_within(danger, dies, layer), "given_scale": math.nan}
    return dict(zip(KINDS, (auc(danger, dies), auc_within(danger, dies, layer), auc_within(partial, dies, layer)), strict=True))


def prediction_table(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a run, moment and criterion: `setting`, `seed`, `moment`, `criterion` and the AUCs; from `scored`."""
    import pandas as pd

    criteria = [name for name in scores if name in all_criteria()]
    keys = ["setting", "seed", "moment"]
    rows: list[dict[str, Any]] = []
    for values, one in scores.groupby(keys, sort=False):
        rows += [dict(zip(keys, values, strict=True)) | {"criterion": name} | aucs(one, name) for name in criteria]
    return pd.DataFrame(rows)


def over_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row a criterion and moment: the mean of each AUC, with its 95 % interval over seeds (`seeds` of them).

    Of each seed the mean over its `runs`, one for each setting where enough features of each fate are left: runs under one seed
    share initial weights and draws.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (criterion, moment), one in predictions.groupby(["criterion", "moment"], sort=False):
        known = one.dropna(subset=["pooled"])
        row: dict[str, Any] = {"criterion": criterion, "moment": moment, "runs": len(known), "seeds": known["seed"].nunique()}
        for kind in KINDS:
            values = known.groupby("seed")[kind].mean().dropna()
            found = mean_interval(values) if len(values) else None
            numbers = (found.value, found.low, found.high) if found else (math.nan,) * 3
            row |= dict(zip((kind, f"{kind}_low", f"{kind}_high"), numbers, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def forecasts(table: pd.DataFrame, moment: float, criteria: tuple[str, ...] | None = None) -> pd.DataFrame:
    """How many will die, forecast for each run at one moment without its setting: `method`, `forecast`, `found` in [0, 1].

    By each criterion: the share of features whose score is at most a threshold, which is the one that fits the runs of the
    *other* settings best (least mean absolute error). `effective strength below 0` fits nothing. Beside them the share that is
    dead already, and the mean final sparsity of the other settings, which has to be beaten.

    Raises:
        InvalidValue: less than two settings, or no such moment.
    """
    import pandas as pd

    names = tuple(all_criteria()) if criteria is None else criteria
    table = moments_of(table)
    now = table[np.isclose(table["moment"], moment)]
    if now["setting"].nunique() < 2 or now.empty:
        there = ", ".join(map(str, sorted(set(table["moment"]))))
        raise InvalidValue(f"moment = {moment} is not valid: use one of {there}, of two settings or more")
    parts: list[tuple[Any, pd.DataFrame]] = list(now.groupby(["setting", "seed"], sort=False))
    runs = [(int(setting), int(seed), one) for (setting, seed), one in parts]
    found = np.array([one["dies"].mean() for _, _, one in runs])
    setting = np.array([number for number, _, _ in runs])
    methods = {ALREADY: np.array([inactive(one).mean() for _, _, one in runs])}
    methods[TRIVIAL] = np.array([_mean_of_settings(found, setting, number) for number in setting])
    for name in names:
        scores = [score(name, one, seed).to_numpy() for _, seed, one in runs]
        methods[name] = _by_threshold(scores, found, setting)
        if name == "effective_strength":
            methods["effective strength below 0"] = np.array([(own < 0).mean() for own in scores])
    index = pd.DataFrame({"setting": setting, "seed": [seed for _, seed, _ in runs], "found": found})
    return pd.concat([index.assign(method=name, forecast=values) for name, values in methods.items()], ignore_index=True)


def _mean_of_settings(found: np.ndarray, setting: np.ndarray, held: int) -> float:
    others = [found[setting == number].mean() for number in np.unique(setting) if number != held]
    return float(np.mean(others))


def _by_threshold(scores: list[np.ndarray], found: np.ndarray, setting: np.ndarray) -> np.ndarray:
    """The share of scores at or under the threshold that fits the other settings best, for each run."""
    candidates = np.append(-np.inf, np.quantile(np.concatenate(scores), np.linspace(0, 1, CANDIDATES)))
    shares = np.array([[(own <= threshold).mean() for threshold in candidates] for own in scores])
    forecast = np.empty(len(found))
    for held in np.unique(setting):
        weights = np.array([(number != held) / (setting == number).sum() for number in setting])
        errors = weights @ np.abs(shares - found[:, None])
        forecast[setting == held] = shares[setting == held, int(np.argmin(errors))]
    return forecast


def forecast_errors(forecast: pd.DataFrame) -> pd.DataFrame:
    """One row a method: mean absolute error over settings in points, with its 95 % interval, and how many settings.

    A setting is one replicate: the mean over its seeds.
    """
    import pandas as pd

    points = forecast.assign(error=100 * (forecast["forecast"] - forecast["found"]).abs())
    rows: list[dict[str, Any]] = []
    for method, one in points.groupby("method", sort=False):
        estimate = mean_interval(one.groupby("setting")["error"].mean())
        numbers = {"error": estimate.value, "error_low": estimate.low, "error_high": estimate.high}
        rows.append({"method": method, "settings": estimate.n} | numbers)
    return pd.DataFrame(rows).sort_values("error", kind="stable", ignore_index=True)
