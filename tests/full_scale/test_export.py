"""Exported networks do what the smaller network does, where nothing of this package is imported, or nothing is written."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from full_scale.removal import Report, load, shrink
from full_scale.removal.files import export
from full_scale.removal.files.export import FORMATS, destinations, write
from mechanisms.validation import UserError

LOADING = """
import sys, numpy, torch
network = torch.export.load(sys.argv[1]).module()
numpy.save(sys.argv[3], network(torch.from_numpy(numpy.load(sys.argv[2]))).detach().numpy())
assert not [name for name in sys.modules if name.split(".")[0] in ("full_scale", "mechanisms")]
"""
EXAMPLE = torch.zeros(1, 3, 8, 8)


class Residual(nn.Module):
    """A residual block with a pool and a head, some of its features dead with a constant output that is not 0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)
        with torch.no_grad():
            for norm in (self.norm1, self.norm2):
                norm.weight[::2], norm.bias[::4] = 0.0, 0.5

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(images)))
        x = torch.relu(self.norm2(self.conv2(x)) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def smaller() -> tuple[nn.Module, Report]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return shrink(Residual(), EXAMPLE)


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def expected(network: nn.Module) -> np.ndarray:
    return network.eval()(images()).numpy()


def test_a_program_is_read_without_this_package(smaller: tuple[nn.Module, Report], tmp_path: Path) -> None:
    network, report = smaller
    assert report.after.parameters < report.before.parameters
    files = write(network, report, EXAMPLE, tmp_path / "small.pt2")
    assert sorted(tmp_path.iterdir()) == sorted(files) == [tmp_path / "small.json", tmp_path / "small.pt2"]
    np.save(tmp_path / "in.npy", images().numpy())
    arguments = [str(tmp_path / name) for name in ("small.pt2", "in.npy", "out.npy")]
    done = subprocess.run([sys.executable, "-c", LOADING, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(network), rtol=1e-5, atol=1e-6)


def test_onnx_agrees_under_onnxruntime(smaller: tuple[nn.Module, Report], tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
    pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
    write(*smaller, EXAMPLE, tmp_path / "small.onnx")
    session = runtime.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images().numpy()})
    np.testing.assert_allclose(found, expected(smaller[0]), rtol=1e-5, atol=1e-6)


def test_a_folder_gets_both_of_our_formats(smaller: tuple[nn.Module, Report], tmp_path: Path) -> None:
    files = write(*smaller, EXAMPLE, tmp_path / "made" / "here")
    assert [file.name for file in files] == ["network.safetensors", "network.pt2", "network.json"]
    assert sorted((tmp_path / "made" / "here").iterdir()) == sorted(files)
    again = load(files[0], Residual)
    np.testing.assert_array_equal(expected(again), expected(smaller[0]))
    assert "differences" in files[2].read_text(encoding="utf-8")
    assert len({file.stat().st_mode for file in files}) == 1


def test_what_is_there_is_replaced_only_when_all_is_written(
    smaller: tuple[nn.Module, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "network.safetensors").write_text("kept")

    def refuse(network: nn.Module, example: Tensor, file: Path) -> None:
        file.write_text("half")
        raise UserError("no such program")

    monkeypatch.setitem(FORMATS, ".pt2", refuse)
    with pytest.raises(UserError, match="no such program"):
        write(*smaller, EXAMPLE, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["network.safetensors"]
    assert (tmp_path / "network.safetensors").read_text() == "kept"
    monkeypatch.undo()
    write(*smaller, EXAMPLE, tmp_path)
    assert (tmp_path / "network.safetensors").stat().st_size > 1000


def test_another_function_is_refused(smaller: tuple[nn.Module, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = export._program

    def wrong(network: nn.Module, two: Tensor) -> torch.export.ExportedProgram:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.head.bias.add_(1)  # type: ignore[operator, union-attr]
        return exported(other, two)

    monkeypatch.setattr(export, "_program", wrong)
    with pytest.raises(UserError, match="another function"):
        write(*smaller, EXAMPLE, tmp_path / "small.pt2")
    assert not list(tmp_path.iterdir())


class Counting(nn.Module):
    """Counts its images in Python, which no program can."""

    def forward(self, images: Tensor) -> Tensor:
        return images * len([1 for image in images if image.sum() > 0])


@pytest.mark.parametrize(
    ("out", "network", "named"),
    [
        ("small.pth", None, "safetensors"),
        ("small.pt2", Counting(), "cannot be exported"),
        ("small.onnx", Counting(), "cannot be exported"),
        ("taken/small.pt2", None, "could not be written"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(
    smaller: tuple[nn.Module, Report], tmp_path: Path, out: str, network: nn.Module | None, named: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=named) as caught:
        write(network or smaller[0], smaller[1], EXAMPLE, tmp_path / out)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_onnx_without_its_packages_says_what_to_install(
    smaller: tuple[nn.Module, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"onnxscript: pip install .*\[onnx\]"):
        write(*smaller, EXAMPLE, tmp_path / "small.onnx")
    assert not list(tmp_path.iterdir())


def test_destinations_are_known_before_anything_is_computed() -> None:
    assert destinations(Path("a/b.safetensors")) == [Path("a/b.safetensors"), Path("a/b.json")]
