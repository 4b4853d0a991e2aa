"""The whole toolkit under one name; each public name is imported when it is first used.

>>> import implicit_sparsity
>>> sorted(implicit_sparsity.__all__)[:3]
['Recipe', 'RunContext', 'Shrinker']
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechanisms.records.loading import Need
    from mechanisms.system.context import RunContext

_HOMES = {
    "audit": "full_scale.removal",
    "shrink": "full_scale.removal",
    "audit_onnx": "full_scale.removal",
    "shrink_onnx": "full_scale.removal",
    "prune": "full_scale.removal",
    "shrink_training": "full_scale.removal",
    "Shrinker": "full_scale.removal",
    "SparsityMonitor": "full_scale.monitor",
    "Recipe": "mechanisms.theory.translation",
    "RunContext": "mechanisms.system.context",
}
__all__ = [*_HOMES, "__version__", "draw", "load", "run", "translate", "verdicts"]  # noqa: PLE0604, F822, RUF100
RUNS = Path("runs")


def __getattr__(name: str) -> Any:
    """Import a public name from where it is defined."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("implicit-filter-sparsity")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def run(
    experiment: str,
    *overrides: str,
    suite: str | None = None,
    seeds: int = 3,
    table: str = "features",
    jobs: int = 1,
    runs: Path | str = RUNS,
    context: RunContext | None = None,
    **fields: Any,
) -> pd.DataFrame:
    """Make the missing records of an experiment, then load them.

    Args:
        experiment: name of an experiment, such as "digits".
        overrides: settings to change, as on the command line ("regularizer.strength=1e-3").
        suite: "toy" or "full_scale"; needed only for a name that both have.
        seeds: number of replicates, seeds 0 to N-1.
        table: which table of each record, such as "features" or "curve".
        jobs: worker processes.
        runs: folder of the records.
        context: where and how to compute (`RunContext(device="cuda")`); by default on the CPU.
        fields: settings to change whose names have no dot, such as steps=50.

    Returns:
        One row for each row of each record's table, with `seed` and a column "spec.FIELD" for each setting.

    Raises:
        UserError: a setting is not valid, or a run failed.
    """
    from mechanisms.sweeps.making import run as run_need
    from mechanisms.system.context import HERE

    return run_need(_need(experiment, overrides, suite, seeds, table, fields), Path(runs), jobs, context or HERE)


def load(
    experiment: str,
    *overrides: str,
    suite: str | None = None,
    seeds: int = 3,
    table: str = "features",
    runs: Path | str = RUNS,
    **fields: Any,
) -> pd.DataFrame:
    """Load the records of an experiment, as `run` does, without making any.

    Records that come with the package stand in for those that were not made here.

    Raises:
        UserError: a record is missing.
    """
    from mechanisms.records.loading import load as load_need

    return load_need(_need(experiment, overrides, suite, seeds, table, fields), Path(runs))


def draw(name: str, *overrides: str, runs: Path | str = RUNS, jobs: int = 1, run_missing: bool = False) -> Figure:
    """Draw a figure of the gallery by its name, such as "decay", with settings changed as on the command line.

    Missing toy records are made first, others with `run_missing`.
    """
    from figures.catalogue import Entry
    from figures.style import styled

    entry = Entry(name, overrides)
    if overrides and not run_missing:
        entry = entry.of_seeds_on_record(Path(runs))
    entry.prepare(Path(runs), jobs=jobs, run_missing=run_missing)
    with styled():
        return entry.draw(Path(runs))


def verdicts(*names: str, suite: str | None = None, runs: Path | str = RUNS, jobs: int = 1) -> pd.DataFrame:
    """Judge hypotheses by their records: one row each, with `hypothesis`, `verdict`, `why` and `statement`."""
    import pandas as pd

    from mechanisms.commands.verdict import chosen, judge

    rows = []
    for one in chosen(list(names), suite):
        _, verdict, why = judge(one, Path(runs), jobs, run_missing=False)
        rows.append({"hypothesis": one.name, "verdict": verdict, "why": why, "statement": one.statement})
    return pd.DataFrame(rows)


def translate(recipe: Any, *, runs: Path | str = RUNS) -> dict[str, Any]:
    """Translate the weight decay of a `Recipe` into its three meanings, with the share of filters that died so on record."""
    from mechanisms.commands.parts.recorded import translated

    return translated(recipe, Path(runs))


def _need(experiment: str, overrides: tuple[str, ...], suite: str | None, seeds: int, table: str, fields: dict[str, Any]) -> Need:
    from mechanisms.records.loading import Need
    from mechanisms.records.suites import suite_names, suite_of
    from mechanisms.validation import require_choice, require_whole

    require_whole("seeds", seeds, 1)
    if suite is not None:
        require_choice("suite", suite, suite_names())
    texts = (*overrides, *(f"{name}={json.dumps(value)}" for name, value in fields.items()))
    return Need(suite_of(experiment, suite).name, experiment, texts, seeds, table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `implicit-sparsity`, which has the verbs of all packages; returns the exit status."""
    from mechanisms.command_line.everything import Everything
    from mechanisms.command_line.framework import call

    return call(Everything(("toy", "full_scale", "mechanisms", "figures")), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
