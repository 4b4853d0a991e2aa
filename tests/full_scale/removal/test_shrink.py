"""Exact removal, structure by structure: the same function, fewer features, an untouched original."""

import copy
import threading
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.prune import l1_unstructured

from full_scale.removal import audit, plan, shrink
from full_scale.removal.analysis.graph import recorded
from full_scale.removal.assessment import ALIVE, CERTIFIED, PARAMETERS, SCALE, SILENT
from full_scale.removal.costs import costs
from full_scale.removal.proof import Proof
from full_scale.removal.selection import KEPT_CARRIER, KEPT_LAST, NOT_ASKED
from full_scale.removal.shrinking import REFUSED
from full_scale.removal.verification import differing, scaled_inputs
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import (
    DEAD,
    LEFT_ALONE,
    STRUCTURES,
    WIDTH_IN_CODE,
    Added,
    Chain,
    Hidden,
    Residual,
    Unbiased,
    block,
    with_dead,
)

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
SHIFTS = (0.5, None)
"""Of the dead features; None is random, with both signs. The networks of test_zoo have −1 and 0 as well."""


@torch.no_grad()
def gap(network, smaller, images):
    """The relative difference of two networks in float64."""
    networks = [copy.deepcopy(part).double().eval() for part in (network, smaller)]
    expected, found = (part(images.double()) for part in networks)
    return ((expected - found).abs().max() / expected.abs().max()).item()


