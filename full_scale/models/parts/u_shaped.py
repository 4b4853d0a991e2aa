"""The body of a U-Net: down, up, and what is handed across."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from full_scale.models.parts.chains import convolution, named_chain, normalized


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Twice 3 × 3 convolution → BatchNorm → ReLU."""
    return named_chain(normalized(convolution(inputs, outputs, 3), "1") | normalized(convolution(outputs, outputs, 3), "2"))


class UShaped(nn.Module):
    """Encoders and pools down, transposed convolutions and decoders up; each decoder also reads the encoder of its size.

    `channels` are those of each size, from the largest map to the smallest.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        made = (inputs, *channels)
        self.encoders = nn.ModuleList(map(double_convolution, made, channels))
        self.pools = nn.ModuleList(nn.MaxPool2d(2) for _ in channels[1:])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(made[n + 1], made[n], 2, stride=2) for n in range(len(channels) - 1, 0, -1))
        self.decoders = nn.ModuleList(double_convolution(2 * made[n], made[n]) for n in range(len(channels) - 1, 0, -1))

    def forward(self, maps: Tensor) -> Tensor:
        """The maps of the last decoder, as high and wide as the input."""
        made: list[Tensor] = []
        for encoder, pool in zip(self.encoders, [None, *self.pools], strict=True):
            maps = encoder(maps if pool is None else pool(maps))
            made.append(maps)
        for up, decoder, skipped in zip(self.ups, self.decoders, reversed(made[:-1]), strict=True):
            maps = decoder(torch.cat((skipped, up(maps)), dim=1))
        return maps
