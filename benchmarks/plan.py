"""What `table1 preset=paper` costs, from measured times of a step and of measuring an image.

    python -m benchmarks.plan [--seeds N] [--device cuda]

Times are those of this process on one core of this machine (processor time, so that other work on it counts little), or of the
device that is named. Images are synthetic, of the size and number of classes of CIFAR-10; so no data are needed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu_speed import multiply_adds
from benchmarks.timing import OneLineParser, add_json_argument
from full_scale.data.synthetic import Synthetic
from full_scale.measure.probes import observe
from full_scale.suite import LAYER
from full_scale.training.context import computing
from full_scale.training.loop import Training
from full_scale.training.spec import TrainSpec
from mechanisms.command_line.framework import print_rows
from mechanisms.system.context import RunContext
from mechanisms.system.progress import in_words

STEPS, IMAGES, ROUNDS = 4, 200, 3
RULES = ("adam", "sgd")
"""Those that are timed; a step of the others differs by a few element-wise operations."""
TRAIN, TEST = 50_000, 10_000
"""Images of CIFAR-10."""
WORKERS = (1, 8, 64)


def seconds(action: Callable[[], Any], device: torch.device) -> float:
    """Median seconds of an action: of the processor on a CPU, of the wall elsewhere."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    times = []
    for _ in range(ROUNDS):
        started = clock()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return statistics.median(times)


def unit_times(spec: TrainSpec, context: RunContext) -> tuple[float, float]:
    """Seconds of a step, and of measuring one image."""
    data = Synthetic(side=32, train_images=IMAGES, test_images=100)
    small = replace(spec, data=data, steps=(1 + ROUNDS) * STEPS, measurements=1, probes=0)
    training = Training(small, 0, context=context)
    steps = training.steps()

    def some() -> None:
        for _ in range(STEPS):
            next(steps)

    some()  # the first steps allocate
    step = seconds(some, training.device) / STEPS
    return step, seconds(lambda: observe(training.network, training.train), training.device) / IMAGES


def unit_seconds(spec: TrainSpec, step: float, image: float) -> float:
    """Seconds of one training: its steps, its measurements of all images, and its probes."""
    measured = len(spec.measured_steps()) * (TRAIN + 2 * TEST) + len(spec.probed_steps()) * spec.probe_images
    return spec.steps * step + measured * image


def main() -> None:
    """Prints the times of two rules, and the whole table on 1, 8 and 64 workers."""
    parser = OneLineParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="replicates of each spec (%(default)s)")
    parser.add_argument("--device", default="cpu", help="torch device (%(default)s)")
    add_json_argument(parser)
    options = parser.parse_args()
    specs = LAYER.specs("table1", ["preset=paper"])
    context, rows = RunContext(device=options.device), []
    with computing():
        for spec in {spec.rule.name: spec for spec in specs if spec.rule.name in RULES}.values():
            step, image = unit_times(spec, context)
            told = {"step, ms": 1e3 * step, "measuring, ms an image": 1e3 * image}
            rows.append({"name": spec.rule.name, **told, "seconds": unit_seconds(spec, step, image)})
        work = multiply_adds(specs[0])
    unit, units = statistics.mean(row["seconds"] for row in rows), len(specs) * options.seeds
    rows.append({"name": f"one training: {3 * work * 40 / 1e9:.3g} thousand million multiply-adds a step", "seconds": unit})
    for workers in WORKERS:
        waves = math.ceil(units / workers)
        rows.append(
            {"name": f"{units} trainings on {workers}: {waves} in a row, {in_words(waves * unit)}", "seconds": waves * unit}
        )
    print_rows(rows, options.json)


if __name__ == "__main__":
    main()
