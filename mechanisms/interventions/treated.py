"""What an intervention is given to act on: the features of one training that it treats, in whatever way that is computed.

Numbers of features are arrays of NumPy or torch; those of a network's layer have shape (features,), those of the layer model
(replicates, features).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

from mechanisms.law.arrays import Array
from mechanisms.law.regularizers import AbstractRegularizer
from mechanisms.law.update_rules import AbstractUpdateRule


class Part(Protocol):
    """One parameter of one layer of features; what is done, is done to the elements of the chosen features."""

    @property
    def key(self) -> str:
        """Its name, another for each part and layer."""

    @property
    def place(self) -> int:
        """The number of its layer."""

    @property
    def parameter(self) -> Any:
        """What `Groups.narrowed` knows it by."""

    def multiply(self, factor: Array) -> None:
        """Times a number, or times one of each feature."""

    def multiply_gradient(self, factors: Array) -> None:
        """The gradients times a number of each feature."""

    def fill(self, value: float) -> None:
        """A value in all places."""

    def copy(self) -> Array:
        """The parameter as it is now."""

    def restore(self, kept: Array) -> None:
        """The values of such a copy."""

    def norms(self) -> Array:
        """The L2 norm of each feature's elements."""


class Training(Protocol):
    """The training that is treated."""

    def change_law(self, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float) -> None:
        """Another law from the next step on; moments are carried over to a rule of the same kind."""


class Treated(Protocol):
    """The features of one training that one intervention treats."""

    kept: dict[str, Any]
    """What the intervention remembers, by `Part.key`."""

    @property
    def training(self) -> Training:
        """The training."""

    def parts(self, part: str) -> Sequence[Part]:
        """The parameter of this kind in every layer with a chosen feature."""

    def draw(self) -> Sequence[Array]:
        """For each layer a number between 0 and 1 for each feature, new in every step."""

    def multiply_second_moment(self, one: Any, factor: float) -> None:
        """In the state of the rule; raises `UserError` for a rule without second moment."""

    def require_homogeneous(self) -> None:
        """Raises `UserError` where the activation of a treated layer changes under a positive factor."""


class Groups(Protocol):
    """The parameters that the regularizer acts on."""

    def narrowed(self, kept: Iterable[Any]) -> Self:
        """Only these parameters (`Part.parameter`) of them."""
