"""A user's own network: `network=custom:PACKAGE.MODULE:CALLABLE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from full_scale.custom import AbstractCustom, blaming, imported
from full_scale.models.base import AbstractNetwork, BuiltNetwork, Shape
from mechanisms.records.rng import stream


@dataclass(frozen=True)
class CustomNetwork(AbstractCustom, AbstractNetwork):
    """What the callable at `path` makes of the shape of an image (channels, height, width) and the number of classes.

    That is a `torch.nn.Module`, images (N, channels, height, width) → class scores (N, classes). It keeps the weights it comes
    with; what it draws from torch's CPU generator while it is made is decided by the seed. Activations that are functions or used
    several times are made modules of their own, so that they can be observed.
    """

    kind: ClassVar[str] = "network"

    def require_fits(self, shape: Shape) -> None:
        """Never raises: what fits is known only when the network is built."""

    def build(self, shape: Shape, classes: int, seed: int) -> BuiltNetwork:
        """See `AbstractNetwork`; feature layers are named by the paths of their modules.

        Raises:
            UserError: the callable is missing or fails, what it makes is not such a network or has no features.
        """
        import torch

        from full_scale.models.parts.trial import observable, require_network

        make, what = imported("network.path", self.path), f"network {self.path}"
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(stream(seed, "init").integers(2**63)))
            with blaming(what, f"it cannot be made for images of shape {shape} and {classes} classes"):
                module = make(shape, classes)
            with blaming(what, f"it cannot score images of shape {shape}"):
                return observable(require_network(module, shape, classes), shape)
