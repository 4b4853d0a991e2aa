"""Initial weights of a network, from a seed alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from full_scale.models.choices import INITIALIZATIONS
from mechanisms.records.rng import stream
from mechanisms.validation import require_choice


def initialized(make: Callable[[], nn.Module], initialization: str, seed: int) -> nn.Module:
    """The module that `make` makes, on the CPU, its weights drawn from stream "init" of the seed in the order of its parts.

    `make` runs on the meta device, so that torch's own initialization draws nothing.
    """
    require_choice("initialization", initialization, INITIALIZATIONS)
    generator = torch.Generator().manual_seed(int(stream(seed, "init").integers(2**63)))
    with torch.device("meta"):
        module = make()
    # Numbers are drawn in the order of memory, which must not depend on the format that `make` gave its weights.
    module.to_empty(device="cpu")
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stub lacks this form
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            _draw(part, initialization, generator)
        elif callable(reset := getattr(part, "reset_parameters", None)):
            reset()
    return module


def _draw(part: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, initialization: str, generator: torch.Generator) -> None:
    fan_in = part.weight[0].numel()
    for parameter in part.parameters():
        if initialization == "torch":
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
        elif parameter.dim() == 1:
            nn.init.zeros_(parameter)
        else:
            _draw_weight(parameter, initialization, generator)


def _draw_weight(weight: Tensor, initialization: str, generator: torch.Generator) -> None:
    if initialization == "xavier":
        nn.init.xavier_uniform_(weight, generator=generator)
    else:
        nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5, generator=generator)
