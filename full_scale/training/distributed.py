"""One training on several processes (`torchrun`): who computes which part of a batch, and over what statistics are taken.

Every process builds the same network, runs the same loop and measures the same tables; the first to finish writes the record.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from mechanisms.system.processes import companions
from mechanisms.validation import UserError


class Workers:
    """The processes of one training; one alone unless `torchrun` started this process."""

    def __init__(self, batch_size: int, norm_shards: int, device: torch.device) -> None:
        self.rank, self.count = companions()
        if batch_size % self.count:
            raise UserError(f"batch_size = {batch_size} on {self.count} processes: use a multiple of {self.count}")
        if norm_shards not in (1, self.count) and self.count > 1:
            raise UserError(
                f"norm_shards = {norm_shards} on {self.count} processes: use norm_shards={self.count}, statistics of each process"
                " alone, or norm_shards=1, statistics of the whole batch"
            )
        self.synchronized = self.count > 1 and norm_shards == 1
        self.shards_here = norm_shards if self.count == 1 else 1
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module to train: averages gradients over the processes, with synchronized statistics if asked for."""
        if self.count == 1:
            return module
        if self.synchronized:
            for part in module.modules():
                if isinstance(part, _BatchNorm):
                    part.forward = functools.partial(_synchronized, part)  # type: ignore[method-assign]
        return nn.parallel.DistributedDataParallel(module)

    def part(self, batch: Any) -> Any:
        """This process's part of something with one entry an example."""
        size = len(batch) // self.count
        return batch[self.rank * size : (self.rank + 1) * size]

    def align(self, module: nn.Module) -> None:
        """Gives every process the running statistics of the first one, so that all measure the same network."""
        if self.count > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value


def _synchronized(norm: Any, images: Tensor) -> Tensor:
    """BatchNorm over the batches of all processes; torch's own SyncBatchNorm refuses the CPU.

    Source: Ioffe and Szegedy 2015, with both moments summed by a differentiable all-reduce.
    """
    if not norm.training:
        return type(norm).forward(norm, images)  # type: ignore[no-any-return]
    axes, given = [0, *range(2, images.dim())], images.dtype
    images = images.float() if given in (torch.bfloat16, torch.float16) else images
    count = images.numel() // images.shape[1] * dist.get_world_size()
    mean = all_reduce(images.sum(axes)) / count  # type: ignore[no-untyped-call]
    centred = images - _column(mean, images)
    variance = all_reduce(centred.square().sum(axes)) / count  # type: ignore[no-untyped-call]
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
    scale = torch.rsqrt(variance + norm.eps) * norm.weight
    return (centred * _column(scale, images) + _column(norm.bias, images)).to(given)


def _column(values: Tensor, images: Tensor) -> Tensor:
    return values.view(1, -1, *(1,) * (images.dim() - 2))


def forward_in_shards(module: nn.Module, images: Tensor, shards: int) -> Tensor:
    """Scores of a batch whose `shards` equal parts get BatchNorm statistics of their own; running ones are of the first part.

    What `shards` processes without synchronized statistics compute, in one process.
    """
    if shards == 1:
        return module(images)  # type: ignore[no-any-return]
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    first, *others = images.chunk(shards)
    scores = [module(first)]
    try:
        for norm in norms:
            norm.momentum = 0.0
        scores += [module(part) for part in others]
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return torch.cat(scores)
