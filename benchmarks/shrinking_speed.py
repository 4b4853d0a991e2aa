"""What cutting out dead filters saves: whole trainings, cut and uncut, of this package and in a plain PyTorch loop.

All sides train the same network on the same images by the same rule and schedule, with one thread, one side after the other in
each round; CPU seconds of the training alone, without measuring, cuts included. `ratio` is uncut / cut in seconds. Photographs
are those of `data=cifar10_jpeg` in the folder --data; without it, synthetic images of the same size, on which others die:
python -m benchmarks.shrinking_speed [--network basic_net] [--steps 3000] [--rounds 1] [--data DIR] [--json]
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.timing import OneLineParser, add_json_argument, one_core, processor, report
from full_scale.data.base import Examples
from full_scale.data.synthetic import Synthetic
from full_scale.experiments.protocols import SHORT
from full_scale.models.basic_net import BasicNet
from full_scale.models.vgg import VGG
from full_scale.removal import Shrinker
from full_scale.training.context import computing
from full_scale.training.loop import run
from full_scale.training.shrinking import EverySteps
from full_scale.training.spec import TrainSpec
from mechanisms.system.context import RunContext

NETWORKS = {"basic_net": BasicNet(width=0.25, pools_after=(1, 3, 5)), "vgg": VGG(width=0.25, pools=4)}
Outcome = dict[str, Any]


def spec_of(network: str, steps: int, photographs: bool) -> TrainSpec:
    """The training: Adam under coupled L2, as the preset `short` of `table1` has it."""
    spec = replace(SHORT.base, network=NETWORKS[network], steps=steps, measurements=1, probes=0)
    data = Synthetic(side=16, channels=3, train_images=20_000, test_images=1000)
    return spec if photographs else replace(spec, data=data)


def ours(spec: TrainSpec, context: RunContext) -> Outcome:
    """A training of this package: seconds, the parameters left, the final loss and error."""
    tables, extra = run(spec, 0, context=context)
    cuts = [cut for cut in extra.get("cuts", ()) if "parameters" in cut]
    last, features = tables["curve"].iloc[-1], tables["features"]
    end = features[features["step"] == spec.steps]
    return {
        "seconds": extra["cpu_seconds"] - extra["measuring_cpu_seconds"],
        "cuts": len(cuts),
        "parameters": cuts[-1]["parameters"][1] if cuts else None,
        "silent": round(float((end["max_activation"] < 1e-12).mean()), 3),
        "train_loss": round(float(last["train_loss"]), 4),
        "test_error": round(float(last["test_error"]), 4),
    }


def plain(spec: TrainSpec, context: RunContext, every: int) -> Outcome:
    """What most people write, with a `Shrinker` if `every` is above 0."""
    data = spec.data.load_for(context).train
    assert isinstance(data, Examples)
    module = spec.network.build(spec.data.shape, spec.data.classes, 0).module.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(module.parameters(), lr=spec.learning_rate, weight_decay=spec.regularizer.strength, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(spec.schedule.scale(step, spec.steps)))
    low, high = data.bounds()
    cutting: dict[str, Any] = {"input_range": (low, high), "say": lambda line: None}
    shrinker = Shrinker(module, optimizer, every=every, **cutting) if every else None
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data.images, data.labels), spec.batch_size, shuffle=True, drop_last=True
    )
    started = time.process_time()
    for images, labels in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), spec.steps):
        flipped = torch.where((torch.rand(len(images)) < 0.5)[:, None, None, None], images.flip(-1), images)
        batch = flipped.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss = cross_entropy(module(batch), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        if shrinker is not None:
            shrinker.step(batch)
    seconds = time.process_time() - started
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"seconds": seconds, "cuts": len(shrinker.cuts) if shrinker else 0, "parameters": parameters}


def rows(spec: TrainSpec, every: int, rounds: int, context: RunContext) -> list[dict[str, Any]]:
    """One row a side."""
    sides: dict[str, Callable[[], Outcome]] = {
        "ours": lambda: ours(spec, context),
        "ours, cut": lambda: ours(replace(spec, shrinking=EverySteps(steps=every, patience=every)), context),
        "plain loop": lambda: plain(spec, context, 0),
        "plain loop, Shrinker": lambda: plain(spec, context, every),
    }
    found: dict[str, list[Outcome]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            with computing():
                found[name].append(side())
    medians = {name: statistics.median(one["seconds"] for one in outcomes) for name, outcomes in found.items()}
    return [
        {
            "side": name,
            **found[name][-1],
            "seconds": round(medians[name], 1),
            "ratio": round(medians[name.partition(",")[0]] / medians[name], 2),
            "images": spec.data.name,
            "processor": processor(),
        }
        for name in sides
    ]


def main() -> None:
    """Prints a row for each side."""
    parser = OneLineParser(description=str(__doc__).partition("\n")[0])
    add_json_argument(parser)
    parser.add_argument(
        "--network", choices=tuple(NETWORKS), default="basic_net", help="which one, at a quarter of its width (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=3000, help="of each training (%(default)s)")
    parser.add_argument("--every", type=int, default=250, help="steps from one look for dead filters to the next (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="times each side is run, in turn (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of data sets; synthetic images without")
    options = parser.parse_args()
    one_core()
    spec = spec_of(options.network, options.steps, options.data is not None)
    context = RunContext() if options.data is None else RunContext(data=options.data)
    report(rows(spec, options.every, options.rounds, context), options.json)


if __name__ == "__main__":
    main()
