"""Training that gets cheaper as filters die, in anybody's loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.models.parts.wrappers import unwrapped
from full_scale.monitor.foreign_optimizers import stepping
from full_scale.removal.analysis.constants import InputRange
from full_scale.removal.analysis.graph import Inputs
from full_scale.removal.during_training.cutting import Cut, Cutter, Due
from full_scale.removal.during_training.optimizer_state import add_new_biases, cut_states
from full_scale.removal.shrinking import unseen
from full_scale.removal.surgery import carry_out
from full_scale.removal.verification import all_outputs, differing
from mechanisms.validation import UserError, require_whole

DATA_PARALLEL = (nn.parallel.DistributedDataParallel, nn.DataParallel)


class Shrinker:
    """Cuts dead features out of a network while it trains, in place; call `step` after each step of the optimizer.

    Parameters stay the objects that they are, so that the optimizer, learning rate schedulers, gradient scalers and a compiled
    model go on; the optimizer's state is cut along. The function in evaluation mode is the same at each cut, which is checked.
    From there on the training differs a little from one without cuts: a feature that went cannot come back.

    Attributes:
        cuts: what was done so far.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        every: int,
        patience: int = 0,
        input_range: InputRange | None = None,
        data: Tensor | None = None,
        averages: Sequence[nn.Module] = (),
        multiple_of: int = 1,
        say: Callable[[str], None] = print,
    ) -> None:
        """Set up; nothing is cut before `step`.

        Args:
            model: the network that trains; of a compiled one what was compiled is cut.
            optimizer: moves its parameters; a wrapper around one is looked through.
            every: steps from one look for dead features to the next.
            patience: steps for which a feature must have been dead at every look before it goes.
            input_range: smallest and largest input, as in `shrink`; without it few features are dead for certain.
            data: images, as in `shrink`: what is silent on these goes too, which is exact on them and not elsewhere.
            averages: copies of the network that follow it, such as `torch.optim.swa_utils.AveragedModel`; they lose the same
                features, which changes what they put out by as much as these still took part in them.
            multiple_of: the channels that are kept are a multiple of this, wherever there are dead ones to keep.
            say: gets one line for each cut.

        Raises:
            UserError: an option is not valid, or the model runs on several devices.
        """
        require_whole("every", every, 1)
        require_whole("patience", patience, 0)
        if isinstance(model, DATA_PARALLEL):
            raise UserError(f"the model is a {type(model).__name__}: a network on several devices cannot be cut, train it on one")
        self._model = model
        self._optimizer = optimizer
        self._every = every
        self._averages = [unwrapped(average) for average in averages]
        self._options: dict[str, Any] = {
            "patience": patience,
            "input_range": input_range,
            "data": data,
            "multiple_of": multiple_of,
        }
        self._say = say
        self._steps = 0
        self._cutter: Cutter | None = None
        self.cuts: list[Cut] = []

    def step(self, batch: Tensor | tuple[Tensor, ...]) -> Cut | None:
        """Count a step of the optimizer, and cut if that is due.

        Args:
            batch: what the model was called with; only its shape and type matter.

        Returns:
            What was cut, None where nothing was.

        Raises:
            UserError: at the first step, the network cannot be traced, or the optimizer is not one of torch.
        """
        if self._cutter is None:
            self._begin(batch)
        self._steps += 1
        return self._cut() if self._steps % self._every == 0 else None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, beside the states of the model and the optimizer."""
        return {"steps": self._steps, "cutter": None if self._cutter is None else self._cutter.state_dict()}

    def load_state_dict(self, state: dict[str, Any], batch: Tensor | tuple[Tensor, ...]) -> None:
        """Cut a network that is as it was first to the sizes of a checkpoint; load the states of model and optimizer after.

        `batch` is what the model is called with.
        """
        self._begin(batch)
        self._steps = state["steps"]
        if state["cutter"] is not None and self._cutter is not None:
            plan = self._cutter.load_state_dict(state["cutter"])
            add_new_biases(self._stepping(), plan, self._cutter.model)
            for average in self._averages:
                carry_out(plan, average)

    def _begin(self, batch: Tensor | tuple[Tensor, ...]) -> None:
        self._cutter = Cutter(self._model, batch, **self._options)
        self._stepping()

    def _stepping(self) -> torch.optim.Optimizer:
        assert self._cutter is not None
        return stepping(self._optimizer, map(id, self._cutter.model.parameters()))[0]

    def _cut(self) -> Cut | None:
        assert self._cutter is not None
        try:
            due = self._cutter.look(self._steps)
            if due is None:
                return None
            cut = self._carried_out(self._cutter, due)
        except UserError as problem:
            self._say(f"step {self._steps}: nothing is cut: {problem}")
            return None
        self.cuts.append(cut)
        self._say(str(cut))
        return cut

    def _carried_out(self, cutter: Cutter, due: Due) -> Cut:
        optimizer = self._stepping()
        parameters = dict(cutter.model.named_parameters())
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        for states in {id(one.state): one.state for one in (optimizer, self._optimizer)}.values():
            cut_states(states, due.plan, parameters, shapes)
        before = [_put_out(average, cutter.inputs) for average in self._averages]
        cutter.carry_out(due)
        add_new_biases(optimizer, due.plan, cutter.model)
        for average in self._averages:
            carry_out(due.plan, average)
        after = [_put_out(average, cutter.inputs) for average in self._averages]
        pairs = zip(before, after, strict=True)
        changes = tuple(differing(torch.float32, "example", cutter.inputs, old, new).relative for old, new in pairs)
        return replace(due.cut, averages=changes)


def _put_out(average: nn.Module, inputs: Inputs) -> list[Tensor]:
    with unseen(average) as (plain, _):
        return all_outputs(plain, [inputs])[0]
