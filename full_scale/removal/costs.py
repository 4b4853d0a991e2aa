"""What a network costs: parameters, multiply-accumulates, bytes and time."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from full_scale.removal.analysis.graph import Inputs, TracedNetwork, argument, operation, shape, structural_copy
from full_scale.removal.analysis.operations import OPERATIONS

LONGEST = 0.3
"""Seconds after which timing stops, once every network was run LEAST times."""

LEAST, MOST = 3, 9


@dataclass(frozen=True)
class Costs:
    """Parameters, multiply-accumulates for one example, bytes of parameters and buffers, median time of a call, its examples.

    Multiply-accumulates (MACs) are those of convolutions and matrix products; floating-point operations are twice as many. A
    call is one on the example input, with as many examples as its first axis is long.
    """

    parameters: int
    macs: int
    bytes: int
    milliseconds: float
    examples: int


def costs(
    networks: Mapping[str, nn.Module], inputs: Inputs, most: int = MOST, graphs: Mapping[str, TracedNetwork] | None = None
) -> dict[str, Costs]:
    """Name → costs in evaluation mode; the networks are timed in turn, at most `most` times each, and not changed.

    With `graphs`, of some of the networks or of them with more channels, what these compute is counted there, which takes no run.
    """
    evaluated = {name: structural_copy(network).eval() for name, network in networks.items()}
    examples = len(inputs[0]) if inputs[0].dim() else 1
    known = {name: macs_of(graph, networks[name], inputs) for name, graph in (graphs or {}).items()}
    macs = {name: _macs(network, inputs) if known.get(name) is None else known[name] for name, network in evaluated.items()}
    times = _milliseconds(evaluated, inputs, most)
    return {
        name: Costs(
            sum(part.numel() for part in network.parameters()),
            (macs[name] or 0) // examples,
            _bytes(network),
            times[name],
            examples,
        )
        for name, network in evaluated.items()
    }


def _bytes(network: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in {*network.parameters(), *network.buffers()})


def macs_of(traced: TracedNetwork, network: nn.Module, inputs: Inputs) -> int | None:
    """Return multiply-accumulates on these inputs, from a graph for another number of images; None if it holds other products."""
    given = [shape(node) for node in traced.graph.nodes if node.name in traced.inputs]
    if not given[0] or [size[1:] for size in given] != [tuple(part.shape[1:]) for part in inputs]:
        return None
    total, weights = 0, dict(network.named_parameters(remove_duplicate=False))
    for node in traced.graph.nodes:
        name = operation(node)
        if name and name not in OPERATIONS and name != "getitem":
            return None
        if name.startswith(("conv", "linear")):
            moved = shape(node.args[0] if "transpose" in name else node)
            size = shape(argument(node, "weight"))
            held = weights.get(traced.names.get(argument(node, "weight").name, ""))
            total += math.prod(moved) // size[0] * (math.prod(size) if held is None else held.numel())
    return None if total * len(inputs[0]) % given[0][0] else total * len(inputs[0]) // given[0][0]


@torch.no_grad()
def _macs(network: nn.Module, inputs: Inputs) -> int:
    """Counted without computing anything, where the network's code runs on the device "meta"."""
    try:
        shapes = structural_copy(network, lambda tensor: tensor.detach().to("meta"))
        return _counted(shapes, tuple(part.to("meta") for part in inputs))
    except Exception:
        return _counted(network, inputs)


def _counted(network: nn.Module, inputs: Inputs) -> int:
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")  # a compiled network warns of the counter's hooks
        network(*inputs)
    return int(counter.get_total_flops()) // 2


@torch.inference_mode()
def _milliseconds(networks: Mapping[str, nn.Module], inputs: Inputs, most: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in networks}
    started, rounds = time.perf_counter(), 0
    while rounds < LEAST or (rounds < most and time.perf_counter() - started < LONGEST):
        for name, network in networks.items():
            times[name].append(_seconds(network, inputs) * 1e3)
        rounds += 1
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def _seconds(network: nn.Module, inputs: Inputs) -> float:
    _wait(inputs)
    started = time.perf_counter()
    network(*inputs)
    _wait(inputs)
    return time.perf_counter() - started


def _wait(inputs: Inputs) -> None:
    if inputs[0].is_cuda:
        torch.cuda.synchronize(inputs[0].device)
