"""A whole training step as one CUDA graph: all that changes from step to step is read from a table on the device.

Small networks are bound by the launches of their kernels; a graph launches them all at once. Without a GPU the same step runs
as it is written, which is how it is tested; the capture itself needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from full_scale.training.optimizer import TorchOptimizer
from mechanisms.law.dynamics import DynamicsState

if TYPE_CHECKING:
    from full_scale.measure.probes import ForceProbe
    from full_scale.training.spec import TrainSpec

WARM_UP_STEPS = 3


class DeviceStep:
    """Steps on fixed tensors: `step(images, labels)` copies a batch in and makes one update; returns the loss, on the device."""

    def __init__(
        self,
        spec: TrainSpec,
        loss: Callable[[Tensor, Tensor], Tensor],
        module: torch.nn.Module,
        optimizer: TorchOptimizer,
        probe: ForceProbe,
    ) -> None:
        self._loss = loss
        self._module = module
        self._optimizer = optimizer
        self._probe = probe
        device = next(module.parameters()).device
        self._table = torch.from_numpy(step_table(spec)).to(device)
        self._number = torch.zeros((), dtype=torch.int64, device=device)
        filters = tuple(torch.as_tensor(values).to(device).clone() for values in probe.state.filters)
        probe.state = DynamicsState(probe.state.step, filters)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: tuple[Tensor, Tensor] | None = None
        self._value = torch.zeros((), device=device)

    def start_at(self, number: int) -> None:
        """The next step is this one, counted from 0."""
        self._number.fill_(number)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the loss of the batch is overwritten by the next one."""
        if self._batch is None:
            self._batch = images.clone(memory_format=torch.preserve_format), labels.clone()
            if images.device.type == "cuda":
                self._capture()
        for fixed, given in zip(self._batch, (images, labels), strict=True):
            fixed.copy_(given)
        if self._graph is None:
            self._compute()
        else:
            self._graph.replay()
        return self._value

    def _compute(self) -> None:
        assert self._batch is not None
        *coefficients, learning_rate, beside = self._table.index_select(0, self._number.view(1)).float()[0].unbind()
        self._optimizer.zero_grad()
        loss = self._loss(*self._batch)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self._probe.replay(tuple(coefficients), learning_rate, beside)
            self._optimizer.replay(learning_rate, beside)
            self._number.add_(1)
            self._value.copy_(loss)

    def _capture(self) -> None:
        """Warms up on a stream of its own, puts everything back, and records the step."""
        before = [tensor.clone() for tensor in self._tensors()]
        new_states = not self._optimizer.inner.state
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self._compute()
            if new_states:
                self._forget_states()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.no_grad():
            for tensor, value in zip(self._tensors(with_states=not new_states), before, strict=True):
                tensor.copy_(value)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._compute()

    def _tensors(self, with_states: bool = True) -> Iterator[Tensor]:
        """All that a step changes, in a fixed order."""
        yield from self._module.parameters()
        yield from self._module.buffers()
        yield from self._probe.state.filters
        yield self._number
        for state in self._optimizer.inner.state.values() if with_states else ():
            yield from (value for value in state.values() if isinstance(value, Tensor))

    def _forget_states(self) -> None:
        """The states of the optimizer as before its first step; they exist now, so that no graph makes them anew."""
        for state in self._optimizer.inner.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    value.fill_(1.0 if name == "mu_product" else 0.0)


def step_table(spec: TrainSpec) -> np.ndarray:
    """For each step of a run: the coefficients of the rule, η_t, and the weight of λ r(w) beside the update; float64."""
    numbers = np.arange(spec.steps)
    scales = spec.schedule.scale(numbers, spec.steps)
    _, beside = spec.regularizer.rates(spec.learning_rate, scales)
    columns = [*spec.rule.coefficients(numbers + 1), spec.learning_rate * scales, beside]
    return np.stack([np.broadcast_to(np.asarray(column, np.float64), numbers.shape) for column in columns], axis=1)
