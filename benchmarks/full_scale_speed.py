"""Training speed: our loop, with its probes, against a plain PyTorch loop; and the optimizer step against the fused one.

The plain loop is what most people write: a DataLoader over tensors, `torch.optim`, eager. Both sides have one thread, the same
network, data and rule, and run in turn, one epoch at a time. `ratio` is peer / ours in seconds: above 1 means that we are faster.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.timing import arguments, report, seconds_in_turn
from full_scale.data.base import Examples
from full_scale.data.synthetic import Synthetic
from full_scale.models.basic_net import BasicNet
from full_scale.models.vgg import VGG
from full_scale.training.context import computing
from full_scale.training.loop import Training
from full_scale.training.optimizer import TorchOptimizer, make_optimizer
from full_scale.training.parameters import group_parameters
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.schedules import Constant
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam

IMAGES = 4000
BATCH = 40
STEPS = IMAGES // BATCH
ADAM = TrainSpec(
    data=Synthetic(side=16, train_images=IMAGES, test_images=100),
    network=BasicNet(width=0.25),
    rule=Adam(),
    regularizer=L2(strength=1e-3),
    learning_rate=1e-3,
    schedule=Constant(),
    batch_size=BATCH,
    steps=1000 * STEPS,
    measurements=1,
    probes=1000,
    probe_images=IMAGES // 50,
)
"""Probed once an epoch, on one image in fifty: 1,000 of CIFAR's 50,000."""


Prepare = Callable[[nn.Module, torch.optim.Optimizer], None]


def ours(spec: TrainSpec, prepare: Prepare | None = None) -> Callable[[], None]:
    """Some steps of a training of this package, with force probe, epoch probes and checks, from where the last call ended."""
    with computing():
        training = Training(spec, 0)
        going = training.steps()
        next(going)
    optimizer = training.optimizer
    if prepare and isinstance(optimizer, TorchOptimizer):
        prepare(training.network.module, optimizer.inner)

    def run() -> None:
        with computing():
            for _ in itertools.islice(going, STEPS):
                pass

    return run


def plain(spec: TrainSpec, prepare: Prepare | None = None, device: str | torch.device = "cpu") -> Callable[[], None]:
    """As many steps of a plain loop."""
    data = spec.data.load().train
    assert isinstance(data, Examples)
    module = spec.network.build(spec.data.shape, spec.data.classes, 0).module.train().to(device)
    images = torch.utils.data.TensorDataset(data.images, data.labels)
    loader = torch.utils.data.DataLoader(images, batch_size=spec.batch_size, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(module.parameters(), lr=spec.learning_rate, weight_decay=spec.regularizer.strength)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def steps(count: int) -> None:
        for batch, labels in itertools.islice(batches, count):
            loss = cross_entropy(module(batch.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    steps(1)
    if prepare:
        prepare(module, optimizer)
    return lambda: steps(STEPS)


@torch.no_grad()
def with_dying_filters(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Half of each layer's filters silent, their weights and moments decayed to denormal numbers, as L2 leaves them."""
    parts = list(module.modules())
    for conv, norm in itertools.pairwise(parts):
        if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d):
            half = norm.num_features // 2
            norm.weight[:half], norm.bias[:half] = 1e-30, -1.0
            conv.weight[:half] = 1e-39
            for moment in optimizer.state[conv.weight].values():
                if moment.shape == conv.weight.shape:
                    moment[:half] = 1e-41


def step_of(coupling: str | None, rule: AbstractUpdateRule) -> Callable[[], None]:
    """The optimizer step on VGG-16 with fixed gradients: ours under a coupling, or torch's fused one without any decay."""
    module = VGG().build((3, 32, 32), 10, 0).module
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    if coupling is None:
        kinds = {"adam": torch.optim.Adam, "sgd": functools.partial(torch.optim.SGD, momentum=0.9)}
        return kinds[rule.name](module.parameters(), lr=1e-3, fused=True).step
    groups = group_parameters(module, "all")
    optimizer = make_optimizer(groups, rule, L2(strength=1e-3, coupling=coupling), 1e-3)
    return lambda: optimizer.step(1.0)


def loops(rounds: int) -> Iterator[dict[str, Any]]:
    """Rows: images a second of both loops."""
    narrow, vgg = (replace(ADAM, network=VGG(width=width, pools=4)) for width in (0.25, 1.0))
    cases: list[tuple[str, TrainSpec, Prepare | None]] = [
        ("BasicNet width 1/4", ADAM, None),
        ("VGG-16 width 1/4", narrow, None),
        ("VGG-16", vgg, None),
        ("BasicNet width 1/4, half of the filters dying", ADAM, with_dying_filters),
    ]
    for name, spec, prepare in cases:
        seconds = seconds_in_turn({"ours": ours(spec, prepare), "plain": plain(spec, prepare)}, rounds)
        images = STEPS * BATCH
        ratio = seconds["plain"] / seconds["ours"]
        yield {"name": f"{name}, plain loop", "value": images / seconds["plain"], "unit": "images/s", "ratio": ratio}
        yield {"name": f"{name}, ours with probes", "value": images / seconds["ours"], "unit": "images/s", "ratio": 1.0}


def optimizer_steps(rounds: int) -> Iterator[dict[str, Any]]:
    """Rows: the optimizer step on the parameters of VGG-16; here `ratio` is ours / fused."""
    for rule in (Adam(), SGD(momentum=0.9)):
        sides = {"fused, no decay": step_of(None, rule), **{coupling: step_of(coupling, rule) for coupling in COUPLINGS}}
        seconds = seconds_in_turn(sides, rounds)
        for name, value in seconds.items():
            row = {"name": f"{rule.name} step, VGG-16, {name}", "value": 1e3 * value, "unit": "ms"}
            yield {**row, "ratio": value / seconds["fused, no decay"]}


def main() -> None:
    """Runs both parts and prints their rows."""
    options = arguments(__doc__.partition("\n")[0])
    torch.set_num_threads(1)
    report([*loops(options.rounds), *optimizer_steps(options.rounds)], options.json)


if __name__ == "__main__":
    main()
