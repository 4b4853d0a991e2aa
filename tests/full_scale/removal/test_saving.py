"""A smaller network on disk: the same network comes back, in another process too, and nothing else is taken for one."""

import subprocess
import sys

import pytest
import torch
from torch import nn

pytest.importorskip("safetensors", reason="saving needs the package safetensors")

from full_scale.removal import load, save, shrink
from full_scale.removal.files.saving import HEADER
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import STRUCTURES, Chain, Residual, with_dead
from tests.full_scale.removal.test_norms import NORMS, RECURRENT

IMAGES = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", ["chain", "grouped", "residual", "one-by-one without norm", "activation PReLU", "transposed", "U-Net"]
)
def test_what_is_loaded_is_what_was_saved(name, tmp_path):
    smaller, _ = shrink(with_dead(STRUCTURES[name]), IMAGES)
    save(smaller, tmp_path / "small.safetensors")
    for into in (STRUCTURES[name], STRUCTURES[name]()):
        loaded = load(tmp_path / "small.safetensors", into)
        assert str(loaded) == str(smaller)
        assert torch.equal(loaded.eval()(IMAGES), smaller.eval()(IMAGES))
        assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in smaller.parameters()]


@pytest.mark.parametrize("name", ["a group that is dead, in groups", "instance norm", "LSTM without bias"])
def test_groups_and_recurrent_layers_are_loaded_as_they_were_saved(name, tmp_path):
    build = {**NORMS, **RECURRENT}[name]
    smaller, report = shrink(with_dead(build, 0.0), IMAGES)
    save(smaller, tmp_path / "small.safetensors")
    loaded = load(tmp_path / "small.safetensors", build)
    assert report.features["removable"].any()
    assert str(loaded) == str(smaller)
    assert torch.equal(loaded.eval()(IMAGES), smaller.eval()(IMAGES))


def test_a_fresh_process_loads_it(tmp_path):
    smaller, _ = shrink(with_dead(Chain), IMAGES)
    save(smaller, tmp_path / "small.safetensors")
    code = (
        "import sys, torch\n"
        "from full_scale.removal import load\n"
        "from tests.full_scale.removal.structures import Chain\n"
        "network = load(sys.argv[1], Chain).eval()\n"
        "print(network(torch.ones(1, 3, 12, 12)).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "small.safetensors")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = torch.tensor([[float(number) for number in done.stdout.strip("[]\n").split(",")]])
    torch.testing.assert_close(printed, smaller.eval()(torch.ones(1, 3, 12, 12)), rtol=1e-5, atol=1e-6)


class Scaled(nn.Module):
    """Multiplies channels by a buffer that is not in the state_dict."""

    def __init__(self):
        super().__init__()
        self.chain = Chain()
        self.register_buffer("scale", torch.arange(1.0, 9).view(8, 1, 1), persistent=False)

    def forward(self, x):
        return self.chain.second(self.chain.first(x) * self.scale).mean((2, 3))


def test_buffers_outside_of_the_state_dict_come_back_too(tmp_path):
    smaller, _ = shrink(with_dead(Scaled, 0.0), IMAGES)
    assert smaller.scale.shape == (5, 1, 1)
    save(smaller, tmp_path / "small.safetensors")
    assert torch.equal(load(tmp_path / "small.safetensors", Scaled).eval()(IMAGES), smaller.eval()(IMAGES))


def test_shared_weights_stay_shared(tmp_path):
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    network[2].weight = network[0].weight
    save(network, tmp_path / "tied.safetensors")
    fresh = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    loaded = load(tmp_path / "tied.safetensors", fresh)
    assert loaded[2].weight is loaded[0].weight
    assert torch.equal(loaded[0].weight, network[0].weight)
    assert fresh[2].weight is not fresh[0].weight


def without_norm(network):
    network.first[1] = nn.BatchNorm2d(8, track_running_stats=False)
    return network


def with_flat_weight(network):
    network.first[0].weight = nn.Parameter(torch.zeros(8, 27))
    return network


@pytest.mark.parametrize(
    ("into", "message"),
    [
        (lambda: Chain(Residual()), "another network"),
        (lambda: Chain(kernel=1, bias=True, padding=0), "another network"),
        (lambda: "chain", "not a network"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), "another network"),
        (
            lambda: without_norm(Chain()),
            "file alone: .*first.1.running_mean, .*; in the network alone: nothing",
        ),
        (lambda: with_flat_weight(Chain()), r"first.0.weight has shape \(8, 3, 3, 3\) there and \(8, 27\) here"),
    ],
)
def test_another_network_is_refused(into, message, tmp_path):
    save(with_dead(Chain), tmp_path / "small.safetensors")
    with pytest.raises(UserError, match=message) as refusal:
        load(tmp_path / "small.safetensors", into)
    assert "\n" not in str(refusal.value)


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "text").write_text("text")
    save_file({"weight": torch.zeros(1)}, tmp_path / "plain")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pickled")
    for name, message in {
        "text": "not a safetensors",
        "plain": "does not say",
        "pickled": "not a safetensors",
        "no": "not a file",
    }.items():
        with pytest.raises(UserError, match=message) as refusal:
            load(tmp_path / name, Chain)
        assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="exists"):
        save(with_dead(Chain), tmp_path / "text")
    with pytest.raises(UserError, match="exists"):
        save(with_dead(Chain), tmp_path)
    with pytest.raises(UserError, match="could not be written"):
        save(with_dead(Chain), tmp_path / "text" / "small.safetensors")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pickled", "plain", "text"]


HEADERS = (
    *("{", "[1]", "{}", '{"format": 1}', '{"format": 1, "modules": [1], "same": {}}', '{"format": 2, "modules": {}, "same": {}}'),
    *('{"format": 1, "modules": {"": {}}, "same": {}}', '{"format": 1, "modules": {"": {"class": "Chain"}}, "same": {"a": "b"}}'),
)


@pytest.mark.parametrize("header", HEADERS)
def test_damaged_headers_are_refused(header, tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, tmp_path / "file", metadata={HEADER: header})
    with pytest.raises(UserError, match="does not say") as refusal:
        load(tmp_path / "file", Chain)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("left", [0, 20, 0.5, 0.999])
def test_truncated_files_are_refused(left, tmp_path):
    save(with_dead(Chain), tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "part").write_bytes(content[: int(left * len(content)) if 0 < left < 1 else left])
    with pytest.raises(UserError, match="not a safetensors file") as refusal:
        load(tmp_path / "part", Chain)
    assert "\n" not in str(refusal.value)
