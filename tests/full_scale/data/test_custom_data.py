"""A user's own data, by the path of a callable."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from full_scale.data.base import AbstractDataset, Examples
from full_scale.data.custom_data import CustomData
from mechanisms.records.specs import from_json, make_choice, to_json
from mechanisms.validation import InvalidValue, UserError

HEADER = """
import numpy as np
import torch
from full_scale.data.base import Data, Examples
x = np.random.default_rng(0).random((20, 3, 5, 6))
y = np.arange(20) % 4
good = Examples(torch.zeros(8, 1, 4, 4), torch.arange(8))
def load():
    return """
NUMBERS = itertools.count()


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], CustomData]:
    """custom(expression): the data of a module whose function returns that."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(expression: str) -> CustomData:
        name = f"custom_data_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(HEADER + expression + "\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
        found = make_choice(AbstractDataset, f"custom:{name}:load", "data")
        assert isinstance(found, CustomData)
        return found

    return write


def test_arrays_are_normalized(custom: Callable[[str], CustomData]) -> None:
    dataset = custom("(x[:16], y[:16]), (x[16:], y[16:])")
    assert (dataset.shape, dataset.classes, dataset.train_size, dataset.test_size) == ((3, 5, 6), 4, 16, 4)
    train = dataset.load().train
    assert isinstance(train, Examples)
    x = np.random.default_rng(0).random((20, 3, 5, 6))[:16]
    expected = (x - x.mean(axis=(0, 2, 3), keepdims=True)) / x.std(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(train.images.numpy(), expected, rtol=0, atol=1e-5)
    assert from_json(CustomData, to_json(dataset)) == dataset


def test_grey_images_need_no_axis_for_it(custom: Callable[[str], CustomData]) -> None:
    assert custom("[(x[:, 0], y), (torch.from_numpy(x[:, 0]), y)]").shape == (1, 5, 6)


def test_data_are_taken_as_they_are(custom: Callable[[str], CustomData]) -> None:
    dataset = custom("Data(good, good)")
    assert (dataset.shape, dataset.classes) == ((1, 4, 4), 8)
    assert torch.equal(dataset.load().test.labels, torch.arange(8))


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("1 / 0", "it fails without arguments .*ZeroDivisionError"),
        ("x, y", "it must return"),
        ("None", "it must return"),
        ("(x, y[:3]), (x, y)", r"y_train is int64 of shape \(3,\): use 20 whole numbers"),
        ("(x, y * 1.0), (x, y)", "y_train is float64"),
        ("(x, y), (x[..., 0, 0], y)", r"x_test is float64 of shape \(20, 3\)"),
        ("(x[:0], y[:0]), (x, y)", "x_train is float64"),
        ("(x.astype(str), y), (x, y)", "x_train is <U"),
        ("(x, y - 1), (x, y)", "train labels must be class numbers from 0 on"),
        ("(x, y), (x, y + 1)", "test label 4 is not among the training labels"),
        ("(x, y), (x[:, :, 1:], y)", "different shapes"),
        ("(x, y * 0 + 2), (x, y)", "every training label is 2: give images of two classes at least"),
        ("Data(Examples(good.images, good.labels * 0), good)", "every training label is 0"),
        ("(x.transpose(0, 2, 3, 1), y), (x.transpose(0, 2, 3, 1), y)", r"shape \(20, 5, 6, 3\) .* with channels last: transpose"),
        ("(np.where(x > 0.9, np.nan, x), y), (x, y)", "train images hold values that are not finite"),
        ("(x, y), (x / (x < 0.9), y)", "test images hold values that are not finite"),
        ("Data(good, 3)", "its test part holds no examples"),
        ("Data(good, Examples(good.images.double(), good.labels))", "test images are torch.float64"),
        ("Data(good, Examples(good.images[1:], good.labels))", "one a label"),
        ("Data(Examples(good.images, good.labels.int()), good)", "train labels must be class numbers"),
        ("Data(Examples(good.images[..., 1:], good.labels), good)", "different shapes"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_other_data_are_refused_in_one_line(expression: str, text: str, custom: Callable[[str], CustomData]) -> None:
    with pytest.raises(UserError, match=text) as caught:
        custom(expression).load()
    assert "\n" not in str(caught.value)


def test_paths_that_lead_nowhere_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"PACKAGE\.MODULE:CALLABLE"):
        make_choice(AbstractDataset, "custom:nowhere", "data")
    with pytest.raises(UserError, match="module no_such_package cannot be imported"):
        CustomData("no_such_package:load").load()
    with pytest.raises(UserError, match="use a function or class that module json has"):
        CustomData("json:lode").load()
