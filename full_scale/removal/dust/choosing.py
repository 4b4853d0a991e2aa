"""How much the removal of dust changes, by threshold, and the largest threshold that a limit of that allows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import nn

from full_scale.removal.analysis.constants import analyse, layers
from full_scale.removal.analysis.graph import Inputs, TracedNetwork, as_inputs, structural_copy
from full_scale.removal.assessment import Evidence, traced_with, with_tensors
from full_scale.removal.dust.weights import dusty_weights
from full_scale.removal.proof import substituted
from full_scale.removal.selection import select
from full_scale.removal.verification import cast_all, differing, in_double, outputs, random_trials

THRESHOLDS = tuple(round(10.0 ** (half / 2), 12) for half in range(-20, -2))
"""Shares of a layer's median norm that are tried: half decades from 1e-10 to 0.03."""

COLUMNS = ("dust", "filters", "removable", "change")


@torch.no_grad()
def change_curve(model: nn.Module, example_input: Any, evidence: Evidence, limit: float) -> pd.DataFrame:
    """What each threshold removes and changes, up to the first whose change is above a limit.

    The change is measured: on the images of the evidence where it has some, else on random inputs of two sizes; in float64 where
    the network runs so, that no rounding is in it.

    Args:
        model: in evaluation mode.
        example_input: what it is called with.
        evidence: its `data` and `input_range` say on which inputs the change is measured.
        limit: of the change, relative to the largest output.

    Returns:
        One row a threshold that makes more filters dust than those before: dust (the threshold), filters that are dust, features
        that could be removed, change.
    """
    example = as_inputs(example_input)
    traced = traced_with(model, example)
    inputs = _inputs(model, example, evidence)
    reference, inputs = _in_double(model, inputs)
    expected = [outputs(reference, group) for group in inputs]
    rows: list[tuple[float, int, int, float]] = []
    for threshold in THRESHOLDS:
        dust = dusty_weights(traced, threshold)
        replaced = {name: part.cleaned for name, part in dust.items()}
        filters = sum(part.filters for part in dust.values())
        if filters == (rows[-1][1] if rows else 0):
            continue
        smaller = substituted(reference, {name: new.to(inputs[0][0].dtype) for name, new in replaced.items()})
        changes = [
            differing(inputs[0][0].dtype, "", group, found, outputs(smaller, group))
            for group, found in zip(inputs, expected, strict=True)
        ]
        rows.append((threshold, filters, _removable(with_tensors(traced, replaced)), max(row.relative for row in changes)))
        if not rows[-1][-1] <= limit:
            break
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _removable(traced: TracedNetwork) -> int:
    """How many features could be removed."""
    tracker = analyse(traced)
    selection = select(tracker)
    return sum(int(selection.goes(layer.channels.units).sum()) for layer in layers(tracker))


def chosen(curve: pd.DataFrame, limit: float) -> float:
    """The largest threshold whose change is within a limit; 0 where none is."""
    fit = curve.loc[curve["change"] <= limit, "dust"]
    return float(fit.max()) if len(fit) else 0.0


def _inputs(model: nn.Module, example: Inputs, evidence: Evidence) -> list[Inputs]:
    if evidence.data is not None:
        return [(part.to(example[0]),) for part in torch.split(evidence.data, 64)]
    return [inputs for inputs, _ in random_trials(structural_copy(model).eval(), example, evidence.input_range)]


def _in_double(model: nn.Module, inputs: list[Inputs]) -> tuple[nn.Module, list[Inputs]]:
    """Network and inputs in float64, or as they are where the network does not run so."""
    doubled, wide = in_double(model), cast_all(inputs, torch.float64)
    try:
        doubled(*wide[0])
    except Exception:
        return structural_copy(model).eval(), inputs
    return doubled, wide
