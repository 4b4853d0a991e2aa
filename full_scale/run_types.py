"""The kinds of run of this layer: for each class of specs, what makes a record of one and what sums records up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.custom import importing_nothing
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.pruning.spec import EarlySpec, MatchedSpec, PruningSpec
from full_scale.training.spec import TrainSpec
from mechanisms.records.context import HERE, RunContext
from mechanisms.records.specs import TYPE_KEY, from_json
from mechanisms.records.store import Store
from mechanisms.records.suites import resolve

if TYPE_CHECKING:
    import pandas as pd

Unit = tuple[Any, int, Path | None, RunContext]


@dataclass(frozen=True)
class Kind:
    """A class of specs; the texts are "MODULE:FUNCTION"."""

    spec: type
    run: str
    summarize: str


KINDS = {
    kind.spec: kind
    for kind in (
        Kind(TrainSpec, "full_scale.training.loop:run", "full_scale.training.summary:summarize"),
        Kind(PruningSpec, "full_scale.pruning.protocols:run", "full_scale.pruning.summary:summarize"),
        Kind(MatchedSpec, "full_scale.pruning.protocols:run_matched", "full_scale.pruning.summary:summarize"),
        Kind(SparsifiedSpec, "full_scale.pruning.sparsified:run", "full_scale.pruning.sparsified_summary:summarize"),
        Kind(EarlySpec, "full_scale.pruning.early:run", "full_scale.pruning.summary:summarize_early"),
    )
}


def spec_of(data: dict[str, Any]) -> Any:
    """The spec that a manifest holds, of whichever kind.

    Raises:
        NamesCode: it needs somebody's own code, which a manifest cannot ask for.
        UserError, KeyError, TypeError: it holds no spec of this version.
    """
    named = {kind.__name__: kind for kind in KINDS}
    with importing_nothing("name it on the command line"):
        return from_json(named[data[TYPE_KEY]], data)


def run(spec: Any, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> Any:
    """The tables of one run of any kind, and what its manifest should say."""
    return resolve(KINDS[type(spec)].run)(spec, seed, checkpoints, context)


def run_together(units: Sequence[Unit]) -> Iterator[Any]:
    """As `full_scale.training.interleaved.run_together`; kinds other than trainings run one after another."""
    if all(isinstance(unit[0], TrainSpec) for unit in units):
        yield from resolve("full_scale.training.interleaved:run_together")(units)
        return
    for number, unit in enumerate(units):
        yield number, *run(*unit)


def summarize(store: Store, specs: tuple[Any, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
    """What the command line prints after a run; the specs of one experiment are of one kind."""
    table: pd.DataFrame = resolve(KINDS[type(specs[0])].summarize)(store, specs, seeds)
    return table
