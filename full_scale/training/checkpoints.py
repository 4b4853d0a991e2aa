"""Checkpoints: what an unfinished training needs to end as if it had never stopped, bit for bit."""

from __future__ import annotations

import io
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mechanisms.system.context import HERE
from mechanisms.system.files import write_whole
from mechanisms.system.progress import say
from mechanisms.validation import UserError

FORMAT = 1
NAME = "checkpoint.pt"


class Checkpoints:
    """Keeps the state of one training in a folder: written beside the last one, then renamed over it.

    Of several processes on one training only the one that `writes` does, `every` so many seconds.
    """

    def __init__(
        self, folder: Path | None, identity: dict[str, Any], writes: bool = True, every: float = HERE.checkpoint_every
    ) -> None:
        self._path = None if folder is None else folder / NAME
        self._writes = writes
        self._identity = {"format": FORMAT, "torch": str(torch.__version__), **identity}
        self._every = every
        self._last = time.monotonic()

    def load(self, device: torch.device) -> Any:
        """The state that was kept last; None where there is none that this training can go on from."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            with warnings.catch_warnings(action="ignore"):  # the one line below says it
                kept = torch.load(self._path, map_location=device, weights_only=True)
            if kept["identity"] == self._identity:
                return kept["state"]
            reason = "it is of other settings, or of another version of torch"
        except Exception as error:  # torch raises many kinds for a damaged file, and none of them may stop a training
            reason = f"it cannot be read ({type(error).__name__})"
        aside = self._path.with_name(f"{NAME}.unusable-{uuid.uuid4().hex[:8]}")
        if self._writes:
            self._path.rename(aside)
            say(f"checkpoint {self._path} is not used: {reason}; kept as {aside}, the training starts anew")
        return None

    def offer(self, state: Callable[[], Any]) -> None:
        """Keeps the state if the last one is old enough; a failure leaves the last one and the training as they are.

        Raises:
            UserError: `state` refuses to be kept.
        """
        if self._path is None or not self._writes or time.monotonic() - self._last < self._every:
            return
        content = io.BytesIO()
        torch.save({"identity": self._identity, "state": state()}, content)
        try:
            write_whole(self._path, content.getvalue(), "the checkpoint before it is kept and the training goes on")
        except UserError as error:
            say(str(error))
        self._last = time.monotonic()


def pack(table: pd.DataFrame) -> dict[str, Any]:
    """A table as tensors and lists of text, which `torch.load` reads without unpickling objects."""
    return {
        str(name): torch.from_numpy(table[name].to_numpy(copy=True)) if table[name].dtype.kind in "bif" else table[name].tolist()
        for name in table.columns
    }


def unpack(columns: dict[str, Any]) -> pd.DataFrame:
    """The table that `pack` took apart."""
    return pd.DataFrame({name: v.numpy(force=True) if isinstance(v, torch.Tensor) else v for name, v in columns.items()})
