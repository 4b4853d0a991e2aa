"""How the process computes: device, threads, denormal numbers. None of it is part of a spec; the manifest records it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mechanisms.system.context import HERE, RunContext
from mechanisms.system.processes import local_rank
from mechanisms.validation import InvalidValue, UserError

CPU_THREADS = 1
NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


def chosen_device(context: RunContext = HERE) -> torch.device:
    """The device of a context, of several GPUs this worker's own. Raises `InvalidValue` where it does not exist."""
    name = context.device
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except Exception as error:  # every kind of device fails in its own way
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidValue(f"--device {name} cannot be used here ({reason}): use cpu, or a device that torch finds") from None
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", _own_gpu(context, torch.cuda.device_count()))
        torch.cuda.set_device(device)
    return device


def _own_gpu(context: RunContext, count: int) -> int:
    """Which GPU is this process's: the workers of a machine take them in turn, so that more workers share them evenly."""
    rank = local_rank()
    return (context.worker if rank is None else rank) % max(1, count)


@contextmanager
def computing() -> Iterator[None]:
    """Within it, torch has one thread and flushes denormal numbers; both are restored after, and its random generator too.

    One thread, so that the result does not depend on how many runs share the machine: use more processes, not more threads. Dying
    filters are full of denormal numbers, which slow a CPU down two to three times.
    """
    threads, flushing = torch.get_num_threads(), flushes_denormals()
    torch.set_num_threads(CPU_THREADS)
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_flush_denormal(flushing)
        torch.set_num_threads(threads)


def flushes_denormals() -> bool:
    """Whether this thread turns denormal results into 0; torch has no getter for it."""
    smallest_normal = torch.tensor([torch.finfo(torch.float32).tiny])
    return not bool((smallest_normal * 0.5).item())


@contextmanager
def memory_named(advice: str) -> Iterator[None]:
    """Turns torch's out-of-memory errors into one line that ends in `advice`."""
    try:
        yield
    except RuntimeError as error:
        if not any(text in str(error).lower() for text in NO_MEMORY):
            raise
        raise UserError(f"the training does not fit into memory: {advice}") from None


def describe(parameter: torch.nn.Parameter) -> dict[str, Any]:
    """What a manifest says about how a run was computed."""
    device = parameter.device
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "memory_format": "channels_last",
        "denormals_flushed": flushes_denormals(),
        "torch_threads": torch.get_num_threads(),
    }
