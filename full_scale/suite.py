"""What the shared bookkeeping has to know of this layer."""

from __future__ import annotations

from pathlib import Path

from full_scale.data.files.location import DATA_VARIABLE, DEFAULT_FOLDER, DOWNLOAD_VARIABLE
from mechanisms.records.suites import Layer, Setting

DATA = Setting("--data", DATA_VARIABLE, "folder of the data sets (data)", "DIR", folder=DEFAULT_FOLDER)
DOWNLOAD = Setting("--download", DOWNLOAD_VARIABLE, "fetch missing data sets from their official addresses")
DEVICE = Setting("--device", "IMPLICIT_SPARSITY_DEVICE", "torch device to train on (cpu)", "NAME")
CHECKPOINT = Setting(
    "--checkpoint-every", "IMPLICIT_SPARSITY_CHECKPOINT_SECONDS", "seconds between checkpoints of a training (30)", "SECONDS"
)
LAYER = Layer(
    name="full_scale",
    experiments="full_scale.experiments",
    run="full_scale.run_types:run",
    summarize="full_scale.run_types:summarize",
    run_together="full_scale.run_types:run_together",
    settings=(DATA, DOWNLOAD, DEVICE, CHECKPOINT),
    read_spec="full_scale.run_types:spec_of",
    device_variable=DEVICE.variable,
    resumable=True,
    reference=Path(__file__).parent / "reference",
    example="digits",
)
