"""A perceptron with hidden layers, which are its features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from full_scale.models.base import AbstractArchitecture, Shape
from full_scale.models.choices import NORMALIZATIONS
from mechanisms.validation import require, require_choice, require_whole

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class MLP(AbstractArchitecture):
    """Hidden layers of (linear → normalization → ReLU) on the pixels in a row, then a linear layer.

    The default, 1,000 hidden units with BatchNorm before the activation, is the network that Yaguchi et al. (ICMLA 2018)
    trained on MNIST; `hidden=500,300` is another of theirs. A hidden layer has a bias only without normalization ("none").
    """

    name: ClassVar[str] = "mlp"
    hidden: tuple[int, ...] = (1000,)
    normalization: str = "batch"
    initialization: str = "he"

    def __post_init__(self) -> None:
        require(len(self.hidden) > 0, "hidden", self.hidden, "at least one size of a hidden layer")
        for size in self.hidden:
            require_whole("hidden", size, 1)
        require_choice("normalization", self.normalization, NORMALIZATIONS)
        super().__post_init__()

    def require_fits(self, shape: Shape) -> None:
        """Never raises: images of every shape are pixels in a row."""

    def architecture(self, shape: Shape, classes: int) -> nn.Module:
        """See `AbstractArchitecture`; the feature layers are fc1, fc2, …."""
        from torch import nn

        from full_scale.models.parts.chains import named_chain, normalized

        sizes = (shape[0] * shape[1] * shape[2], *self.hidden)
        parts: dict[str, nn.Module] = {"flatten": nn.Flatten()}
        for number, (inputs, outputs) in enumerate(zip(sizes, self.hidden, strict=False), start=1):
            hidden = nn.Linear(inputs, outputs, bias=self.normalization == "none")
            parts |= normalized(hidden, str(number), self.normalization)
        return named_chain({**parts, f"fc{len(sizes)}": nn.Linear(sizes[-1], classes)})
