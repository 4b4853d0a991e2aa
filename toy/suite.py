"""What the shared bookkeeping has to know of the toy layer."""

from mechanisms.records.suites import Layer

LAYER = Layer(
    name="toy",
    experiments="toy.experiments",
    run="toy.run_types:run",
    summarize="toy.run_types:summarize",
    blocks="toy.run_types:blocks",
    read_spec="toy.run_types:spec_of",
    quick=True,
    example="decay",
    about="Features under one law",
)
