"""What cutting out dead filters saves: whole trainings, cut and uncut, of this package and in a plain PyTorch loop.

All sides train the same network on the same images by the same rule and schedule, with one thread, some steps of each in turn;
CPU seconds of the training alone, without measuring, cuts included. `ratio` is uncut / cut in seconds, `macs` the share of the
multiply-accumulates that are left over the whole training. Photographs are those of `data=cifar10_jpeg` in the folder --data;
without it, synthetic images of the same size, on which other filters die:
python -m benchmarks.shrinking_speed [--network basic_net] [--steps 3000] [--data DIR] [--json]
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.timing import OneLineParser, add_json_argument, one_core, processor, report
from full_scale.data.base import Data, Examples
from full_scale.data.synthetic import Synthetic
from full_scale.experiments.protocols import SHORT
from full_scale.models.basic_net import BasicNet
from full_scale.models.vgg import VGG
from full_scale.removal import Shrinker
from full_scale.training.context import computing
from full_scale.training.loop import Training
from full_scale.training.shrinking import EverySteps
from full_scale.training.spec import TrainSpec
from mechanisms.system.context import RunContext

NETWORKS = {"basic_net": BasicNet(width=0.25, pools_after=(1, 3, 5)), "vgg": VGG(width=0.25, pools=4)}
LOOPS = ("ours", "plain")
BLOCK = 50
"""Steps of each side in turn."""


def spec_of(network: str, steps: int, photographs: bool) -> TrainSpec:
    """The training: Adam under coupled L2, as the preset `short` of `table1` has it."""
    spec = replace(SHORT.base, network=NETWORKS[network], steps=steps, measurements=1, probes=0)
    data = Synthetic(side=16, channels=3, train_images=20_000, test_images=1000)
    return spec if photographs else replace(spec, data=data)


class Side:
    """One training: `steps` makes a step at a time, `parameters` and `macs` say how large the network was at which step."""

    def __init__(self, steps: Iterator[Any], cuts: Callable[[], list[dict[str, Any]]]) -> None:
        self.steps = steps
        self.cuts = cuts
        self.seconds = 0.0

    def advance(self, count: int) -> bool:
        """Make so many steps; whether there were any."""
        started = time.process_time()
        made = sum(1 for _ in itertools.islice(self.steps, count))
        self.seconds += time.process_time() - started
        return made > 0

    def row(self, steps: int) -> dict[str, Any]:
        """Seconds, cuts, parameters at the end, and multiply-accumulates of all steps over those without cuts."""
        cuts = self.cuts()
        share = 1.0
        for cut, following in itertools.zip_longest(cuts, cuts[1:]):
            share -= (1 - cut["macs"][1] / cuts[0]["macs"][0]) * ((following or {"step": steps})["step"] - cut["step"]) / steps
        row = {"seconds": round(self.seconds, 1), "cuts": len(cuts), "macs": round(share, 3)}
        return row | ({"parameters": f"{cuts[0]['parameters'][0]} → {cuts[-1]['parameters'][1]}"} if cuts else {})


def ours(spec: TrainSpec, data: Data) -> Side:
    """A training of this package; without its measurements at the beginning and the end."""
    training = Training(spec, 0, data=data)
    training.measured = frozenset()

    def log() -> list[dict[str, Any]]:
        return [] if training.cuts is None else [cut for cut in training.cuts.log if "macs" in cut]

    return Side(training.steps(), log)


def plain(spec: TrainSpec, data: Data, every: int) -> Side:
    """What most people write, with a `Shrinker` if `every` is above 0."""
    train = data.train
    assert isinstance(train, Examples)
    module: Any = spec.network.build(spec.data.shape, spec.data.classes, 0).module.train()
    module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(module.parameters(), lr=spec.learning_rate, weight_decay=spec.regularizer.strength, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(spec.schedule.scale(step, spec.steps)))
    cutting: dict[str, Any] = {"every": every, "patience": every, "input_range": train.bounds(), "say": lambda line: None}
    shrinker = Shrinker(module, optimizer, **cutting) if every else None
    images = torch.utils.data.TensorDataset(train.images, train.labels)
    loader = torch.utils.data.DataLoader(images, spec.batch_size, shuffle=True, drop_last=True)

    def steps() -> Iterator[None]:
        for images, labels in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), spec.steps):
            flipped = torch.where((torch.rand(len(images)) < 0.5)[:, None, None, None], images.flip(-1), images)
            batch = flipped.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            cross_entropy(module(batch), labels).backward()
            optimizer.step()
            scheduler.step()
            if shrinker is not None:
                shrinker.step(batch)
            yield

    return Side(steps(), lambda: [dataclasses.asdict(cut) for cut in shrinker.cuts] if shrinker else [])


def rows(spec: TrainSpec, every: int, loops: Iterable[str], data: Data) -> list[dict[str, Any]]:
    """One row a side."""
    sides: dict[str, Side] = {}
    if "ours" in loops:
        cut = replace(spec, shrinking=EverySteps(steps=every, patience=every))
        sides |= {"ours": ours(spec, data), "ours, cut": ours(cut, data)}
    if "plain" in loops:
        sides |= {"plain": plain(spec, data, 0), "plain, cut": plain(spec, data, every)}
    going = list(sides.values())
    while going:
        going = [side for side in going if side.advance(BLOCK)]
    whole = {name: sides[name.partition(",")[0]].seconds for name in sides}
    described = {"images": spec.data.name, "processor": processor()}
    return [
        {"side": name, **side.row(spec.steps), "ratio": round(whole[name] / side.seconds, 2), **described}
        for name, side in sides.items()
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
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS, help="whose (both)")
    parser.add_argument("--data", type=Path, help="folder of data sets; synthetic images without")
    options = parser.parse_args()
    one_core()
    spec = spec_of(options.network, options.steps, options.data is not None)
    with computing():
        data = spec.data.load_for(RunContext() if options.data is None else RunContext(data=options.data))
        report(rows(spec, options.every, options.loops, data), options.json)


if __name__ == "__main__":
    main()
