"""Rows of tables on pruning: each criterion against chance, and removal at equal parameter counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mechanisms.measures.pruning_curves import BETTER, WORSE, against, over_seeds

if TYPE_CHECKING:
    import pandas as pd

RULE = "spec.train.rule"
NOTHING = "none"
"""The ranking of what ranks nothing."""


def heuristics(pruned: pd.DataFrame) -> list[list[str]]:
    """Give a row for each training, ranking and ratio: chance, the best criterion, from scratch, and how many beat chance.

    The best of all criteria is chosen after the fact. Better and worse count the criteria whose interval of the test error
    less that of random removal, paired by seed, excludes 0; under Holm, when the number of criteria is allowed for.
    """
    whole, compared = over_seeds(pruned), against(pruned)
    head = ["trained by", "removed", "random", "best criterion", "random shape from scratch"]
    rows = [[*head, "better / worse than random", "Holm"]]
    keys = [RULE, "ranking", "ratio"]
    for way, one in whole[whole["protocol"] == "one_shot"].groupby(keys, sort=False):
        rule, ranking, ratio = str(way[0]), str(way[1]), float(one["ratio"].iloc[0])
        chance = one[one["criterion"] == "random"].iloc[0]
        best = one[one["criterion"] != "random"].sort_values("test_error", kind="stable").iloc[0]
        scratch = _at(whole[whole["protocol"] == "scratch"], {RULE: rule, "ranking": ranking, "ratio": ratio}).iloc[0]
        told = _at(compared[compared["protocol"] == "one_shot"], {RULE: rule, "ranking": ranking, "ratio": ratio})
        where = "each layer" if ranking == "layer" else "the whole network"
        counts = [f"{(told[v] == BETTER).sum()} / {(told[v] == WORSE).sum()}" for v in ("verdict", "verdict_holm")]
        words = [rule, f"{100 * ratio:.0f} % of {where}", _error(chance), f"{_name(best)}: {_error(best)}"]
        rows.append([*words, _error(scratch), *counts])
    return rows


def equal_parameters(pruned: pd.DataFrame) -> list[list[str]]:
    """Give a row for each way to remove, with the test errors of both networks at equal parameter counts."""
    whole = over_seeds(pruned)
    networks = list(dict.fromkeys(whole["network"]))
    rows = [["", "parameters left", *(f"from the {name} network" for name in networks)]]
    keys = ["protocol", "criterion", "ranking"]
    for (protocol, criterion, ranking), one in whole.groupby(keys, sort=False):
        by_network = {name: own.iloc[0] for name, own in one.groupby("network")}
        errors = [_error(by_network[name]) if name in by_network else "" for name in networks]
        left = "/".join(f"{100 * by_network[name]['parameters_share']:.0f} %" for name in networks if name in by_network)
        rows.append([_way(str(protocol), str(criterion), str(ranking)), left, *errors])
    return rows


def error_text(value: float, low: float, high: float) -> str:
    """Return a test error in per cent with its 95 % interval, cut to what an error can be; without one that is unbounded."""
    told = f"{100 * value:.1f} %"
    return told + (f" [{100 * max(low, 0.0):.1f}, {100 * min(high, 1.0):.1f}]" if math.isfinite(low + high) else "")


def _error(row: Any) -> str:
    return error_text(row["test_error"], row["test_error_low"], row["test_error_high"])


def _way(protocol: str, criterion: str, ranking: str) -> str:
    if criterion == NOTHING:
        return {"trained": "nothing removed", "tuned": "nothing removed, tuned"}.get(protocol, protocol)
    what = criterion.replace("_", " ")
    if protocol == "implicit":
        return f"{what}, no tuning"
    where = "each layer" if ranking == "layer" else "whole network"
    return f"{what}, {where}" + (", from scratch" if protocol == "scratch" else "")


def _name(row: Any) -> str:
    return str(row["criterion"]).replace("_", " ")


def _at(table: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    for name, value in values.items():
        table = table[table[name] == value]
    return table
