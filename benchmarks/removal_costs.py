"""What exact removal costs, in forward passes of the network: audit, shrink, and cuts within training; and peak memory.

One image of 224 pixels (of 8, as the digits have, for BasicNet), one thread, CPU time; all sides in turn, medians. A step is one
of training on 128 images; a repeated cut is one of a `Shrinker`, which keeps the graph, a look one that finds nothing dead.
With --memory, seconds and peak memory on Wide-ResNet-50-2, each verb in a fresh process: the high-water mark of the resident set,
reset by Linux once the network is built, less what was resident then, over the size of the network:
python -m benchmarks.removal_costs [--rounds 3] [--memory] [--json]
"""

from __future__ import annotations

import copy
import functools
import gc
import importlib.util
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.removal_exactness import pruned_by_peer
from benchmarks.timing import OneLineParser, add_json_argument, one_core, report, seconds_in_turn
from full_scale import removal
from full_scale.models.basic_net import BasicNet
from full_scale.removal.during_training.cutting import Cutter
from tests.full_scale.removal.zoo import SHIFTS, randomize, zoo_network

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
BASIC = "basic_net 1/4"
NETWORKS = (BASIC, "resnet18", "resnet50", "mobilenet_v3_large", "wide_resnet50_2")
SHARE, SHIFT, PIXELS = 0.3, "+0.5", 224
VERBS = ("audit", "shrink")
SHAPE, BATCH = (1, 8, 8), 128


def built(name: str) -> tuple[nn.Module, Tensor]:
    """A network with dead features, in evaluation mode, and an image for it."""
    if name != BASIC:
        return zoo_network(name, SHARE, SHIFTS[SHIFT])[0].eval(), torch.randn(1, 3, PIXELS, PIXELS)
    network = BasicNet(width=0.25).architecture(SHAPE, 10)
    return randomize(network, SHARE, SHIFTS[SHIFT]).eval(), torch.randn(1, *SHAPE)


def costs(name: str, rounds: int) -> dict[str, Any]:
    """One row: seconds of a forward pass, and how many of it the others take."""
    network, images = built(name)
    alive = randomize(copy.deepcopy(network), 0.0, SHIFTS[SHIFT])
    optimizer = torch.optim.Adam(network.parameters())

    @torch.no_grad()
    def forward() -> None:
        network(images)

    sides: dict[str, Callable[[], Any]] = {
        "forward": forward,
        "audit": lambda: removal.audit(network, images),
        "shrink": lambda: removal.shrink(network, images),
        "cut": lambda: removal.shrink_training(network, optimizer, images),
        "repeated_cut": functools.partial(Cutter(network, images).look, 1),
        "look": functools.partial(Cutter(alive, images).look, 1),
    }
    if name == BASIC:
        sides["step"] = _step_of(copy.deepcopy(network).train())
    if importlib.util.find_spec("torch_pruning"):
        sides["torch_pruning"] = lambda: pruned_by_peer(network, images)
    seconds = seconds_in_turn(sides, rounds, time.process_time)
    row: dict[str, Any] = {"network": name, "forward_ms": round(1e3 * seconds["forward"], 2)}
    row |= {f"{side}_forwards": round(seconds[side] / seconds["forward"], 1) for side in sides if side not in ("forward", "step")}
    for side in ("cut", "repeated_cut", "look"):
        row[f"{side}_steps"] = round(seconds[side] / seconds["step"], 1) if "step" in seconds else None
    return row | {"torch_pruning": "torch_pruning" in sides, "processor": platform.processor() or platform.machine()}


def _step_of(network: nn.Module) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters())
    images, labels = torch.randn(BATCH, *SHAPE), torch.randint(10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def resident(field: str) -> int:
    """Bytes by a field of the process's status: VmRSS now, VmHWM at most."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def memory(verb: str) -> dict[str, Any]:
    """One row: what a verb costs on the largest network, in this process."""
    network, images = built(NETWORKS[-1])
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    gc.collect()
    RESET.write_text("5")
    before, started, on_cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    getattr(removal, verb)(network, images)
    seconds, on_cpu = time.perf_counter() - started, time.process_time() - on_cpu
    above = (resident("VmHWM") - before) / size
    return {
        "verb": verb,
        "network": NETWORKS[-1],
        "MiB": size >> 20,
        "seconds": round(seconds, 1),
        "CPU_seconds": round(on_cpu, 1),
        "peak_over_network": round(above, 2),
        "with_network": round(above + 1, 2),
    }


def main() -> None:
    """Prints a row for each network, or for each verb."""
    parser = OneLineParser(description=str(__doc__).partition("\n")[0])
    add_json_argument(parser)
    parser.add_argument("--rounds", type=int, default=3, help="times each side is run, in turn (%(default)s)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="which ones (all)")
    parser.add_argument("--memory", nargs="?", const="all", choices=("all", *VERBS), help="of one verb, or of both")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.memory is None:
        one_core()
        rows = [costs(name, options.rounds) for name in options.networks]
    elif options.memory != "all":
        rows = [memory(options.memory)]
    else:
        own = [sys.executable, "-m", "benchmarks.removal_costs", "--json", "--memory"]
        texts = [subprocess.run([*own, verb], capture_output=True, text=True, check=True).stdout for verb in VERBS]
        rows = [row for text in texts for row in json.loads(text)]
    report(rows, options.json)


if __name__ == "__main__":
    main()
