"""What the shared bookkeeping has to know of this layer."""

from __future__ import annotations

from pathlib import Path

from mechanisms.records.suites import Layer

LAYER = Layer(
    name="full_scale",
    experiments="full_scale.experiments",
    run="full_scale.run_types:run",
    summarize="full_scale.run_types:summarize",
    run_together="full_scale.run_types:run_together",
    settings=("data", "download", "device", "checkpoint_every", "decoders"),
    read_spec="full_scale.run_types:spec_of",
    resumable=True,
    reference=Path(__file__).parent / "reference",
    example="digits",
    about="Networks",
)
