"""The commands that are tried, and the small workspace that they work in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600
"""Seconds after which a command counts as hanging."""
TINY = ("steps=8", "network.width=0.125")
CACHE = "cache"
"""Where a command keeps what it may make again at any time."""
NETWORK = ("basic_net", "width=0.125", "--input", "1,1,8,8")


@dataclass(frozen=True)
class Command:
    """One verb with arguments, run in a workspace.

    Attributes:
        reads: files and folders below the workspace whose damage is tried.
        writes: folder below it that is made too small, or one that can only be read.
        after: commands that make what this one reads.
        share: part of the trials that are made, for verbs that take long.
        again: what is added when the command is given again where its result may stand already.
        once: whether its result, once written, is never written again.
    """

    verb: str
    words: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: str = ""
    after: tuple[Command, ...] = ()
    share: float = 1.0
    again: tuple[str, ...] = ()
    once: bool = False

    @property
    def line(self) -> list[str]:
        """The command with the interpreter."""
        return [sys.executable, "-m", *self.verb.split(), *self.words]


TOY_RUN = Command("toy run", ("stability", "--seeds", "2"), ("runs",), "runs")
FULL_SCALE_RUN = Command("full_scale run", ("leaky", *TINY, "--seeds", "1"), ("runs",), "runs")


def _of_a_layer(made: Command) -> Iterator[Command]:
    """The verbs that every layer has, on the records that a command makes."""
    layer, (experiment, *words) = made.verb.partition(" ")[0], made.words
    overrides, seeds = [word for word in words if "=" in word], words[words.index("--seeds") :]
    chosen = (experiment, *overrides, *seeds)
    yield Command(f"{layer} list")
    yield made
    yield Command(f"{layer} show", chosen, ("runs",), after=(made,))
    yield Command(f"{layer} collect", (*chosen, "--out", "out/table.csv"), ("runs", CACHE), "out", after=(made,))
    yield Command(f"{layer} clean", ("--orphans", "--yes"), ("runs",), after=(made,))


COMMANDS = (
    *_of_a_layer(TOY_RUN),
    *_of_a_layer(FULL_SCALE_RUN),
    Command(
        "full_scale audit",
        (*NETWORK, "--weights", "weights.safetensors", "--data", "images.npy", "--out", "out/audit.json"),
        ("weights.safetensors", "images.npy"),
        "out",
        again=("--force",),
    ),
    Command(
        "full_scale shrink",
        (*NETWORK, "--weights", "weights.pt", "--out", "out/small.safetensors"),
        ("weights.pt",),
        "out",
        again=("--force",),
    ),
    Command("figures list"),
    Command("figures draw", ("decay", "--out", "out"), ("runs",), "out", share=0.4),
    Command("figures gallery", ("decay", "--out", "out/gallery.md"), ("runs",), "out", share=0.4),
    Command("figures report", ("--no-toy", "--out", "out/report.html"), ("runs",), "out", after=(TOY_RUN,), share=0.05),
    Command("mechanisms verdict", ("P7",), ("runs",), "runs", share=0.4),
    Command("mechanisms preregister", ("rescale", "--preset", "paper", "--out", "out"), ("runs",), "out", once=True),
    Command("mechanisms exponent", ("--seeds", "1"), ("runs",), "runs", share=0.4),
    Command("mechanisms translate", ("--rule", "AdamW", "--learning-rate", "1e-3", "--weight-decay", "0.01", "--steps", "1000")),
)
"""One command of each verb but the explorer, which reads and writes no file; what it does takes seconds."""


def settings(place: Path) -> dict[str, str]:
    """Environment variables of a command: this checkout, one thread, nothing outside the workspace."""
    cache = str(place / CACHE)
    return {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "XDG_CACHE_HOME": cache}


def start(command: Command, place: Path) -> subprocess.Popen[str]:
    """The command, running in a workspace."""
    pipe = subprocess.PIPE
    environment = {**os.environ, **settings(place)}
    return subprocess.Popen(command.line, cwd=place, env=environment, stdout=pipe, stderr=pipe, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(status, standard output, standard error) of a command; a hanging one is killed and has status 124."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return 124, *process.communicate()
    return process.returncode, out, err


def prepare(place: Path) -> None:
    """Writes what the commands read: weights of a network with dead filters, images; and an empty folder for what they write."""
    import safetensors.torch
    import torch

    from full_scale.commands.parts.networks import network_of

    network, _ = network_of("basic_net", ["width=0.125"], (1, 1, 8, 8), None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data[::3] = 0
            module.bias.data[::3] = -1
    (place / "out").mkdir(parents=True)
    torch.save(network.state_dict(), place / "weights.pt")
    safetensors.torch.save_file(network.state_dict(), place / "weights.safetensors")
    np.save(place / "images.npy", np.random.default_rng(0).standard_normal((20, 1, 8, 8)).astype(np.float32))
