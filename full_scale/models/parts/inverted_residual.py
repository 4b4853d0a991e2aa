"""The block of MobileNetV2."""

from __future__ import annotations

from torch import Tensor, nn

from full_scale.models.parts.chains import convolution


class InvertedResidual(nn.Module):
    """x + norm3(conv3(relu2(norm2(conv2(relu1(norm1(conv1 x))))))), without "x +" where the shape changes.

    conv1 (1 × 1) multiplies the channels by `expansion` and is left out at 1, conv2 is depthwise 3 × 3, conv3 is 1 × 1 without
    activation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.is_residual = stride == 1 and inputs == outputs
        self.chain = nn.Sequential()
        if expansion > 1:
            self._add(1, convolution(inputs, inner, 1))
        self._add(2, convolution(inner, inner, 3, stride, groups=inner))
        self._add(3, convolution(inner, outputs, 1), nonlinear=False)

    def _add(self, number: int, conv: nn.Conv2d, nonlinear: bool = True) -> None:
        self.chain.add_module(f"conv{number}", conv)
        self.chain.add_module(f"norm{number}", nn.BatchNorm2d(conv.out_channels))
        if nonlinear:
            self.chain.add_module(f"relu{number}", nn.ReLU6())

    def forward(self, maps: Tensor) -> Tensor:
        """The maps that the next block reads."""
        added: Tensor = self.chain(maps)
        return maps + added if self.is_residual else added
