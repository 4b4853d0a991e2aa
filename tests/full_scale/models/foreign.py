"""Layers as other packages write them: derived from torch's, or alike in what they hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class NormAct(nn.BatchNorm2d):
    """A normalization with its activation inside, and torch's own function in between."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        """The maps of the next layer."""
        normed = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps
        )
        return self.act(self.drop(normed))  # type: ignore[no-any-return]


class Frozen(nn.Module):
    """A normalization that does not learn: four buffers."""

    def __init__(self, features: int) -> None:
        super().__init__()
        for name, start in (
            ("weight", torch.ones),
            ("bias", torch.zeros),
            ("running_mean", torch.zeros),
            ("running_var", torch.ones),
        ):
            self.register_buffer(name, start(features))

    def forward(self, x: Tensor) -> Tensor:
        """Scaled and shifted."""
        scale = self.weight * (self.running_var + 1e-5).rsqrt()  # type: ignore[operator]
        return x * scale.reshape(1, -1, 1, 1) + (self.bias - self.running_mean * scale).reshape(1, -1, 1, 1)  # type: ignore[operator]


class Padded(nn.Conv2d):
    """A convolution that pads by the size of what it gets."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps of the same size."""
        rest = input.shape[-1] % 2
        return functional.conv2d(functional.pad(input, [1, 1 + rest, 1, 1 + rest]), self.weight, self.bias)


class Tokens(nn.Module):
    """The feed-forward part of a transformer, on tokens (N, T, 8)."""

    def __init__(self, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)
        self.act = activation or nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the same shape."""
        return x + self.b(self.act(self.a(self.norm(x))))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Maps to tokens, a layer of torch's own that is not looked into, and class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, 3)."""
        tokens = functional.relu(self.norm(self.conv(images))).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))  # type: ignore[no-any-return]
