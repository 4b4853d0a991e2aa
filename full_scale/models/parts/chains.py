"""Chains of layers that several networks are made of."""

from __future__ import annotations

from torch import nn

from full_scale.models.choices import normalization_layer


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size of the map at stride 1."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def normalized(maker: nn.Conv2d | nn.Linear, number: str, normalization: str = "batch") -> dict[str, nn.Module]:
    """The named parts maker → normalization (unless "none") → ReLU; the first is called "conv…" or "fc…" with that number."""
    flat = isinstance(maker, nn.Linear)
    norm = normalization_layer(normalization, maker.weight.shape[0], flat)
    prefix = "fc_" if flat else ""
    parts: dict[str, nn.Module | None] = {
        f"{'fc' if flat else 'conv'}{number}": maker,
        f"{prefix}norm{number}": norm,
        f"{prefix}relu{number}": nn.ReLU(),
    }
    return {name: part for name, part in parts.items() if part is not None}


def named_chain(parts: dict[str, nn.Module]) -> nn.Sequential:
    """The parts one after the other, under their names."""
    chain = nn.Sequential()
    for name, part in parts.items():
        chain.add_module(name, part)
    return chain
