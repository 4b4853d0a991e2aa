"""`python -m full_scale audit | shrink`: what a person gives, what comes back, and how mistakes are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from full_scale.__main__ import main
from full_scale.models.basic_net import BasicNet
from full_scale.removal import load
from full_scale.removal.files.saving import HEADER

ROOT = Path(__file__).parents[2]
USERS_CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Linear(width, 2)

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).relu().mean((2, 3)))

class Untraceable(Net):
    def forward(self, images):
        return super().forward(images) * len([1 for image in images if image.sum() > 0])

class Pair(Net):
    def forward(self, images, others):
        return super().forward(images) + super().forward(others)

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))

def number():
    return 3

class Leaving(Net):
    def forward(self, images):
        raise SystemExit(7)

def leaving():
    return Leaving()
"""
NET = "users_nets:Net"
SIZE = ("--input", "1,1,6,6")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a person's own module, and weights of its network: feature 0 dead, feature 1 of scale 1e-4."""
    (tmp_path / "users_nets.py").write_text(USERS_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.save(state(), "weights.pt")
    yield tmp_path  # type: ignore[misc]
    sys.modules.pop("users_nets", None)


def state(width: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    net = nn.ModuleDict({"conv": nn.Conv2d(1, width, 3), "norm": nn.BatchNorm2d(width), "head": nn.Linear(width, 2)})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        net["norm"].weight[:] = torch.tensor([0.0, 1e-4, 1.0, 1.0] + [1.0] * (width - 4))  # type: ignore[operator]
        net["norm"].bias[:] = torch.tensor([0.5, -1.0, 1.0, -1.0] + [1.0] * (width - 4))  # type: ignore[operator]
    return net.state_dict()


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command line prints as JSON."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def kinds(found: Any) -> list[str]:
    """The kinds of the features that are filters; the outputs of the last linear map are listed too."""
    return [row["kind"] for row in found["features"] if row["layer"] != "head"]


def test_the_overview_names_every_verb_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in ("list", "show", "run", "audit", "shrink"))
    for words in ([], ["audti"]):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_asking_for_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom full_scale.__main__ import main\n"
        "assert main(['shrink', '--help']) == 0\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--multiple-of" in done.stdout


def test_audit_of_a_persons_own_network(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "audit", NET, "--weights", "weights.pt", *SIZE, "--out", "made/audit.json")
    assert kinds(found) == ["parameters", "alive", "alive", "alive"]
    assert found["features"][0]["constant"] == pytest.approx(0.5)
    assert json.loads(Path("made/audit.json").read_text(encoding="utf-8"))["features"] == found["features"]
    assert main(["audit", NET, "--weights", "weights.pt", *SIZE]) == 0
    assert "1 dead, 1 removable" in capsys.readouterr().out
    found = answer(capsys, "audit", NET, *SIZE, "--weights", "weights.pt", "--scale-threshold", "1e-3", "--input-range=-1,1")
    assert kinds(found)[:2] == ["parameters", "certified"]


def test_arguments_of_a_callable_may_stand_anywhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state(6), "wide.pt")
    assert len(kinds(answer(capsys, "audit", NET, "--weights", "wide.pt", "width=6", *SIZE))) == 6


def test_a_network_of_two_inputs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("users_nets:Pair", "--weights", "weights.pt", *SIZE, "--input", "1,1,8,5")
    assert kinds(answer(capsys, "audit", *words)) == ["parameters", "alive", "alive", "alive"]
    assert answer(capsys, "shrink", *words, "--out", "small.pt2")["features"][0]["removable"]
    program = torch.export.load("small.pt2").module()
    assert program(torch.randn(3, 1, 6, 6), torch.randn(3, 1, 8, 5)).shape == (3, 2)


