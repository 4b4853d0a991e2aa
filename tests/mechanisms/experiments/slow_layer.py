"""A layer whose runs wait instead of computing, for sweeps in processes of their own: `python slow_layer.py run many …`.

Every run adds a line to the file that SLOW_LOG names, so that tests see what was begun, how often, and by whom.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass

import pandas as pd

from mechanisms.command_line.framework import main as _main
from mechanisms.records.suites import Layer
from mechanisms.validation import UserError

LAYER = Layer(
    name="slow", experiments="slow_layer", run="slow_layer:_run", summarize="slow_layer:_summarize", read_spec="slow_layer:_read"
)


@dataclass(frozen=True, kw_only=True)
class SlowSpec:
    """How long a run takes, and how it ends: whole, failed, defect, or deadly for its process."""

    number: int = 0
    milliseconds: int = 50
    ending: str = "whole"


def many():
    """Ten specs."""
    return tuple(SlowSpec(number=number) for number in range(10))


def mixed():
    """One run of each ending."""
    return tuple(SlowSpec(number=number, ending=ending) for number, ending in enumerate(("failed", "defect", "deadly", "whole")))


def _run(spec, seed):
    with open(os.environ["SLOW_LOG"], "a", encoding="ascii") as log:
        log.write(f"{spec.number} {seed} {os.getpid()}\n")
    time.sleep(spec.milliseconds / 1000)
    if spec.ending == "failed":
        raise UserError("this one fails")
    if spec.ending == "defect":
        raise ZeroDivisionError("a defect")
    if spec.ending == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"features": pd.DataFrame({"step": [1], "layer": ["slow"], "feature": [0], "scale": [spec.number + seed / 1000]})}, {}


def _summarize(store, specs, seeds):
    return store.collect(specs, seeds, "features")[["scale"]].agg(["count"])


def _read(data):
    return SlowSpec(**{name: value for name, value in data.items() if name != "type"})


if __name__ == "__main__":
    sys.exit(_main(LAYER))
