"""Small networks and optimizers that are looked at while they train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.models.basic_net import BasicNet

RATE, STRENGTH = 0.02, 0.03


def images(count: int = 12, side: int = 8) -> Tensor:
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(1))


def small_net() -> Any:
    return BasicNet(width=0.03125).build((1, 8, 8), 10, 0)


def random_gradients(module: nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def optimizer_of(name: str, parameters: Any, **options: Any) -> torch.optim.Optimizer:
    make: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, name)
    return make(parameters, **({"lr": RATE, "weight_decay": STRENGTH} | options))
