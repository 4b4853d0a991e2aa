"""What an audit and a removal cost on Wide-ResNet-50-2 (69 million parameters): seconds and peak memory, each in a fresh process.

Memory is the high-water mark of the resident set, reset by Linux once the network is built, less what was resident then; over the
size of the network, and with the network itself counted: python -m benchmarks.removal_costs [--threads 2] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import OneLineParser, add_json_argument, report
from full_scale import removal
from tests.full_scale.removal.zoo import SHIFTS, zoo_network

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SHARE, PIXELS = 0.3, 224
VERBS = ("audit", "shrink")


def resident(field: str) -> int:
    """Bytes by a field of the process's status: VmRSS now, VmHWM at most."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def measured(verb: str, name: str, shift: str, threads: int) -> dict[str, Any]:
    """One row: what a verb costs on a network, in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    network, _ = zoo_network(name, SHARE, SHIFTS[shift])
    images = torch.randn(1, 3, PIXELS, PIXELS)
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    gc.collect()
    RESET.write_text("5")
    before, started, on_cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    getattr(removal, verb)(network, images)
    seconds, on_cpu = time.perf_counter() - started, time.process_time() - on_cpu
    above = (resident("VmHWM") - before) / size
    row = {"verb": verb, "network": name, "shift": shift, "threads": threads, "MiB": size >> 20}
    return row | {
        "seconds": round(seconds, 1),
        "CPU_seconds": round(on_cpu, 1),
        "peak_over_network": round(above, 2),
        "with_network": round(above + 1, 2),
    }


def main() -> None:
    """Prints a row for each verb."""
    parser = OneLineParser(description=str(__doc__).partition("\n")[0])
    add_json_argument(parser)
    parser.add_argument("--network", default="wide_resnet50_2", help="of torchvision (%(default)s)")
    parser.add_argument("--shift", choices=tuple(SHIFTS), default="+0.5", help="of the dead features (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (%(default)s)")
    parser.add_argument("--verb", choices=VERBS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.verb is not None:
        print(json.dumps(measured(options.verb, options.network, options.shift, options.threads)))
        return
    own = [sys.executable, "-m", "benchmarks.removal_costs", *sys.argv[1:], "--verb"]
    rows = [subprocess.run([*own, verb], capture_output=True, text=True, check=True).stdout for verb in VERBS]
    report([json.loads(row.splitlines()[-1]) for row in rows], options.json)


if __name__ == "__main__":
    main()
