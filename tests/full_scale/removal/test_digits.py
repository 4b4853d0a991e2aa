"""The practical payoff, end to end: a network trained on digits loses most of its parameters and none of its predictions."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from full_scale.data.digits import Digits
from full_scale.models.basic_net import BasicNet
from full_scale.removal import audit, shrink, shrink_training
from full_scale.removal.assessment import CERTIFIED, PARAMETERS, SILENT
from full_scale.removal.files.export import write_onnx
from mechanisms.records.rng import stream

STEPS, BATCH = 500, 128


def digits():
    """Training images, their labels, and test images."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = stream(0, "digits_split").permutation(len(labels))
    images = torch.from_numpy(pixels[order]).float().reshape(-1, 1, 8, 8)
    images = (images - images[: Digits.train_size].mean()) / images[: Digits.train_size].std()
    return images[: Digits.train_size], torch.from_numpy(labels[order])[: Digits.train_size], images[Digits.train_size :]


@pytest.fixture(scope="module")
def trained():
    images, labels, test = digits()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network = BasicNet().build((1, 8, 8), 10, 0).module
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        rows = torch.randint(len(images), (BATCH,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(network(images[rows]), labels[rows]).backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return network, optimizer, images, test


@torch.no_grad()
def predictions(network, images):
    return network.eval()(images).argmax(1)


def test_silent_filters_go_and_predictions_stay(trained):
    network, _, images, test = trained
    smaller, report = shrink(network, images[:1], data=images, silent=True)
    assert torch.equal(predictions(smaller, test), predictions(network, test))
    assert report.after.parameters < report.before.parameters / 2
    assert report.before.milliseconds > 0 < report.after.milliseconds
    assert report.differences["relative"].max() <= 1e-4
    kinds = report.features["kind"].value_counts()
    assert kinds[SILENT] > 0


def test_the_smaller_network_agrees_as_onnx(trained, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
    pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
    network, _, images, test = trained
    smaller, _ = shrink(network, images[:1], data=images, silent=True)
    write_onnx(smaller.eval(), images[:1], tmp_path / "small.onnx")
    session = runtime.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: test.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), smaller(test), rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.from_numpy(found).argmax(1), predictions(network, test))


def test_silence_is_never_called_certified(trained):
    network, _, images, _ = trained
    low, high = images.min().item(), images.max().item()
    kinds = audit(network, images[:1], data=images, input_range=(low, high)).features["kind"].value_counts()
    exact, report = shrink(network, images[:1], input_range=(low, high))
    assert report.is_exact
    assert report.features["kind"].isin([CERTIFIED, PARAMETERS]).sum() == kinds.get(CERTIFIED, 0) + kinds.get(PARAMETERS, 0)
    assert torch.equal(predictions(exact, images), predictions(network, images))


def test_a_training_goes_on_smaller(trained):
    network, optimizer, images, _ = trained
    smaller, carried, report = shrink_training(network, optimizer, images[:2], data=images, silent=True)
    assert report.after.parameters < report.before.parameters / 2
    cross_entropy(smaller(images[:64]), predictions(network, images[:64])).backward()
    carried.step()
    assert all(torch.isfinite(parameter).all() for parameter in smaller.parameters())