def test_its_own_weights_will_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds(answer(capsys, "audit", NET, *SIZE)) == ["alive"] * 4


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda weights: weights,
    "parallel": lambda weights: {f"module.{name}": value for name, value in weights.items()},
    "compiled": lambda weights: {f"module._orig_mod.{name}": value for name, value in weights.items()},
    "state_dict": lambda weights: {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in weights.items()}},
    "model": lambda weights: {"model": weights, "optimizer": {"state": {}}},
    "old": lambda weights: {name: value for name, value in weights.items() if "num_batches" not in name},
    "half": lambda weights: {name: value.half() if value.is_floating_point() else value for name, value in weights.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_as_training_programs_save_them(wrapping: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(WRAPPINGS[wrapping](state()), "kept.pt")
    assert kinds(answer(capsys, "audit", NET, "--weights", "kept.pt", *SIZE))[0] == "parameters"


def test_an_option_says_which_of_two_weights(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": {name: value + 1 for name, value in state().items()}, "ema": state()}, "kept.pt")
    choose = ("audit", NET, "--weights", "kept.pt", *SIZE, "--weights-key")
    assert [kinds(answer(capsys, *choose, key))[0] for key in ("model", "ema")] == ["alive", "parameters"]


def test_weights_of_another_pickle_protocol_are_read_without_a_word(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state(), "kept.pt", pickle_protocol=3)
    assert main(["audit", NET, "--weights", "kept.pt", *SIZE]) == 0
    assert not capsys.readouterr().err


def test_a_pickle_protocol_that_torch_does_not_read_is_named(here: Path, refuses: Callable[..., None]) -> None:
    torch.save(state(), "kept.pt", pickle_protocol=4)
    refuses(lambda: main(["audit", NET, "--weights", "kept.pt", *SIZE]), "pickle protocol")


def test_weights_as_safetensors(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    save_file(state(), "weights.safetensors")
    assert kinds(answer(capsys, "audit", NET, "--weights", "weights.safetensors", *SIZE))[0] == "parameters"


def test_shrink_writes_what_can_be_loaded_and_audited_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import users_nets  # type: ignore[import-not-found]

    words = ["shrink", NET, "--weights", "weights.pt", *SIZE, "--out", "small.safetensors"]
    report = answer(capsys, *words)
    assert report["after"]["parameters"] < report["before"]["parameters"]
    assert json.loads(Path("small.json").read_text(encoding="utf-8")) == report
    small, whole = load("small.safetensors", users_nets.Net).eval(), users_nets.Net().eval()
    whole.load_state_dict(state())
    images = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(small(images), whole(images))
    assert kinds(answer(capsys, "audit", NET, "--weights", "small.safetensors", *SIZE)) == ["alive"] * 3
    before = Path("small.safetensors").read_bytes()
    assert main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force", "--multiple-of", "4"]) == 0
    assert Path("small.safetensors").read_bytes() != before
    capsys.readouterr()
    assert kinds(answer(capsys, "audit", NET, "--weights", "small.safetensors", *SIZE)) == ["parameters"] + ["alive"] * 3


@pytest.mark.parametrize("file", ["images.npy", "images.npz", "several.npz"])
def test_features_that_are_silent_on_images_go_only_if_asked(file: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On black images everything is constant; the second half of these files is not black, and is left out."""
    images = np.zeros((8, 1, 6, 6), np.float32)
    images[4:] = np.random.default_rng(0).normal(size=(4, 1, 6, 6)) * 100
    np.save("images.npy", images)
    np.savez("images.npz", images)
    np.savez("several.npz", labels=np.zeros(8), images=images)
    words = (NET, "--weights", "weights.pt", *SIZE, "--data", file, "--most-images", "4")
    assert kinds(answer(capsys, "audit", *words)) == ["parameters"] + ["silent"] * 3
    exact, inexact = (answer(capsys, "shrink", *words, *more) for more in ([], ["--silent", "--tolerance", "1e9"]))
    assert [row["removable"] for row in exact["features"]][:4] == [True, False, False, False]
    assert inexact["after"]["parameters"] < exact["after"]["parameters"]
    assert (exact["changes"], len(inexact["changes"]) > 0) == ([], True)


def test_a_record_says_the_network_but_holds_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["network.width=0.0625", "batch_size=20", "steps=2", "measurements=1"]
    assert main(["run", "digits", *overrides, "--seeds", "1", "--runs", str(tmp_path)]) == 0
    capsys.readouterr()
    record = next(path.parent for path in tmp_path.rglob("manifest.json"))
    assert main(["audit", str(record)]) == 2
    assert "holds no weights: give them with --weights FILE" in capsys.readouterr().err
    network = BasicNet(width=0.0625).build((1, 8, 8), 10, 0)
    with torch.no_grad():
        network.layers[0].norm.weight[0] = 0
    torch.save(network.module.state_dict(), tmp_path / "weights.pt")
    from_record = answer(capsys, "audit", str(record), "--weights", str(tmp_path / "weights.pt"))
    assert kinds(from_record).count("parameters") == 1
    by_name = ("basic_net", "width=0.0625", "--input", "1,1,8,8", "--data", "digits", "--most-images", "9")
    assert kinds(answer(capsys, "audit", *by_name, "--weights", str(tmp_path / "weights.pt"))).count("parameters") == 1
    assert main(["audit", str(record), "--weights", str(tmp_path / "weights.pt"), "width=2"]) == 2
    assert "a record says what its network is" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [("audit", "made.json"), ("shrink", "made.safetensors")])
def test_a_link_to_nothing_is_not_replaced_either(verb: tuple[str, str], here: Path, refuses: Callable[..., None]) -> None:
    Path(verb[1]).symlink_to("nowhere")
    refuses(lambda: main([verb[0], NET, "--weights", "weights.pt", *SIZE, "--out", verb[1]]), "--force")
    assert Path(verb[1]).is_symlink()


def test_nothing_to_remove_is_no_mistake(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("audit", "shrink"):
        assert main([verb, "users_nets:plain", *SIZE]) == 0
        assert capsys.readouterr().out.endswith("nothing to remove\n")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([NET], "--input is missing"),
        ([NET, "--input", "1,x"], "--input"),
        ([NET, "--input", "1,1,99999999999999999999,8"], "--input"),
        ([NET, "--input", "1,1,99999999,99999999"], "at most"),
        ([NET, *SIZE, "--classes", "100000000000"], "--classes"),
        ([NET, "--input", "1,3,6,6"], "does not run on an input of shape"),
        ([NET, *SIZE, "--weights", "absent.pt"], "there is no file absent.pt"),
        ([NET, *SIZE, "--weights", "module.pt"], "pickled module"),
        ([NET, *SIZE, "--weights", "text.pt"], "cannot be read as weights"),
        ([NET, *SIZE, "--weights", "text.safetensors"], "not a safetensors file"),
        ([NET, *SIZE, "--weights", "list.pt"], "holds no weights"),
        ([NET, *SIZE, "--weights", "wide.pt"], "conv.weight has shape (6, 1, 3, 3) in the file and (4, 1, 3, 3) in the network"),
        ([NET, *SIZE, "--weights", "part.pt"], "head.bias is not in the file"),
        ([NET, *SIZE, "--weights", "more.pt"], "tail.bias is not in the network"),
        ([NET, *SIZE, "--weights", "nan.pt"], "NaN"),
        ([NET, *SIZE, "--weights", "sparse.pt"], "head.bias holds no plain numbers"),
        ([NET, *SIZE, "--weights", "complex.pt"], "head.bias holds complex64"),
        ([NET, *SIZE, "--weights", "whole.pt"], "head.bias holds int64"),
        ([NET, *SIZE, "--weights", "negative.pt"], "norm.running_var is negative"),
        ([NET, *SIZE, "--weights", "numbered.pt"], "1 is not in the network"),
        ([NET, *SIZE, "--weights", "double.pt"], "2 times, under model, ema: choose by --weights-key ema"),
        ([NET, *SIZE, "--weights", "double.pt", "--weights-key", "mean"], "--weights-key mean is not in double.pt"),
        ([NET, *SIZE, "--weights-key", "ema"], "--weights-key"),
        ([NET, *SIZE, "--weights", "deep.safetensors", "--weights-key", "ema"], "--weights-key"),
        ([NET, *SIZE, "--weights", "deep.safetensors"], "does not say the sizes of its modules"),
        ([NET, *SIZE, "--weights", "huge.safetensors"], "cannot be read as weights"),
        (["users_nets:leaving", *SIZE], "sys.exit(7)"),
        (["users_nets:Untraceable", *SIZE], "cannot be traced"),
        (["users_nets:number", *SIZE], "gives a int"),
        (["users_nets:absent", *SIZE], "a function or class"),
        (["no_such_module:Net", *SIZE], "cannot be imported"),
        ([NET, *SIZE, "depth=3"], "cannot be called"),
        (["basic_net", "--input", "1,1,8,8"], "holds no weights"),
        (["basic_net", "depth=3", "--input", "1,1,8,8", "--weights", "weights.pt"], "unknown field 'depth'"),
        (["basic_net", "--input", "1,8", "--weights", "weights.pt"], "four numbers"),
        (["basic_net", *SIZE, *SIZE, "--weights", "weights.pt"], "one input for this network"),
        (["transformer", *SIZE], "basic_net"),
        (["."], "manifest.json"),
        ([NET, *SIZE, "--data", "absent.npy"], "cannot be read as images"),
        ([NET, *SIZE, "--data", "bytes.npy"], "uint8"),
        ([NET, *SIZE, "--data", "nan.npy"], "not finite"),
        ([NET, *SIZE, "--data", "none.npy"], "no images"),
        ([NET, *SIZE, "--data", "objects.npy"], "cannot be read as images"),
        ([NET, *SIZE, "--data", "long.npy"], "longdouble" if np.dtype(np.longdouble).itemsize == 8 else "float128"),
        ([NET, *SIZE, "--data", "empty.npz"], "no array"),
        ([NET, *SIZE, "--data", "folder.npy"], "no regular file"),
        ([NET, *SIZE, "--data", "emnist"], "digits"),
        ([NET, *SIZE, "--most-images", "0"], "--most-images"),
        ([NET, *SIZE, "--input-range=1"], "--input-range"),
        ([NET, *SIZE, "--input-range=1,-1"], "input_range"),
        ([NET, *SIZE, "--scale-threshold=-1"], "scale_threshold"),
    ],
)
def test_mistakes_are_refused_in_one_line(words: list[str], named: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import users_nets

    whole = state()
    torch.save(users_nets.Net(), "module.pt")
    torch.save([1, 2], "list.pt")
    torch.save(state(6), "wide.pt")
    torch.save({name: value for name, value in whole.items() if name != "head.bias"}, "part.pt")
    torch.save(whole | {"tail.bias": torch.zeros(1)}, "more.pt")
    torch.save(whole | {"head.bias": torch.full((2,), torch.nan)}, "nan.pt")
    torch.save(whole | {"head.bias": torch.zeros(2).to_sparse()}, "sparse.pt")
    torch.save(whole | {"head.bias": torch.zeros(2, dtype=torch.complex64)}, "complex.pt")
    torch.save(whole | {"head.bias": torch.zeros(2, dtype=torch.int64)}, "whole.pt")
    torch.save(whole | {"norm.running_var": torch.full((4,), -1.0)}, "negative.pt")
    torch.save({"model": whole, "ema": dict(whole)}, "double.pt")
    torch.save({1: torch.zeros(2)} | whole, "numbered.pt")
    safetensors.torch.save_file({"a": torch.zeros(1)}, "deep.safetensors", metadata={HEADER: "[" * 100_000})
    header = json.dumps({"a": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}).encode()
    Path("huge.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    np.save("long.npy", np.zeros((4, 1, 6, 6), np.longdouble))
    np.savez("empty.npz")
    Path("folder.npy").mkdir()
    for name in ("text.pt", "text.safetensors"):
        Path(name).write_text("these are no weights at all")
    np.save("bytes.npy", np.zeros((4, 1, 6, 6), np.uint8))
    np.save("nan.npy", np.full((4, 1, 6, 6), np.nan))
    np.save("none.npy", np.zeros((0, 1, 6, 6)))
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    assert main(["audit", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert named in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--out", "small.pth"], "safetensors"),
        (["--out", "weights.safetensors"], "--force"),
        (["--silent"], "silent"),
        (["--multiple-of", "0"], "multiple_of"),
        (["--tolerance", "0"], "tolerance"),
    ],
)
def test_mistakes_of_shrinking(words: list[str], named: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("weights.safetensors").write_text("kept")
    assert main(["shrink", NET, *SIZE, "--weights", "weights.pt", *words]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert Path("weights.safetensors").read_text() == "kept"


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", NET, "--wieghts", "weights.pt"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--weights" in told
