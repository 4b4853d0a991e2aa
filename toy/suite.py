"""What the shared bookkeeping has to know of the toy layer."""

from mechanisms.records.suites import Layer

LAYER = Layer(
    name="toy",
    experiments="toy.experiments",
    run="toy.simulate:run",
    summarize="toy.summary:summarize",
    blocks="toy.engines.blocks:blocks",
    read_spec="toy.spec:spec_of",
    quick=True,
    example="decay",
    about="Features under one law",
)
