"""What the shared bookkeeping has to know of this layer."""

from __future__ import annotations

from mechanisms.experiments.layers import Layer

LAYER = Layer(
    name="full_scale",
    experiments="full_scale.experiments",
    run="full_scale.train:run",
    summarize="full_scale.summary:summarize",
)
