"""What an audit or a removal says: tables, costs, differences; printed, or saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from full_scale.removal.assessment import ALIVE, KINDS, PARAMETERS
from full_scale.removal.costs import Costs
from full_scale.removal.verification import Difference

MOST_ROWS = 40
WIDTH = 20
"""Characters of a bar."""

LEGEND = "█ removable ▒ dead"
CAUSES = {
    "weights": "weights that are 0",
    "scale": "a scale of 0",
    "shift": "their shift, or by what the layers before put out",
}
"""Why a feature is dead by parameters → what it means."""


@dataclass(frozen=True)
class Audit:
    """What is dead in a network, and what can go.

    Attributes:
        features: one row a feature: layer, feature, kind (a key of `KINDS`), constant, removable, reason.
        costs: of the network as it is.
        after: of what would be left, timed in turn; None where nothing can go, or where that does not run.
        notes: what could not be followed, one line each.
        curve: one row a threshold of dust that was tried for a largest change, see `dust.choosing.change_curve`.
    """

    features: pd.DataFrame
    costs: Costs
    notes: tuple[str, ...]
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    after: Costs | None = None

    @property
    def layers(self) -> pd.DataFrame:
        """One row a layer: features, how many of each kind, and how many are removable."""
        return layer_table(self.features)

    def __str__(self) -> str:
        lines = [*_layer_lines(self.features), _cost_line("network", self.costs)]
        lines += [] if self.after is None else [_cost_line("after removal", self.after, self.costs)]
        return "\n".join([*lines, *_curve_lines(self.curve), *self.notes])

    def to_json(self, path: str | Path | None = None) -> str:
        """All of it as JSON text; written to `path` if one is given."""
        costs = {"costs": asdict(self.costs), "after": None if self.after is None else asdict(self.after)}
        return _json({"features": self.features, **costs, "notes": list(self.notes), "curve": self.curve}, path)


@dataclass(frozen=True)
class Report:
    """What was removed, what that saved, and the proof.

    Attributes:
        features: as in `Audit`; `removable` says whether the feature was removed.
        before: costs of the network as it was; after: of the smaller one, timed in turn.
        differences: smaller network against the same function: the original, for an exact removal; for one by threshold or
            mask, the original with these features silenced; one row an input and dtype.
        changes: smaller network against the original, where the removal is not exact.
        notes: what could not be followed or was refused, one line each.
        curve: as in `Audit`.
        bound: the largest change of any output for every input in the stated range, in exact arithmetic; None if not known.
    """

    features: pd.DataFrame
    before: Costs
    after: Costs
    differences: pd.DataFrame
    changes: pd.DataFrame
    notes: tuple[str, ...]
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    bound: float | None = None

    @property
    def layers(self) -> pd.DataFrame:
        """One row a layer: features, how many of each kind, and how many were removed."""
        return layer_table(self.features)

    @property
    def is_exact(self) -> bool:
        """Whether the smaller network computes the same function as the original."""
        return self.changes.empty

    def __str__(self) -> str:
        lines = [*_layer_lines(self.features), _cost_line("before", self.before), _cost_line("after", self.after, self.before)]
        lines += ["Differences from the same function:", self.differences.to_string(index=False)]
        if not self.is_exact:
            lines += ["Changes of the original's output (this removal is not exact):", self.changes.to_string(index=False)]
        if self.bound is not None:
            lines.append(
                f"Certified: for every input in the range, in exact arithmetic, no output changes by more than {self.bound:.2g}"
            )
        return "\n".join([*lines, *_curve_lines(self.curve), *self.notes])

    def to_json(self, path: str | Path | None = None) -> str:
        """All of it as JSON text; written to `path` if one is given."""
        tables = {"features": self.features, "differences": self.differences, "changes": self.changes, "curve": self.curve}
        return _json(
            tables | {"bound": self.bound, "before": asdict(self.before), "after": asdict(self.after), "notes": list(self.notes)},
            path,
        )


def layer_table(features: pd.DataFrame) -> pd.DataFrame:
    """One row a layer, in order: features, dead ones of each kind, removable ones."""
    grouped = features.groupby("layer", sort=False)
    table = pd.DataFrame({"features": grouped.size()})
    for kind in KINDS:
        if kind != ALIVE and (features["kind"] == kind).any():
            table[kind] = (features["kind"] == kind).groupby(features["layer"], sort=False).sum()
    table["removable"] = grouped["removable"].sum()
    return table.reset_index()


def difference_table(rows: Iterable[Difference]) -> pd.DataFrame:
    """Differences as a table: dtype, input, shape, absolute, relative."""
    columns = ["dtype", "input", "shape", "absolute", "relative"]
    return pd.DataFrame([asdict(row) | {"shape": "×".join(map(str, row.shape))} for row in rows], columns=columns)


def _layer_lines(features: pd.DataFrame) -> list[str]:
    table = layer_table(features)
    dead = features["kind"] != ALIVE
    interesting = table[table.drop(columns=["layer", "features"]).sum(axis=1) > 0]
    removable = int(features["removable"].sum())
    shares = " and ".join(f"{100 * count / len(features):.1f} %" for count in (dead.sum(), removable)) if dead.any() else ""
    lines = [f"{len(features)} features in {len(table)} layers: {int(dead.sum())} dead, {removable} removable"]
    lines[0] += f" ({shares})" if shares else ""
    counts = features["kind"].value_counts()
    causes = features["cause"].value_counts()
    for kind in (kind for kind in KINDS if kind != ALIVE and kind in counts):
        by = [f"{causes[cause]} by {meaning}" for cause, meaning in CAUSES.items() if cause in causes]
        lines.append(f"  {counts[kind]} {KINDS[kind]}" + (f" ({'; '.join(by)})" if kind == PARAMETERS else ""))
    if len(interesting):
        shown = interesting.head(MOST_ROWS)
        bars = [_bar(*row) for row in zip(shown["features"], _dead(shown), shown["removable"], strict=True)]
        lines.append(shown.assign(**{LEGEND: bars}).to_string(index=False))
    if len(interesting) > MOST_ROWS:
        lines.append(f"… and {len(interesting) - MOST_ROWS} more layers")
    reasons = features.loc[dead & ~features["removable"], "reason"].value_counts()
    lines += [f"  {count} dead but not removable: {reason}" for reason, count in reasons.head(MOST_ROWS // 4).items()]
    return lines


def _dead(table: pd.DataFrame) -> pd.Series[int]:
    """How many features of each layer are dead, of any kind."""
    return table.drop(columns=["layer", "features", "removable"]).sum(axis=1)


def _bar(features: int, dead: int, removable: int) -> str:
    """A layer's features as a bar.

    >>> _bar(40, 20, 10)
    '█████▒▒▒▒▒··········'
    """
    goes = round(WIDTH * removable / features)
    stays = max(0, round(WIDTH * dead / features) - goes)
    return ("█" * goes + "▒" * stays).ljust(WIDTH, "·")


def _curve_lines(curve: pd.DataFrame) -> list[str]:
    if curve.empty:
        return []
    return ["Largest change of the output by threshold of dust, relative to the largest output:", curve.to_string(index=False)]


def _cost_line(name: str, costs: Costs, before: Costs | None = None) -> str:
    """What a network costs, and by how much that is less than before."""

    def change(field: str) -> str:
        old = getattr(before, field, 0)
        return f" ({100 * (getattr(costs, field) / old - 1):+.1f} %)" if old else ""

    call = "call" if costs.examples == 1 else f"call of {costs.examples} examples"
    parts = (
        f"{costs.parameters:,} parameters{change('parameters')}",
        f"{costs.bytes / 2**20:.2f} MiB{change('bytes')}",
        f"{costs.macs:,} multiply-accumulates per example{change('macs')}",
        f"{costs.milliseconds:g} ms per {call}{change('milliseconds')}",
    )
    return f"{name}: {', '.join(parts)}"


def _json(content: dict[str, Any], path: str | Path | None) -> str:
    plain = {
        name: json.loads(value.to_json(orient="records")) if isinstance(value, pd.DataFrame) else value
        for name, value in content.items()
    }
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    if path is not None:
        Path(path).write_text(text + "\n", encoding="utf-8")
    return text
