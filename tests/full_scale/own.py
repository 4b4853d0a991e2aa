"""Networks and data that a test makes, under the paths by which specs find them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from full_scale.data.base import Data, Examples
from full_scale.data.custom_data import CustomData
from full_scale.models.custom_network import CustomNetwork

NUMBERS = itertools.count()


def own_network(make: Callable[[Any, int], torch.nn.Module], monkeypatch: pytest.MonkeyPatch) -> CustomNetwork:
    return CustomNetwork(_path(make, monkeypatch))


def own_data(train: Examples, test: Examples, monkeypatch: pytest.MonkeyPatch) -> CustomData:
    return CustomData(_path(lambda: Data(train, test), monkeypatch))


def _path(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """Another path each time, because data are kept by it."""
    module: Any = ModuleType(f"own_{next(NUMBERS)}")
    module.make = make
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return f"{module.__name__}:make"


def pixels(values: list[float], labels: list[int] | None = None) -> Examples:
    """Images of one pixel each, of class 0 where nothing else is said."""
    return Examples(torch.tensor(values).view(-1, 1, 1, 1), torch.tensor(labels or [0] * len(values)))
