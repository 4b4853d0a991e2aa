"""Cuts of one network in place, again and again; its graph is kept, so that a cut costs the analysis of numbers and surgery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from full_scale.models.parts.wrappers import uncompiled
from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.computed import computed
from full_scale.removal.analysis.constants import InputRange, analyse, layers
from full_scale.removal.analysis.graph import TracedNetwork, as_inputs, in_plain_order, require_usable
from full_scale.removal.assessment import (
    CERTIFIED,
    FEW_IMAGES,
    PARAMETERS,
    SILENT,
    Assessment,
    Evidence,
    assess,
    batch_of,
    with_tensors,
)
from full_scale.removal.costs import macs_of
from full_scale.removal.plan import Plan, Selection
from full_scale.removal.proof import Proof
from full_scale.removal.selection import select
from full_scale.removal.shrinking import plan_that_runs, unseen
from full_scale.removal.surgery import carry_out
from full_scale.removal.verification import Difference
from mechanisms.validation import UserError, require_whole

ALIVE = -1
"""In place of the step since which a channel is dead."""


@dataclass(frozen=True)
class Cut:
    """What one cut took away.

    Attributes:
        step: how many updates were done before it.
        features: name of a layer → the features that went, by their numbers in the network as it was first.
        constants: name of a layer → what each of these put out.
        parameters: of the network, before and after.
        macs: multiply-accumulates of one example, before and after; None where the graph holds products that are not counted.
        difference: the largest relative difference of the outputs in evaluation mode, of all inputs on which they were compared.
        averages: relative change of the output of each average of the weights, which is no exact removal.
    """

    step: int
    features: dict[str, list[int]]
    constants: dict[str, list[float]]
    parameters: tuple[int, int]
    macs: tuple[int | None, int | None]
    difference: Difference
    averages: tuple[float, ...] = ()

    def __str__(self) -> str:
        count = sum(map(len, self.features.values()))
        largest = sorted(self.features, key=lambda name: -len(self.features[name]))[:3]
        where = ", ".join(f"{len(self.features[name])} of {name}" for name in largest)
        more = ", …" if len(self.features) > len(largest) else ""
        before, after = self.parameters
        text = (
            f"step {self.step}: {count} dead feature{'s' * (count > 1)} cut ({where}{more}), {before:,} → {after:,} parameters,"
        )
        text += f" outputs equal to {self.difference.relative:.0e} ({self.difference.dtype})"
        changes = ", ".join(f"{change:.0e}" for change in self.averages)
        return text + (f"; outputs of averaged weights changed by {changes}" if changes else "")


@dataclass(frozen=True)
class Due:
    """A cut that was tried on a copy and can be made: the plan, the smaller network, and what is to be said of it."""

    plan: Plan
    cut: Cut
    traced: TracedNetwork | None


class Cutter:
    """One network that is cut in place, with what is known of it from cut to cut.

    A feature goes once it was dead at all looks of the last `patience` steps. Dead is what `shrink` calls so: by parameters, or
    for every input in `input_range`; with `data` also what is constant on these images, which is exact on them alone.
    """

    def __init__(
        self,
        model: nn.Module,
        example_input: Tensor | tuple[Tensor, ...],
        *,
        patience: int = 0,
        input_range: InputRange | None = None,
        data: Tensor | None = None,
        multiple_of: int = 1,
    ) -> None:
        """Reads the network's code, which takes one run of it.

        Raises:
            UserError: as `shrink`; weights are computed from others.
        """
        require_whole("patience", patience, 0)
        require_whole("multiple_of", multiple_of, 1)
        self.model = uncompiled(model)
        require_usable(self.model)
        require_plain(self.model)
        self._patience = patience
        self._multiple_of = multiple_of
        self._evidence = Evidence(data, input_range)
        self.inputs = batch_of(as_inputs(example_input), FEW_IMAGES)
        self._traced: TracedNetwork | None = None
        self._since: dict[tuple[str, int], np.ndarray] = {}
        """Parameter and axis → for each index the step since which it is dead, or ALIVE."""
        with unseen(self.model):
            tracker = self._assessed().last
        self._traced = tracker.traced
        self.numbers = {layer.name: np.arange(len(layer.channels.units)) for layer in layers(tracker)}
        """Name of a layer → the first numbers of the features that it still has."""
        self.names = {module: layer.name for layer in layers(tracker) for module in layer.modules}
        """Name of a module → that of its layer."""
        self._done = Plan({}, {}, {}, {}, {})

    def look(self, step: int) -> Due | None:
        """What can go after so many updates; the network is not changed.

        Raises:
            UserError: its numbers are not finite, or what is dead cannot go.
        """
        with unseen(self.model):
            assessment = self._assessed()
            self._traced = assessment.last.traced
            selection = select(assessment.last, multiple_of=self._multiple_of)
            only = self._long_dead(assessment.last, selection, step)
            if not (only & selection.removed).any():
                return None
            proof = Proof(assessment, by_images=SILENT in assessment.found, trains=True)
            selection, plan = plan_that_runs(proof, assessment.last, self._multiple_of, only, reorder=False)
            if plan.is_empty:
                return None
            smaller = proof.smaller(plan)
            rows, _ = proof.differences(plan, smaller, None)
            networks = (assessment.last.traced, self.model), (proof.traced, smaller)
            return Due(plan, self._described(assessment.last, selection, step, networks, rows), proof.traced)

    def carry_out(self, due: Due) -> None:
        """Cut the network in place; parameters stay the objects that they are."""
        carry_out(due.plan, self.model)
        self._traced = due.traced
        for (name, axis), since in self._since.items():
            self._since[name, axis] = since[_kept(due.plan, name, axis, len(since))]
        for layer, gone in due.cut.features.items():
            self.numbers[layer] = np.setdiff1d(self.numbers[layer], gone)
        self._remember(due.plan)

    def state_dict(self) -> dict[str, Any]:
        """All that further cuts depend on besides the network's numbers, as tensors and plain values."""
        since = [(name, axis, torch.from_numpy(values)) for (name, axis), values in self._since.items()]
        numbers = {layer: torch.from_numpy(values) for layer, values in self.numbers.items()}
        return {**_copied(self._done), "since": since, "numbers": numbers}

    def load_state_dict(self, state: dict[str, Any]) -> Plan:
        """Cut the network, which is as it was first, to the sizes at which `state_dict` was called; returns what was done.

        Its numbers are to be loaded after.
        """
        done = _copied(Plan(state["keep"], {}, {}, state["biases"], state["groups"], state["sizes"]))
        plan = Plan(done["keep"], {}, {}, done["biases"], done["groups"], done["sizes"])
        self._since = {(name, axis): values.numpy() for name, axis, values in state["since"]}
        self.numbers = {layer: values.numpy() for layer, values in state["numbers"].items()}
        self._done = plan
        carry_out(plan, self.model)
        self._traced = None
        return plan

    def _assessed(self) -> Assessment:
        """What is dead in the network as its numbers are now."""
        evidence = self._evidence
        if self._traced is not None and evidence.data is None:
            current = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
            traced = with_tensors(self._traced, {name: in_plain_order(current[name]) for name in self._traced.names.values()})
            kind = PARAMETERS if evidence.input_range is None else CERTIFIED
            return Assessment(self.model, self.inputs, evidence, {kind: analyse(traced, evidence.input_range)}, {})
        assessment = assess(self.model, self.inputs, evidence)
        if assessment.model is not self.model:
            raise UserError("the network's code writes on its parameters whenever it runs: it cannot be cut while it trains")
        return assessment

    def _long_dead(self, tracker: Tracker, selection: Selection, step: int) -> np.ndarray:
        """Marks the components that may go: those that were dead long enough."""
        long = np.zeros(len(selection.removed), bool)
        parts = [(slot, selection.components[slot.units]) for slot in tracker.slots]
        for _, components in parts:
            long[components] = True
        for slot, components in parts:
            before = self._since.get((slot.name, slot.axis), np.full(len(components), ALIVE))
            since = np.where(selection.removed[components], np.where(before == ALIVE, step, before), ALIVE)
            self._since[slot.name, slot.axis] = since
            long[components[(since == ALIVE) | (step - since < self._patience)]] = False
        return long

    def _described(
        self,
        tracker: Tracker,
        selection: Selection,
        step: int,
        networks: tuple[tuple[TracedNetwork | None, nn.Module], ...],
        rows: list[Difference],
    ) -> Cut:
        features, constants = {}, {}
        for layer in layers(tracker):
            gone = np.flatnonzero(selection.goes(layer.channels.units))
            if len(gone):
                features[layer.name] = self.numbers[layer.name][gone].tolist()
                constants[layer.name] = layer.channels.values.constant.numpy()[gone].tolist()
        sizes = [sum(parameter.numel() for parameter in network.parameters()) for _, network in networks]
        macs = [None if traced is None else macs_of(traced, network, self.inputs) for traced, network in networks]
        each = [None if number is None else number // len(self.inputs[0]) for number in macs]
        worst = max(rows, key=lambda row: row.relative)
        return Cut(step, features, constants, (sizes[0], sizes[1]), (each[0], each[1]), worst)

    def _remember(self, plan: Plan) -> None:
        """Puts a plan after those that were carried out before."""
        done, made = self._done, {f"{owner}.bias".lstrip("."): owner for owner in self._done.biases}
        for name, axes in plan.keep.items():
            if name in made:
                done.biases[made[name]] = done.biases[made[name]][axes[0]]
                continue
            own = done.keep.setdefault(name, {})
            for axis, indices in axes.items():
                own[axis] = own[axis][indices] if axis in own else indices
        done.biases.update({owner: torch.zeros_like(bias) for owner, bias in plan.biases.items()})
        done.groups.update(plan.groups)
        for owner, sizes in plan.sizes.items():
            done.sizes.setdefault(owner, {}).update(sizes)


def _copied(plan: Plan) -> dict[str, Any]:
    """What a plan does to sizes, in containers of its own."""
    keep = {name: dict(axes) for name, axes in plan.keep.items()}
    sizes = {owner: dict(attributes) for owner, attributes in plan.sizes.items()}
    return {"keep": keep, "groups": dict(plan.groups), "biases": dict(plan.biases), "sizes": sizes}


def _kept(plan: Plan, name: str, axis: int, size: int) -> np.ndarray:
    """The indices on an axis that a plan keeps."""
    indices = plan.keep.get(name, {}).get(axis)
    return np.arange(size) if indices is None else indices.numpy(force=True)


def require_plain(model: nn.Module) -> None:
    """Raises `UserError` where an optimizer holds other parameters than those that a removal leaves."""
    for name, how in computed(model).items():
        raise UserError(f"{name} is computed from other parameters: call {how} on it, and make the optimizer anew")
