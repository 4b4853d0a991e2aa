"""Exact removal on everything: random small networks, torchvision and a sample of timm; counts, and the bound that follows.

Each removal is also checked against the original on images that the removal itself did not see. Hours for all of it:
python -m benchmarks.removal_all [--graphs 500] [--first-seed N] [--networks resnet18 …] [--settings 16] [--timm 49] [--json]
"""

from __future__ import annotations

import secrets
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import nn

from benchmarks.timing import OneLineParser, add_json_argument
from full_scale.removal import shrink
from full_scale.removal.shrinking import REFUSED
from mechanisms.command_line.framework import print_rows
from mechanisms.validation import UserError
from tests.full_scale.removal.random_networks import RandomNetwork
from tests.full_scale.removal.zoo import NAMES, SHARES, SHIFTS, TIMM, timm_network, zoo_network

LOWEST_SEED = 100_000
"""Random networks of the tests have lower seeds."""

EXACT, SINGLE = 1e-10, 1e-4
CONFIDENT = 3.0
"""With no failure in N trials, the rate of failures is below 3/N with 95 % confidence (the rule of three)."""


@torch.no_grad()
def unseen_difference(network: nn.Module, smaller: nn.Module, images: torch.Tensor) -> float:
    """The largest relative difference on other images of the same size; a network's weights stay rounded to its own dtype."""
    fresh = 2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(7)).double()
    expected, found = network.double().eval()(fresh), smaller.double().eval()(fresh)
    pairs = zip(*(part if isinstance(part, tuple | list) else (part,) for part in (expected, found)), strict=True)
    return max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs)


def tried(group: str, name: str, network: nn.Module, images: torch.Tensor) -> dict[str, Any]:
    """One row: what became of one network."""
    started = time.perf_counter()
    row: dict[str, Any] = {"group": group, "network": name}
    try:
        smaller, report = shrink(network, images)
    except UserError as refusal:
        return row | {"outcome": "refused", "why": str(refusal)[:100], "seconds": round(time.perf_counter() - started, 1)}
    seconds = time.perf_counter() - started
    worst = report.differences.groupby("dtype")["relative"].max()
    double, single = float(worst.get("float64", 0.0)), float(worst.get("float32", 0.0))
    unseen, own = unseen_difference(network, smaller, images), EXACT if images.dtype == torch.float64 else SINGLE
    left = report.features["reason"].str.startswith(REFUSED).any()
    outcome = "wrong" if double > EXACT or single > SINGLE or unseen > own else "exact, part refused" if left else "exact"
    removed = 1 - report.after.parameters / report.before.parameters
    numbers = {"float64": f"{double:.0e}", "float32": f"{single:.0e}", "removed": f"{removed:.1%}", "seconds": round(seconds, 1)}
    return row | {"outcome": outcome, "why": report.notes[0][:100] if report.notes else ""} | numbers


def trials(seeds: range, names: list[str], settings: int, sample: list[str]) -> Iterator[dict[str, Any]]:
    """All rows, one after the other."""
    for seed in seeds:
        yield tried("random", str(seed), RandomNetwork(seed).double(), torch.randn(1, 3, 12, 12, dtype=torch.float64))
    combinations = list(product(SHARES, SHIFTS.items()))
    for number, name in enumerate(names):
        for share, (label, shift) in (combinations[number % 4 :] + combinations)[:settings]:
            yield tried("zoo", f"{name} {share:.0%} {label}", *zoo_network(name, share, shift))
    for number, name in enumerate(sample):
        label, shift = list(SHIFTS.items())[number % len(SHIFTS)]
        yield tried("timm", f"{name} 30% {label}", *timm_network(name, 0.3, shift))


def main() -> None:
    """Prints a line a network to follow, then the counts."""
    parser = OneLineParser(description=str(__doc__).partition("\n")[0])
    add_json_argument(parser)
    parser.add_argument("--graphs", type=int, default=500, help="random networks (%(default)s)")
    drawn = LOWEST_SEED + secrets.randbelow(10**9)
    parser.add_argument("--first-seed", type=int, default=drawn, help="of the random networks (a new one each time)")
    parser.add_argument("--networks", nargs="*", default=list(NAMES), help="networks of torchvision (all the tests name)")
    parser.add_argument("--settings", type=int, default=len(SHARES) * len(SHIFTS), help="shares × shifts for each (%(default)s)")
    parser.add_argument("--timm", type=int, default=len(TIMM), help="networks of timm (%(default)s)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows, seeds = [], range(options.first_seed, options.first_seed + options.graphs)
    print(f"random networks of seeds {seeds.start} to {seeds.stop - 1}", file=sys.stderr, flush=True)
    for row in trials(seeds, options.networks, options.settings, list(TIMM[: options.timm])):
        rows.append(row)
        if not options.json and (row["group"] != "random" or row["outcome"] != "exact"):
            print("  ".join(str(value) for value in row.values()), flush=True)
    counts = Counter((row["group"], row["outcome"]) for row in rows)
    summary = [{"group": group, "outcome": outcome, "networks": count} for (group, outcome), count in sorted(counts.items())]
    exact = sum(row["outcome"].startswith("exact") for row in rows)
    wrong = sum(row["outcome"] == "wrong" for row in rows)
    bound = f"< {CONFIDENT / exact:.2%} of networks like these" if exact and not wrong else "none"
    summary.append({"group": "all", "outcome": f"wrong: {wrong}; with 95 % confidence", "networks": bound})
    print_rows(rows + summary if options.json else summary, options.json)


if __name__ == "__main__":
    main()
