"""The kinds of run of a suite: for each class of specs, what makes a record of one and what sums records up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechanisms.records.specs import TYPE_KEY, from_json
from mechanisms.records.store import Store
from mechanisms.records.suites import resolve

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Kind:
    """A class of specs; the texts are "MODULE:FUNCTION"."""

    spec: type
    run: str
    summarize: str


class Kinds(dict[type, Kind]):
    """Class of specs → its kind."""

    def __init__(self, *kinds: Kind) -> None:
        super().__init__({kind.spec: kind for kind in kinds})

    def read(self, data: dict[str, Any]) -> Any:
        """The spec that a manifest holds, of whichever kind.

        Raises:
            UserError, KeyError, TypeError: it holds no spec of this version.
        """
        return from_json({kind.__name__: kind for kind in self}[data[TYPE_KEY]], data)

    def run(self, spec: Any, *arguments: Any) -> Any:
        """The tables of one run of any kind, and what its manifest should say."""
        return resolve(self[type(spec)].run)(spec, *arguments)

    def summarize(self, store: Store, specs: tuple[Any, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
        """What the command line prints after a run; the specs of one experiment are of one kind."""
        table: pd.DataFrame = resolve(self[type(specs[0])].summarize)(store, specs, seeds)
        return table
