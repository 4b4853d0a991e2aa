"""What the removal of dead filters does to the output: this package beside Torch-Pruning, on the same networks.

Each network of torchvision has random weights and running statistics, and 30 % of each BatchNorm's scales set to 0, with the
shift of these features as stated. Torch-Pruning removes the groups whose BatchNorm scales are all 0; this package finds out by
itself. Differences are in float64, relative to the largest output: python -m benchmarks.removal_exactness
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import nn

from benchmarks.timing import arguments, report
from full_scale.removal import shrink
from mechanisms.validation import UserError
from tests.full_scale.removal.zoo import SHIFTS, zoo_network

NETWORKS = ("vgg11_bn", "resnet18", "resnet50", "densenet121", "googlenet", "mobilenet_v2", "mnasnet1_0", "efficientnet_b0")
SHARE = 0.3


def pruned_by_peer(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """A copy of which Torch-Pruning has removed all channels whose BatchNorm scales are 0 throughout their group."""
    import torch_pruning

    smaller = copy.deepcopy(network).eval()
    graph = torch_pruning.DependencyGraph().build_dependency(smaller, example_inputs=images)
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        root = group[0].dep
        dead = _dead_channels(group)
        if dead:
            graph.get_pruning_group(root.target.module, root.handler, dead).prune()
    return smaller


def _dead_channels(group: Any) -> list[int]:
    """The channels of a group's first layer that no BatchNorm of the group lets through; at least one is left."""
    scales: dict[int, float] = {}
    for item in group:
        module = item.dep.target.module
        if isinstance(module, nn.BatchNorm2d) and len(item.root_idxs) == len(item.idxs):
            for root, own in zip(item.root_idxs, item.idxs, strict=True):
                scales[root] = max(scales.get(root, 0.0), module.weight[own].abs().item())
    dead = sorted(index for index, scale in scales.items() if scale == 0)
    return dead if len(dead) < len(group[0].idxs) else dead[1:]


@torch.no_grad()
def difference(network: nn.Module, smaller: nn.Module, images: torch.Tensor) -> float:
    """The largest difference of two networks' outputs, relative to the largest output of the first."""
    expected, found = network.eval()(images), smaller.eval()(images)
    return ((expected - found).abs().max() / expected.abs().max()).item()


def compared(name: str, shift: float | None) -> dict[str, Any]:
    """One row: share of parameters that each side removes, and the difference it makes."""
    network, images = zoo_network(name, SHARE, shift)
    network, images = network.double().eval(), images.double()
    sides = {"ours": lambda: shrink(network, images)[0], "torch_pruning": lambda: pruned_by_peer(network, images)}
    row: dict[str, Any] = {}
    for side, remove in sides.items():
        try:
            smaller = remove()
            row[f"{side}_difference"] = f"{difference(network, smaller, images):.0e}"
            row[f"{side}_removed"] = f"{1 - size(smaller) / size(network):.1%}"
        except (UserError, RuntimeError, ValueError, IndexError, AttributeError) as problem:
            row[f"{side}_difference"], row[f"{side}_removed"] = f"fails: {str(problem)[:60]}", ""
    return row


def size(network: nn.Module) -> int:
    """How many parameters a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> None:
    """Prints the table."""
    options = arguments(str(__doc__).partition("\n")[0])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [
        {"network": name, "shift": shift} | compared(name, SHIFTS[shift]) for name in NETWORKS for shift in ("0", "+0.5", "-1")
    ]
    report(rows, options.json)


if __name__ == "__main__":
    main()
