"""Cuts in trainings that other packages run: callbacks for Lightning and for the Trainer of Hugging Face.

Neither resumes a training from a checkpoint that was written after a cut: those packages build the whole network first.
"""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor

from full_scale.removal.during_training.shrinker import Shrinker
from mechanisms.validation import UserError


def lightning_callback(network: str = "", **options: Any) -> Any:
    """Return a callback for the `Trainer` of Lightning.

    Args:
        network: name of the attribute of the module that holds the network which trains, such as "model"; "" for the module
            itself, if it can be copied. The network is called with the first part of a batch.
        options: those of `Shrinker`.

    Raises:
        UserError: Lightning is not installed.
    """

    class ShrinkingCallback(_package("pytorch_lightning", "lightning.pytorch").Callback):  # type: ignore[misc]
        """Cuts dead features; `shrinker.cuts` says what was done."""

        shrinker: Shrinker | None = None
        steps = 0

        def on_train_start(self, trainer: Any, module: Any) -> None:
            if len(trainer.optimizers) != 1 or trainer.world_size != 1:
                where = f"{len(trainer.optimizers)} optimizers on {trainer.world_size} devices"
                raise UserError(f"a training with {where} cannot be cut: use one optimizer on one device")
            self.shrinker = Shrinker(module.get_submodule(network), trainer.optimizers[0], **options)
            self.steps = trainer.global_step

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step > self.steps and self.shrinker is not None:  # else gradients are accumulated
                self.steps = trainer.global_step
                self.shrinker.step(batch if isinstance(batch, Tensor) else batch[0])

    return ShrinkingCallback()


def transformers_callback(example_input: Tensor | tuple[Tensor, ...], **options: Any) -> Any:
    """Return a callback for the `Trainer` of Hugging Face.

    Args:
        example_input: what the network is called with: the first of its arguments, or several in order.
        options: those of `Shrinker`.

    Raises:
        UserError: transformers is not installed.
    """

    class ShrinkingCallback(_package("transformers").TrainerCallback):  # type: ignore[misc]
        """Cuts dead features; `shrinker.cuts` says what was done."""

        shrinker: Shrinker | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **held: Any) -> None:
            if args.world_size != 1 or args.n_gpu > 1:
                raise UserError("a training on several devices cannot be cut: use one")
            self.shrinker = Shrinker(held["model"], held["optimizer"], **options)

        def on_step_end(self, args: Any, state: Any, control: Any, **held: Any) -> None:
            if self.shrinker is not None:
                self.shrinker.step(example_input)

    return ShrinkingCallback()


def _package(*names: str) -> Any:
    """The first of some packages that is installed."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise UserError(f"{names[0]} is not installed: pip install {names[0].replace('_', '-')}")
