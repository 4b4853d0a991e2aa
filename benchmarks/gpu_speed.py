"""Training on a GPU: replicates that share it, against one plain eager loop, and against what the device can do.

`value` is images a second of all replicates together; `ratio` is that over the plain loop's. The share of the device's rate is
the arithmetic of the network (three times its forward multiply-adds) over the measured rate of a large float32 matrix product.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.full_scale_speed import ADAM, plain
from benchmarks.full_scale_speed import STEPS as PLAIN_STEPS
from benchmarks.timing import arguments, report
from full_scale.data.synthetic import Synthetic
from full_scale.models.basic_net import BasicNet
from full_scale.training.context import chosen_device
from full_scale.training.interleaved import run_together
from full_scale.training.spec import TrainSpec
from mechanisms.system.context import RunContext

ON_GPU = RunContext(device="cuda")
SPEC = replace(ADAM, data=Synthetic(side=32, train_images=8000, test_images=100), network=BasicNet(width=1.0), probes=0)
SIDE, REPEATS = 8192, 10
STEPS = 300


def images_a_second(spec: TrainSpec, replicates: int, device: torch.device) -> float:
    """Of replicates that are trained together, for long enough that their start does not count."""
    seconds = {}
    for steps in (STEPS // 3, STEPS):
        units = [(replace(spec, steps=steps), seed, None, ON_GPU) for seed in range(replicates)]
        seconds[steps] = _seconds(lambda units=units: list(run_together(units)), device)  # type: ignore[misc]
    steps = STEPS - STEPS // 3
    return replicates * steps * spec.batch_size / (seconds[STEPS] - seconds[STEPS // 3])


def multiply_adds(spec: TrainSpec) -> float:
    """Of one image, forward."""
    built, total = spec.network.build(spec.data.shape, spec.data.classes, 0).module, 0

    def count(module: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    for part in built.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            part.register_forward_hook(count)
    built(torch.zeros(2, *spec.data.shape))
    return float(total)


def matmul_rate(device: torch.device) -> float:
    """Multiply-adds a second of a large float32 matrix product."""
    a = torch.randn(SIDE, SIDE, device=device)
    _seconds(lambda: a @ a, device)
    return REPEATS * SIDE**3 / _seconds(lambda: [a @ a for _ in range(REPEATS)], device)


def _seconds(work: Callable[[], Any], device: torch.device) -> float:
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def main() -> None:
    """Prints one row for each number of replicates, at two batch sizes."""
    options = arguments(__doc__.partition("\n")[0])
    device = chosen_device(ON_GPU)
    best, rows = matmul_rate(device), []
    for batch, replicates in itertools.product((40, 512), (1, 4, 8)):
        spec = replace(SPEC, batch_size=batch)
        loop = plain(spec, device=device)
        eager = batch * PLAIN_STEPS / _seconds(loop, device)
        ours = images_a_second(spec, replicates, device)
        share = 3 * multiply_adds(spec) * ours / best
        row = {
            "name": f"BasicNet, batch {batch}, {replicates} together",
            "value": ours,
            "unit": "images/s",
            "ratio": ours / eager,
        }
        rows.append({**row, "share_of_matmul_rate": share})
    report(rows, options.json)


if __name__ == "__main__":
    main()
