"""What changes of a training do to the share of dead filters: in a layer of competing features, and in networks.

A change has the same name in both, such as "coupled: floor 0.03", so that their answers can be put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mechanisms.claims.measured.treated_runs import at_end, dead_shares
from mechanisms.measures.statistics import Estimate, paired_difference
from mechanisms.records.columns import SPEC_PREFIX

Effects = dict[str, Estimate]
FIRST = f"{SPEC_PREFIX}interventions.0"
COUPLING, STRENGTH = (f"{SPEC_PREFIX}regularizer.{name}" for name in ("coupling", "strength"))
NOTHING = "-"
"""Stands for a field that a setting does not have."""


def responses(features: pd.DataFrame) -> Effects:
    """Measure what each setting of the experiment `layer_responses` or `responses` does to the dead share, against the plain one.

    Replicates of a seed are paired, else seeds. The plain setting of a coupling has in every field what most settings have.
    """
    ends, found = at_end(features), {}
    spec = [str(c) for c in ends if str(c).startswith(SPEC_PREFIX) and c != STRENGTH]
    ends[spec] = ends[spec].astype(object).where(ends[spec].notna(), NOTHING)
    for coupling, rows in ends.groupby(COUPLING):
        fields = [c for c in spec if rows[c].nunique() > 1]
        shares = {values: dead_shares(one) for values, one in rows.groupby(fields)}
        plain = tuple(pd.Series(values).mode()[0] for values in zip(*shares, strict=True))
        for values, share in shares.items() if plain in shares else ():
            named_values = zip(fields, values, plain, strict=True)
            if changed := {field: (new, old) for field, new, old in named_values if new != old}:
                found[f"{coupling}: {named(changed)}"] = paired_difference(share, shares[plain])
    return found


def named(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Name a change by the fields that are not as usual, each with its value and the usual one."""
    fields = {field.removeprefix(SPEC_PREFIX): values for field, values in changed.items()}
    if "interventions.0" in fields:
        floor, ceiling = (fields.get(f"interventions.0.{name}", (NOTHING,))[0] for name in ("floor", "ceiling"))
        return f"floor {floor:g}" if ceiling == NOTHING else f"norms × {ceiling:g}"
    (field, (new, old)), *_ = fields.items()
    names = {
        "batchnorm_epsilon": "ε {new:g}",
        "network.norm_epsilon": "ε {new:g}",
        "learning_rate": "rate × {ratio:.2g}",
        "rule.beta1": "β1 {new:g}",
        "label_noise": "noisier labels",
        "data.label_noise": "noisier labels",
        "features": "half as wide",
        "network.width": "half as wide",
    }
    ratio = new / old if field == "learning_rate" else 1.0
    return names.get(field, f"{field} = {{new}}").format(new=new, ratio=ratio)
