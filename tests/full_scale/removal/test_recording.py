"""The graph of one run is the one that torch.export makes; where it would not be, there is none."""

import functools
import warnings

import numpy as np
import pytest
import sympy
import torch
from torch import nn
from torch.nn import functional
from torch.utils._sympy.functions import Mod

from full_scale.removal import shrink
from full_scale.removal.analysis.graph import exported, module_of, recorded
from full_scale.removal.analysis.running import each_value
from full_scale.removal.analysis.sizes import Run, differs_by_size
from full_scale.removal.retracing import _arguments, _shapes
from tests.full_scale.removal.random_networks import RandomNetwork
from tests.full_scale.removal.structures import LEFT_ALONE, STRUCTURES, WIDTH_IN_CODE, Chain, block, with_dead
from tests.full_scale.removal.test_norms import NORMS, RECURRENT
from tests.full_scale.removal.test_shared import USES

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
COPIES = ("clone", "alias", "detach", "_assert_tensor_metadata")
"""Operations that may be there or not."""

ONES = np.ones((8, 1, 1), np.float32)
FLAGS = ("cudnn_enable", "cudnn_enabled")

ALIKE = ("dilated, strided", "flattened", "convolution bias", "average pool, border not counted", "norm without affine")
OTHERS = {"siamese": USES["siamese"][0], "LSTM": RECURRENT["LSTM"]} | {
    name: NORMS[name] for name in ("a group that is dead", "without running statistics")
}
NETWORKS = {
    name: build
    for name, build in (STRUCTURES | LEFT_ALONE | WIDTH_IN_CODE | OTHERS).items()
    if name not in ALIKE and not name.startswith("activation")
} | {f"random {number}": functools.partial(RandomNetwork, number) for number in range(2)}
"""Each kind of graph once."""


def listed(traced):
    """The operations of a graph without the names of their nodes, and which of them are put out."""
    rows, places = [], dict(traced.names)

    def plain(value):
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return places.get(value.name, value.name) if isinstance(value, torch.fx.Node) else value

    places |= {name: f"input {number}" for number, name in enumerate(traced.inputs)}
    for node in traced.graph.nodes:
        if node.op == "output":
            rows.append(plain(node.args))
        elif node.op == "call_function" and node.target.__name__.partition(".")[0] in COPIES:
            places[node.name] = plain(node.args[0])
        elif node.op == "call_function" and (node.users or node.target.__name__ != "getitem"):
            arguments = [(name, plain(value)) for name, value in _arguments(node) if name not in FLAGS]
            path = module_of(node)
            rows.append((str(node.target), arguments, _shapes(node)[0], "" if path == node.name else path))
            places[node.name] = f"row {len(rows)}"
    return rows


@pytest.mark.parametrize("name", NETWORKS)
def test_one_run_shows_what_export_does(name):
    network = with_dead(NETWORKS[name])
    found = recorded(network, (IMAGES,))
    assert found is not None
    assert found.recorded
    assert found.reads_sizes or name not in ("Wide", "Padded", "all columns at this size", "shuffled", "hard-coded")
    assert found.reads_sizes <= (name in WIDTH_IN_CODE | LEFT_ALONE | OTHERS or name.startswith("random"))
    assert listed(found) == listed(exported(network, (IMAGES,)))


class Runs(nn.Module):
    """A chain whose middle is any function of the features and their BatchNorm's scale."""

    def __init__(self, function):
        super().__init__()
        self.chain, self.function, self.known = Chain(), function, torch.ones(8, 1, 1)

    def forward(self, x):
        return self.chain.classifier(self.chain.second(self.function(self.chain.first(x), self)).mean((2, 3)))


def through_a_list(x, network):
    return x * torch.tensor(x.amax((0, 2, 3)).tolist()).view(-1, 1, 1)


def from_numbers_of_tensors(x, network):
    return x + torch.tensor([x[0, 0, 0, 0], 1.0])[0]


def in_numpy(x, network):
    return x * float(np.abs(x.numpy()).max())


def on_a_parameter(x, network):
    network.chain.second[1].weight.mul_(0.5)
    return x


def on_the_data_of_a_parameter(x, network):
    network.chain.second[1].weight.data.mul_(0.5)
    return x


def on_a_constant(x, network):
    network.known.mul_(2)
    return x * network.known


