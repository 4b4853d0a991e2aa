"""How sparse a sparsifier makes a network at matched error: what could go while the error stays near that of plain training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechanisms.measures.sparsity import grouped, run_columns
from mechanisms.measures.statistics import mean_interval, paired_difference
from mechanisms.records.columns import SPEC_PREFIX
from mechanisms.validation import UserError, require_at_least

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.01
"""One point of error above plain training is matched."""
PLAIN = "plain"
BY_ITSELF = "gone"
"""What the table calls the row of what is gone without removal."""
_TRAIN = f"{SPEC_PREFIX}train."


def methods(table: pd.DataFrame) -> pd.Series:
    """What each row's training does for sparsity, as a text: "adam: l2, coupled" or "adam: group_lasso of incoming + …".

    Strengths are left out: they are what a method may choose. Plain is no penalty, no step after the update, and no regularizer.
    """
    return table.apply(_method, axis=1).rename("method")


def _method(row: pd.Series) -> str:
    def has(field: str) -> bool:
        value = row.get(_TRAIN + field)
        return isinstance(value, str) and value != ""

    parts = []
    if row[f"{_TRAIN}regularizer.strength"] > 0:
        parts.append(f"{row[f'{_TRAIN}regularizer']}, {row[f'{_TRAIN}regularizer.coupling']}")
    number = 0
    while has(f"penalties.{number}") or has(f"after_update.{number}"):
        if has(f"penalties.{number}"):
            level = row.get(f"{_TRAIN}penalties.{number}.level")
            named = f" by {level}" if isinstance(level, str) else f" of {row[f'{_TRAIN}penalties.{number}.part']}"
            parts.append(row[f"{_TRAIN}penalties.{number}"] + named)
        if has(f"after_update.{number}"):
            parts.append(row[f"{_TRAIN}after_update.{number}"])
        number += 1
    return f"{row[f'{_TRAIN}rule']}: " + (" + ".join(parts) or PLAIN)


def at_matched_error(removal: pd.DataFrame, tolerance: float = TOLERANCE) -> pd.DataFrame:
    """One row a method and seed: the largest share of features that can go while the error stays matched.

    Of a method's settings (strengths) and scores, the one that lets most go is chosen by `choosing_error`, on one half of the
    test images, which must not exceed that of the plain network of the same rule and seed by more than the tolerance; columns
    `removed`, `judged_error` on the other half, `judged_rise` over the plain network there, `dense_error` without removal, and
    `criterion`. A method of which no network is matched has removed 0 and the error of its best unpruned network. Plain
    networks of another rule stand in where a rule has none. `gone` is what is gone without any removal in the chosen network.

    Raises:
        UserError: there is no plain training in the table.
    """
    import pandas as pd

    require_at_least("tolerance", tolerance, 0)
    runs = grouped(removal, run_columns(removal)).ngroup()
    table = removal.assign(method=methods(removal), run=runs)
    whole = table[(table["ratio"] == 0) & table["method"].str.endswith(PLAIN)]
    if whole.empty:
        raise UserError("matched error needs plain training (regularizer.strength=0, no penalty, no step after the update)")
    rows: list[dict[str, Any]] = []
    for (method, seed), one in table.groupby(["method", "seed"], sort=False):
        own = whole[(whole["seed"] == seed) & (whole["method"] == f"{str(method).partition(':')[0]}: {PLAIN}")]
        reference = _first(own if len(own) else whole[whole["seed"] == seed])
        allowed = one[(one["choosing_error"] <= reference["choosing_error"] + tolerance) & (one["criterion"] != BY_ITSELF)]
        if allowed.empty:
            dense = one[one["ratio"] == 0]
            best = _first(dense.sort_values("choosing_error", kind="stable"))
        else:
            best = _first(allowed.sort_values("removed", ascending=False, kind="stable"))
        rows.append({"method": method, "seed": seed, "matched": not allowed.empty} | _told(one, best, reference))
    return pd.DataFrame(rows)


def _first(rows: pd.DataFrame) -> pd.Series:
    return rows.iloc[0]


def _told(one: pd.DataFrame, best: pd.Series, reference: pd.Series) -> dict[str, Any]:
    same = one[one["run"] == best["run"]]
    return {
        "criterion": best["criterion"],
        "removed": best["removed"],
        "judged_error": best["judged_error"],
        "judged_rise": best["judged_error"] - reference["judged_error"],
        "dense_error": same.loc[same["ratio"] == 0, "judged_error"].iloc[0],
        "gone": same.loc[same["criterion"] == BY_ITSELF, "removed"].iloc[0],
    }


def over_seeds(matched: pd.DataFrame) -> pd.DataFrame:
    """One row a method: means over seeds with 95 % intervals, and `removed` less that of plain training, paired by seed."""
    import pandas as pd

    rows = []
    plain = matched[matched["method"].str.endswith(PLAIN)].groupby("seed")["removed"].first()
    for _, one in grouped(matched, ["method"]):
        row: dict[str, Any] = {"method": one["method"].iloc[0], "seeds": one["seed"].nunique(), "matched": one["matched"].mean()}
        for name in ("removed", "gone", "judged_error", "judged_rise"):
            found = mean_interval(one[name])
            row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        gain = paired_difference(one.set_index("seed")["removed"], plain)
        row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
        rows.append(row)
    return pd.DataFrame(rows)
