"""What the bookkeeping has to know of a layer: its experiments, how to run a spec, how to summarize records."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mechanisms.records.design import changed
from mechanisms.records.specs import parse_override, spec_id
from mechanisms.validation import UserError, require_choice, unknown

ENTRY_POINTS = "implicit_sparsity.suites"
"""The group of entry points by which suites are found: NAME = "MODULE:LAYER"."""
FOUND: dict[str, Layer] = {}
"""Suites that were asked for, by name."""
PRESETS = ("demo", "short", "paper")
"""Sizes of an experiment that has a parameter `preset`: minutes on two cores, hours on them, the papers' own size."""


@dataclass(frozen=True)
class Layer:
    """One layer; the texts are "MODULE" or "MODULE:FUNCTION" and are imported when they are needed, not before.

    `run_together` takes several tuples of the arguments of `run` and makes them in turn in one process. `blocks` cuts a spec into
    the specs of its blocks, in the order of the whole; each has a record of its own. `read_spec` makes a spec of what a manifest
    says. A `resumable` layer's `run` takes a third argument, the folder for checkpoints. `settings` are the fields of a
    `RunContext` that concern the layer; where there are any, the last argument of `run` is a `RunContext`. `reference` holds
    committed records, which stand in for those not made here. Records of a `quick` suite are made without asking where they are
    missing. `about` is what the suite runs, and `example` an experiment, for the help texts.
    """

    name: str
    experiments: str
    run: str
    summarize: str
    run_together: str | None = None
    blocks: str | None = None
    read_spec: str | None = None
    settings: tuple[str, ...] = ()
    resumable: bool = False
    reference: Path | None = None
    quick: bool = False
    example: str = "EXPERIMENT"
    about: str = "Runs"

    def names(self) -> dict[str, Callable[[], tuple[Any, ...]]]:
        """Name → function of every experiment: the public functions of the experiments module, or of a package's modules."""
        found = {}
        for module in _modules(self.experiments):
            for name, function in vars(module).items():
                if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                    found[name] = function
        return dict(sorted(found.items()))

    def specs(
        self, experiment: str, overrides: Sequence[str] = (), tell: Callable[[str], None] = lambda line: None
    ) -> tuple[Any, ...]:
        """The distinct specs of an experiment with overrides ("field=value") applied, in the order given.

        Controls stay controls, and fields are set where they exist (`mechanisms.records.design`); `tell` is called with one line
        for each thing that was left alone. Where an experiment has a parameter `preset`, "preset=NAME" is its value and no field.
        """
        found = self.names()
        if experiment not in found:
            raise unknown("experiment", experiment, found)
        fields = [parse_override(text) for text in overrides]
        takes_preset = "preset" in inspect.signature(found[experiment]).parameters
        given = {field: value for field, value in fields if field == "preset"}
        if given and not takes_preset:
            raise UserError(f"preset={given['preset']}: the experiment {experiment} has one size and takes no preset")
        for value in given.values():
            require_choice("preset", value, PRESETS)
        specs = found[experiment](**given)
        changes = [(field, value) for field, value in fields if field not in given]
        specs = changed(specs, changes, tell)
        if self.blocks:
            specs = tuple(block for spec in specs for block in resolve(self.blocks)(spec))
        return tuple({spec_id(spec): spec for spec in specs}.values())


def suite_names() -> tuple[str, ...]:
    """Name every installed suite, those of one feature first."""
    return tuple(sorted(importlib.metadata.entry_points(group=ENTRY_POINTS).names, reverse=True))


def find_suite(name: str) -> Layer:
    """Import the suite of that name; raises `InvalidValue` with the names that are valid."""
    if name not in FOUND:
        known = importlib.metadata.entry_points(group=ENTRY_POINTS)
        require_choice("suite", name, tuple(sorted(known.names)))
        FOUND[name] = next(iter(known.select(name=name))).load()
    return FOUND[name]


def suite_of(experiment: str, suite: str | None = None) -> Layer:
    """Find the suite that has an experiment, among all or the named one.

    Raises:
        InvalidValue: none has it.
        UserError: several have it, and none is named.
    """
    asked = [find_suite(name) for name in ((suite,) if suite else suite_names())]
    having = [one for one in asked if experiment in one.names()]
    if not having:
        raise unknown("experiment", experiment, sorted(set().union(*(one.names() for one in asked))))
    if len(having) > 1:
        names, told = [one.name for one in having], f"name one, as suite={having[0].name!r} or before the verb"
        raise UserError(f"{experiment!r} is an experiment of {' and of '.join(names)}: {told}")
    return having[0]


def _modules(name: str) -> list[ModuleType]:
    module = importlib.import_module(name)
    inner = pkgutil.iter_modules(getattr(module, "__path__", ()))
    return [module, *(importlib.import_module(f"{name}.{one.name}") for one in inner)]


def summary_line(function: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def resolve(path: str) -> Any:
    """The object that "MODULE:NAME" names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
