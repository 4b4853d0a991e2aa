"""The claims of the papers (H…) and the predictions of the theory (P…), each with what decides it.

Every module here offers `HYPOTHESES`; to add one, add an entry to the module of its layer.
"""

from __future__ import annotations

import importlib
import pkgutil

from mechanisms.claims.hypothesis import Hypothesis


def all_hypotheses() -> dict[str, Hypothesis]:
    """Name → hypothesis, by letter and number."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [hypothesis for module in modules for hypothesis in getattr(module, "HYPOTHESES", ())]
    return {hypothesis.name: hypothesis for hypothesis in sorted(found, key=_place)}


def _place(hypothesis: Hypothesis) -> tuple[str, int, str]:
    number = "".join(letter for letter in hypothesis.name[1:] if letter.isdigit())
    return hypothesis.name[0], int(number), hypothesis.name
