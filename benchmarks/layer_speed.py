"""The compiled layer model against the same layer in torch, all replicates at once with autograd, on one core.

Both train the standard setting in float64 and float32: 16 replicates, Adam under coupled L2. Ours also draws the exemplars and
batches, splits every step into the forces of loss and regularizer and records ten moments. `share` is that of the multiply-adds
that the same core makes in products of large matrices, in turn in the same run. Run: python -m benchmarks.layer_speed
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.timing import arguments, one_core, processor, report, seconds_in_turn
from toy.layer.network import Parts, split
from toy.layer.simulate import run
from toy.layer.spec import DTYPES, LayerSpec
from toy.layer.task import Batches, exemplars, start

REPLICATES, STEPS = 16, 1500
SIDE = 512
"""Rows and columns of a large matrix."""
WHOLE = LayerSpec()


def normalized(values: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Values (R, n, B) less their mean over the batch, over their standard deviation."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / (values.var(-1, unbiased=False, keepdim=True) + epsilon).sqrt()


def loss_of(spec: LayerSpec, parts: dict[str, torch.Tensor], inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The sum of the losses of all replicates."""
    values = normalized(parts["incoming"] @ inputs, spec.batchnorm_epsilon)
    values = torch.relu(parts["scale"][..., None] * values + parts["shift"][..., None])
    sums = normalized(parts["outgoing"].mT @ values, spec.batchnorm_epsilon)
    outputs = parts["gain"][..., None] * sums + parts["offset"][..., None]
    return ((outputs - targets) ** 2).mean((1, 2)).sum() / 2


def in_torch(spec: LayerSpec) -> Callable[[], Any]:
    """Autograd on all replicates, torch.optim.Adam fused over all parameters."""
    arrays: Parts = split(spec, start(spec, 0))
    inputs, targets = (torch.from_numpy(array) for array in exemplars(spec, 0))
    chosen = torch.from_numpy(Batches(spec, 0).draw(spec.steps))
    replicates = torch.arange(spec.replicates)[:, None]
    scales = spec.schedule.scale(np.arange(spec.steps), spec.steps)

    def drive() -> None:
        parts = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
        decayed = [part for name, part in parts.items() if name not in ("gain", "offset")]
        groups = [
            {"params": decayed, "weight_decay": spec.regularizer.strength},
            {"params": [parts["gain"], parts["offset"]], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.Adam(groups, lr=spec.learning_rate, betas=(0.9, 0.99), fused=True)
        for t, scale in enumerate(scales):
            for group in optimizer.param_groups:
                group["lr"] = spec.learning_rate * float(scale)
            optimizer.zero_grad()
            places = replicates, chosen[:, t]
            loss_of(spec, parts, inputs[places].mT, targets[places].mT).backward()
            optimizer.step()

    return drive


def multiply_adds(spec: LayerSpec) -> int:
    """Those of one replicate and step: two products with the incoming weights, three with the outgoing ones."""
    return (2 * spec.inputs + 3 * spec.outputs) * spec.features * spec.batch_size


def compare(dtype: str, rounds: int) -> list[dict[str, Any]]:
    """Rows for one working dtype: µs per replicate and step, ratio = peer / ours, share of the core's multiply-adds."""
    spec = LayerSpec(replicates=REPLICATES, steps=STEPS, dtype=dtype)
    large = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(dtype)
    sides = {"ours": lambda: run(spec, 0), "torch": in_torch(spec), "large matrices": lambda: large @ large}
    *trainings, product = seconds_in_turn(sides, rounds).items()
    rate, each = SIDE**3 / product[1], {name: seconds / REPLICATES / STEPS for name, seconds in trainings}
    return [
        {
            "name": f"{name}, {dtype}",
            "value": 1e6 * seconds,
            "unit": "µs",
            "ratio": seconds / each["ours"],
            "share": multiply_adds(spec) / seconds / rate,
        }
        for name, seconds in each.items()
    ]


def main() -> None:
    """Prints the table."""
    options = arguments(__doc__.partition("\n")[0])
    one_core()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows = [row for dtype in DTYPES for row in compare(dtype, options.rounds)]
    started = time.perf_counter()
    run(WHOLE, 0)
    seconds = time.perf_counter() - started
    rows.append({"name": f"ours, {WHOLE.replicates} x {WHOLE.steps} steps", "value": seconds, "unit": "s", "ratio": None})
    rows.append({"name": processor()})
    report(rows, options.json)


if __name__ == "__main__":
    main()