def on_a_part(x, network):
    whole = 2 * x
    whole[:, :, 0].zero_()
    return whole


def on_a_map_and_from_the_image(x, network):
    known = x.new_zeros(12, 12)
    known[:3] = 1
    known[3:] = x[0, 0, 3:]
    return x + known


def caught(x, network):
    try:
        return x * x.max().item()
    except Exception:
        return x


NOT_SHOWN = {
    "branch": lambda x, network: x if x.sum() > 0 else -x,
    "value": lambda x, network: x * x.max().item(),
    "places": lambda x, network: x * len(x.nonzero()),
    "memory": lambda x, network: x + (x.data_ptr() == 0),
    "data": lambda x, network: 2 * (x + 1).data,
    "unknown": lambda x, network: x * torch.from_numpy(ONES),
    "old maker": lambda x, network: x + torch.Tensor([x[0, 0, 0, 0], 1.0])[1],
    "empty": lambda x, network: x + torch.empty(8, 1, 1).fill_(1.0),
    **{
        function.__name__: function
        for function in (
            *(through_a_list, from_numbers_of_tensors, in_numpy, on_a_part, on_a_map_and_from_the_image, caught),
            *(on_a_parameter, on_the_data_of_a_parameter, on_a_constant),
        )
    },
}


@pytest.mark.parametrize("name", NOT_SHOWN)
def test_there_is_no_recording_of_what_one_run_does_not_show(name):
    network = with_dead(lambda: Runs(NOT_SHOWN[name]))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert recorded(network, (IMAGES,)) is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(network.known, torch.ones(8, 1, 1))


def in_place(x, network):
    x = x.view(len(x), 8, -1).transpose(1, 2)
    x += 1
    return functional.relu(x, inplace=True).transpose(1, 2).view(len(x), 8, 12, 12)


def on_a_map(x, network):
    known = x.new_zeros(12, 12)
    for row in range(3):
        known[row, row:] = row + 1
        known[:, :row] += known[0, 0]
    return x * known + known.view(-1)[:12]


def by_number(x, network):
    return x * network.known[torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])]


SHOWN = {
    "map": on_a_map,
    "by number": by_number,
    "in place": in_place,
    "constant": lambda x, network: x * network.known * torch.tensor(0.5),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_written_to_numbers_of_its_own_is_recorded(name):
    network = with_dead(lambda: Runs(SHOWN[name]))
    found = recorded(network, (IMAGES,))
    *_, (last, value) = each_value(found, (IMAGES,))
    assert next(iter(reversed(found.graph.nodes))).args[0] == (last,)
    assert torch.equal(value, network.eval()(IMAGES))
    assert shrink(network, IMAGES)[1].features["removable"].any()


def test_sizes_that_compiled_code_may_read_count_as_read():
    with warnings.catch_warnings(action="ignore"):
        scripted = torch.jit.script(_by_width)
    assert recorded(with_dead(lambda: Runs(lambda x, network: scripted(x))), (IMAGES,)).reads_sizes
    assert not recorded(with_dead(lambda: Runs(lambda x, network: x[:, None, ..., :].squeeze(1))), (IMAGES,)).reads_sizes
    assert recorded(with_dead(lambda: Runs(lambda x, network: x[..., :12])), (IMAGES,)).reads_sizes


def _by_width(x: torch.Tensor) -> torch.Tensor:
    return x + x.shape[3]


def test_a_network_that_is_not_recorded_shrinks_all_the_same():
    chain = with_dead(lambda: nn.Sequential(block(3, 8), Keeping(), block(8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert recorded(chain, (IMAGES,)) is None
    smaller, report = shrink(chain.double(), IMAGES.double())
    assert report.features["removable"].any()
    assert torch.allclose(smaller.eval()(IMAGES.double()), chain.eval()(IMAGES.double()))


class Keeping(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        return x


def test_a_size_at_which_a_condition_means_nothing_is_no_size():
    size = sympy.Symbol("s0", integer=True, positive=True)
    where = sympy.Eq(Mod(size - 40, 3), 0)  # torch's remainder is of no negative number
    alone, more = frozenset({where}), frozenset({where, size < 10})
    assert not differs_by_size(Run((), alone), Run((), alone))
    assert differs_by_size(Run((), alone), Run((), more))
    assert not differs_by_size(Run((), alone), Run((), frozenset({where, size > 10})))
