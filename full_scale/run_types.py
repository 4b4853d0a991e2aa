"""The kinds of run of this layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from full_scale.custom import importing_nothing
from full_scale.pruning.sparsified_spec import SparsifiedSpec
from full_scale.pruning.spec import EarlySpec, MatchedSpec, PruningSpec
from full_scale.training.spec import TrainSpec
from mechanisms.records.kinds import Kind, Kinds
from mechanisms.records.suites import resolve
from mechanisms.system.context import HERE, RunContext

Unit = tuple[Any, int, Path | None, RunContext]


KINDS = Kinds(
    Kind(TrainSpec, "full_scale.training.loop:run", "full_scale.training.summary:summarize"),
    Kind(PruningSpec, "full_scale.pruning.protocols:run", "full_scale.pruning.summary:summarize"),
    Kind(MatchedSpec, "full_scale.pruning.protocols:run_matched", "full_scale.pruning.summary:summarize"),
    Kind(SparsifiedSpec, "full_scale.pruning.sparsified:run", "full_scale.pruning.sparsified_summary:summarize"),
    Kind(EarlySpec, "full_scale.pruning.early:run", "full_scale.pruning.summary:summarize_early"),
)


def spec_of(data: dict[str, Any]) -> Any:
    """The spec that a manifest holds, of whichever kind.

    Raises:
        NamesCode: it needs somebody's own code, which a manifest cannot ask for.
        UserError, KeyError, TypeError: it holds no spec of this version.
    """
    with importing_nothing("name it on the command line"):
        return KINDS.read(data)


def run(spec: Any, seed: int, checkpoints: Path | None = None, context: RunContext = HERE) -> Any:
    """The tables of one run of any kind, and what its manifest should say."""
    return KINDS.run(spec, seed, checkpoints, context)


def run_together(units: Sequence[Unit]) -> Iterator[Any]:
    """As `full_scale.training.interleaved.run_together`; kinds other than trainings run one after another."""
    if all(isinstance(unit[0], TrainSpec) for unit in units):
        yield from resolve("full_scale.training.interleaved:run_together")(units)
        return
    for number, unit in enumerate(units):
        yield number, *run(*unit)


summarize = KINDS.summarize