def width(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_every_structure_keeps_its_function(name, shift):
    network = with_dead(STRUCTURES[name], shift)
    smaller, report = shrink(network.double(), IMAGES[:1].double())
    assert report.features["removable"].any()
    assert width(smaller) < width(network)
    assert report.is_exact
    assert list(report.differences["dtype"]) == ["float64"] * 3
    for images in (IMAGES, 10 * torch.randn(1, 3, 18, 22)):
        assert gap(network, smaller, images) <= 1e-10
    assert not report.features["reason"].str.startswith(REFUSED).any()


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_not_understood_is_left_alone_by_name(name):
    network = with_dead(LEFT_ALONE[name])
    _, report = shrink(network, IMAGES)
    dead = report.features[report.features["kind"] == PARAMETERS].groupby("layer")
    removed, reasons = dead["removable"].sum(), dead["reason"].first()
    assert removed["first.1"] == 0
    assert reasons["first.1"]
    assert removed["second.1"] == DEAD
    assert max(report.differences["relative"]) <= 1e-4


@pytest.mark.parametrize("name", WIDTH_IN_CODE)
def test_code_that_computes_with_a_width_is_found_where_it_does_not_show(name):
    network = with_dead(WIDTH_IN_CODE[name], 0.5).double()
    smaller, report = shrink(network, IMAGES.double())
    assert smaller.first[0].out_channels == 8
    assert report.features["reason"].str.contains("with fewer channels").any()
    assert not (report.features["reason"] == NOT_ASKED).any(), "nothing was asked for by name"
    assert smaller.second[0].out_channels == 8 - DEAD
    assert gap(network, smaller, 1e8 * IMAGES) <= 1e-10


@pytest.mark.parametrize("pixels", [12, 64])
def test_a_wrong_constant_is_seen_behind_a_relu_that_never_opens(monkeypatch, pixels):
    def twice(tracker, selection, reader, target, changes, fold=plan._fold):
        fold(tracker, selection, reader, target, changes)
        if target[0] in changes.additions and reader.weight.startswith("body.part"):
            changes.additions[target[0]] *= 2

    monkeypatch.setattr(plan, "_fold", twice)
    network = with_dead(lambda: Chain(Hidden(nn.Conv2d(8, 8, 1), 1e9)), 0.5)
    _, report = shrink(network, torch.randn(1, 3, pixels, pixels, generator=torch.Generator().manual_seed(1)))
    reasons = report.features.query("layer == 'first.1' and kind != 'alive'")["reason"]
    assert reasons.str.contains(r"conv2d in body.* puts out other numbers").all()
    assert report.features["removable"].sum() == DEAD


def test_inputs_of_other_sizes_open_what_random_ones_do_not(monkeypatch):
    monkeypatch.setattr(Proof, "problem_of_code", lambda *_: None)
    _, report = shrink(with_dead(lambda: Chain(Hidden(Unbiased(8, 8, 1, bias=False), 30.0)), 0.5), IMAGES)
    assert report.features["reason"].str.contains("would change the output").any()
    assert list(report.differences["input"]) == ["random", "random", "scaled", "random", "random"]


def test_large_images_are_compared_at_half_their_size_too():
    _, report = shrink(with_dead(Chain, 0.5), torch.randn(1, 3, 64, 80))
    full, half, scaled = "1×3×64×80", "1×3×32×40", "4×3×32×40"
    assert list(report.differences["shape"]) == [full, half, scaled, "2×3×64×80", half]


def test_inputs_of_other_sizes_stay_in_a_range():
    found = scaled_inputs((IMAGES,), (torch.tensor([0.0, 1.0, 2.0]), 3.0))
    low, high, both = (part for (part,) in found)
    assert torch.equal(low[0, :, 0, 0], torch.tensor([0.0, 1.0, 2.0]).double())
    assert torch.equal(high, torch.full_like(high, 3.0))
    assert torch.equal((both == 3) | (both == low), torch.ones_like(both, dtype=torch.bool))
    assert 0 < (both == 3).double().mean() < 1
    assert scaled_inputs((torch.zeros(2, 4, dtype=torch.int64),), None) == []


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise, linear bottleneck", "U-Net", "pre-activation"])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_layers_that_are_dead_altogether(name, shift):
    network = with_dead(STRUCTURES[name], shift, dead=8)
    smaller, report = shrink(network.double(), IMAGES.double())
    assert gap(network, smaller, IMAGES) <= 1e-10
    assert report.features["reason"].isin([KEPT_LAST, KEPT_CARRIER]).any()


def test_the_original_is_not_touched():
    network = with_dead(STRUCTURES["residual"]).train()
    network.first[0].eval()
    network(IMAGES).sum().backward()
    before = copy.deepcopy(network.state_dict()), [p.grad.clone() for p in network.parameters()], torch.get_rng_state()
    smaller, _ = shrink(network, IMAGES)
    assert all(torch.equal(value, before[0][name]) for name, value in network.state_dict().items())
    assert all(torch.equal(p.grad, grad) for p, grad in zip(network.parameters(), before[1], strict=True))
    assert torch.equal(torch.get_rng_state(), before[2])
    assert [part.training for part in network.modules()] == [part.training for part in smaller.modules()]
    memory = {p.data_ptr() for p in [*network.parameters(), *network.buffers()]}
    assert memory.isdisjoint(p.data_ptr() for p in [*smaller.parameters(), *smaller.buffers()])
    smaller(IMAGES).sum().backward()


def test_widths_of_a_chain():
    network = with_dead(Chain, 0.0)
    smaller, report = shrink(network, IMAGES)
    assert (smaller.first[0].out_channels, smaller.second[0].in_channels, smaller.classifier.in_features) == (5, 5, 5)
    assert smaller.first[1].num_features == 5
    assert report.before.parameters - report.after.parameters == width(network) - width(smaller)
    assert report.after.macs < report.before.macs
    merged, report = shrink(with_dead(Chain, 0.5), IMAGES)
    assert merged.first[0].out_channels == 6, "one constant feature must carry the others across the zero padding"
    assert merged.second[0].out_channels == 5, "a linear reader folds constants into its bias"
    assert (report.features["reason"] == KEPT_CARRIER).sum() == 1


def test_a_single_dead_group_behind_a_counted_border_carries_itself():
    network = with_dead(lambda: Chain(nn.Sequential(block(8, 8, groups=4), nn.AvgPool2d(3, 1, 1))), 0.5, dead=2)
    smaller, report = shrink(network.double(), IMAGES.double())
    assert smaller.body[0][0].groups == 4
    assert (report.features["reason"] == KEPT_CARRIER).any()
    assert gap(network, smaller, IMAGES) <= 1e-10


class Exposed(nn.Module):
    """Puts out the first block's features beside the scores."""

    def __init__(self):
        super().__init__()
        self.chain = Chain()

    def forward(self, x):
        features = self.chain.first(x)
        return {"features": features, "scores": self.chain.second(features).mean((2, 3))}


def test_features_that_are_put_out_stay():
    smaller, report = shrink(with_dead(Exposed, 0.0), IMAGES)
    table = report.features.set_index(["layer", "feature"])
    assert not table["removable"].any()
    assert table.loc[("chain.first.1", 0), "reason"] == "an output of the network"
    assert smaller.chain.first[0].out_channels == 8


def test_multiply_accumulates_are_counted_by_hand():
    report = audit(with_dead(Chain), IMAGES)
    assert report.costs.macs == 12 * 12 * 9 * (3 * 8 + 8 * 8) + 8 * 5


@pytest.mark.parametrize("name", ["grouped", "transposed", "one dimension", "U-Net", "norm on another axis"])
def test_multiply_accumulates_of_a_graph_are_those_of_a_run(name):
    network, images = with_dead(STRUCTURES[name]), torch.cat([IMAGES, IMAGES[:1]])
    graph = recorded(network, (IMAGES,))
    assert costs({"": network}, (images,), graphs={"": graph})[""].macs == costs({"": network}, (images,))[""].macs > 0


def test_a_residual_stream_loses_only_what_is_constant_in_all_branches():
    network = with_dead(lambda: Chain(Residual()), 0.0)
    with torch.no_grad():
        network.body.norm[1].weight[0] = 1.0
    table = audit(network, IMAGES).features.set_index(["layer", "feature"])
    assert not table.loc[("first.1", 0), "removable"]
    assert table.loc[("first.1", 0), "reason"]
    assert table.loc[("first.1", 1), "removable"]
    assert table.loc[("first.1", 1), "constant"] == 0


@pytest.mark.parametrize("multiple", [2, 4])
def test_kept_channels_are_a_multiple(multiple):
    smaller, _ = shrink(with_dead(Chain, 0.0), IMAGES, multiple_of=multiple)
    assert smaller.first[0].out_channels == {2: 6, 4: 8}[multiple]
    assert smaller.second[0].out_channels % multiple == 0


def negative_first_layer():
    """The first layer's features are negative before ReLU: feature 0 for inputs in [0, 1], feature 1 for these images only."""
    network = with_dead(Chain, dead=0)
    with torch.no_grad():
        network.first[0].weight[0] = -network.first[0].weight[0].abs()
        norm = network.first[1]
        norm.bias[0] = -norm.weight[0] * norm.running_mean[0].abs() * 10
        norm.bias[1] = -8.0
    return network


def test_the_three_kinds_are_kept_apart():
    network, images = negative_first_layer(), torch.rand(20, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        network.first[1].weight[2] = 0
        network.first[1].weight[3] = 1e-6
        network.first[1].bias[2:4] = 0
        network.first[1].bias[1] = -network.first[:2].eval()(images)[:, 1].amax() + network.first[1].bias[1] - 0.1
    table = audit(network, images[:1], data=images, input_range=(0.0, 1.0), scale_threshold=1e-5).features
    assert list(table[table["layer"] == "first.1"]["kind"])[:5] == [CERTIFIED, SILENT, PARAMETERS, SCALE, ALIVE]
    _, report = shrink(network, images[:1], data=images, input_range=(0.0, 1.0))
    assert list(report.features["removable"])[:5] == [True, False, True, False, False]
    assert report.is_exact
    _, report = shrink(network, images[:1], data=images, input_range=(0.0, 1.0), scale_threshold=1e-5, silent=True)
    assert list(report.features["removable"])[:5] == [True] * 4 + [False]
    assert not report.is_exact
    assert set(report.differences["input"]) == {"data"}
    assert max(report.differences["relative"]) <= 1e-4


def test_small_scales_change_the_output_by_what_is_reported():
    network = with_dead(Chain, dead=0)
    with torch.no_grad():
        network.first[1].weight[:2] = 1e-3
    smaller, report = shrink(network, IMAGES, scale_threshold=1e-2)
    assert report.differences["relative"].max() <= 1e-4
    assert gap(network, smaller, IMAGES) > 1e-10
    assert 0 < report.changes["relative"].max() < 1e-1
    with pytest.raises(UserError, match="tolerance"):
        shrink(network, IMAGES, scale_threshold=1e-2, tolerance=report.changes["relative"].max() / 2)


def test_a_report_prints_and_is_json(tmp_path):
    _, report = shrink(with_dead(Chain), IMAGES)
    assert "first.1" in str(report)
    assert "dead by parameters" in str(report)
    assert report.to_json(tmp_path / "report.json").strip() == (tmp_path / "report.json").read_text(encoding="utf-8").strip()
    assert report.layers.set_index("layer").loc["first.1", "parameters"] == DEAD


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


BROKEN = {
    "variance": (lambda network: network.first[1].running_var.fill_(-1.0), IMAGES, "puts out NaN"),
    "NaN images": (lambda network: None, IMAGES * float("nan"), "example_input holds NaN"),
    "no images": (lambda network: None, IMAGES[:0], "example_input holds no numbers"),
    "nothing": (lambda network: None, None, "example_input is not a tensor"),
    "no numbers": (lambda network: network.to("meta"), IMAGES, "device meta"),
    "not to be copied": (lambda network: setattr(network, "body", Locked()), IMAGES, "cannot be copied"),
    "NaN": (lambda network: network.first[1].weight.data.fill_(float("nan")), IMAGES, "first.1.weight holds NaN"),
    "shape": (lambda network: None, IMAGES[:, :2], "does not run on an input of shape"),
    "input": (lambda network: None, "images", "example_input"),
    "dtype": (lambda network: network.double(), IMAGES, "does not run on an input of shape"),
    "random": (lambda network: setattr(network, "body", Noisy()), IMAGES, "other numbers when it is run again"),
    "branch": (lambda network: setattr(network, "body", Branching()), IMAGES, "cannot be traced"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_judged_is_refused_in_one_line(name):
    breaking, images, message = BROKEN[name]
    network = with_dead(Chain)
    breaking(network)
    with pytest.raises(UserError, match=message) as refusal:
        shrink(network, images)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"silent": True}, "silent"),
        ({"multiple_of": 0}, "multiple_of"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": "small"}, "tolerance"),
        ({"scale_threshold": float("nan")}, "scale_threshold"),
        ({"input_range": ("a", "b")}, "input_range"),
        ({"input_range": 1.0}, "input_range"),
        ({"data": torch.zeros(0, 3, 12, 12)}, "no images"),
        ({"data": torch.full((4, 3, 12, 12), float("nan"))}, "NaN"),
        ({"data": [IMAGES]}, "tensor of images"),
        ({"scale_threshold": -1.0}, "scale_threshold"),
        ({"input_range": (1.0, 0.0)}, "input_range"),
        ({"input_range": (torch.zeros(4), torch.ones(4))}, "input_range"),
        ({"data": torch.zeros(4, 3, 9, 9)}, "data"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(options, message):
    with pytest.raises(UserError, match=message) as refusal:
        shrink(with_dead(Chain), IMAGES, **options)
    assert "\n" not in str(refusal.value)


def test_networks_of_other_tools_are_refused_by_name():
    with warnings.catch_warnings(action="ignore"):
        scripted = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 3)), IMAGES)
        quantized = nn.Sequential(torch.ao.nn.quantized.Linear(3, 4))
    held = types.SimpleNamespace(ema=Chain())
    refused = [(scripted, "torch.jit"), (quantized, "0 is quantized"), ({}, "dict is not a network"), (held, "such as its .ema")]
    for network, message in refused:
        with pytest.raises(UserError, match=message):
            audit(network, IMAGES)


def test_a_network_that_may_be_quantized_later_is_no_quantized_one():
    network = with_dead(Added)
    assert audit(network, IMAGES).features["removable"].any()


def test_what_other_tools_leave_in_a_module_is_no_obstacle():
    network = with_dead(Chain, 0.0)
    with warnings.catch_warnings(action="ignore"):
        nn.utils.weight_norm(network.second[0])
    l1_unstructured(network.classifier, "weight", 3)
    network.first.register_forward_hook(lambda part, inputs, found: 2 * found)
    network(IMAGES)  # leaves tensors with a gradient in the modules, which deepcopy refuses
    smaller, report = shrink(network, IMAGES)
    assert report.differences["relative"].max() <= 1e-4
    torch.testing.assert_close(smaller.eval()(IMAGES), network.eval()(IMAGES))
    compiled = torch.compile(with_dead(Chain, 0.0), backend="eager")
    smaller, report = shrink(nn.DataParallel(compiled), IMAGES)
    assert report.features["removable"].any()
    assert gap(with_dead(Chain, 0.0), smaller, IMAGES) <= 1e-6


def test_each_output_is_compared_by_its_own_size():
    inputs, large = (IMAGES,), torch.full((2,), 1e12)
    found = differing(torch.float64, "random", inputs, [large, torch.tensor([1.0])], [large, torch.tensor([1.5])])
    assert (found.absolute, found.relative) == (0.5, 0.5)
    nan = torch.tensor([float("nan"), 1.0])
    assert differing(torch.float64, "random", inputs, [nan], [nan]).relative == float("inf")
    endless = torch.tensor([float("inf"), 1.0])
    assert differing(torch.float64, "random", inputs, [endless], [endless]).relative == 0


def test_a_network_without_norms_says_so():
    _, report = shrink(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2)), IMAGES)
    assert any("no BatchNorm" in note for note in report.notes)
    assert report.before.parameters == report.after.parameters
