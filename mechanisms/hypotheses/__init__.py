"""The claims of the papers (H…) and the predictions of the theory (P…), each with what decides it.

Every module here offers `HYPOTHESES`; to add one, add an entry to the module of its layer.
"""

from __future__ import annotations

import importlib
import pkgutil

from mechanisms.judgement import Hypothesis


def all_hypotheses() -> dict[str, Hypothesis]:
    """Name → hypothesis, in the order of the modules and of their entries."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {hypothesis.name: hypothesis for module in modules for hypothesis in getattr(module, "HYPOTHESES", ())}
