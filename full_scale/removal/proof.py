"""The proof at the end of every removal: the smaller network against the same function, run side by side."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.graph import Inputs, TracedNetwork, quiet, recorded, shape, structural_copy
from full_scale.removal.analysis.sizes import differs_by_size, run_with_symbols
from full_scale.removal.assessment import FEW_IMAGES, IMAGES_AT_ONCE, Assessment, batch_of, traced_alike
from full_scale.removal.plan import Plan, Selection
from full_scale.removal.retracing import unlike
from full_scale.removal.side_by_side import operation_apart
from full_scale.removal.surgery import carried_out
from full_scale.removal.verification import (
    TOLERANCES,
    Difference,
    all_differences,
    all_outputs,
    cast_all,
    dtype_of,
    in_double,
    is_large,
    outputs,
    outputs_in_double,
    random_trials,
    scaled_inputs,
)
from mechanisms.validation import UserError, first_line

RANDOM, SCALED = "random", "scaled"
"""Kinds of inputs: of size 1, and of other sizes and signs."""

EXACT = TOLERANCES[torch.float64]

NOTHING = Plan({}, {}, {}, {}, {})
"""The plan that changes nothing."""

LARGER = 100.0
"""By how much one of the images is larger on which each operation is compared."""


class Proof:
    """What the smaller network must put out.

    The function it must equal is the original, with silenced features where the removal is by threshold or mask (`surrogate`);
    by images alone, it must equal the original on these images. One that `trains` must also run in training mode.
    """

    def __init__(self, assessment: Assessment, by_images: bool, trains: bool = False) -> None:
        self.assessment, self.by_images, self.trains = assessment, by_images, trains
        if trains and (problem := self.problem_of_training(NOTHING)) is not None:
            raise UserError(problem)
        self.surrogate = substituted(assessment.model, assessment.substitutes)
        self.dtype = dtype_of(assessment.model)
        trials = random_trials(structural_copy(self.surrogate).eval(), assessment.example, assessment.evidence.input_range)
        self.inputs, self.own = [inputs for inputs, _ in trials], [found for _, found in trials]
        one = [tuple(part[:1] for part in self.inputs[0]), *self.inputs[1:]] if is_large(self.inputs[0]) else self.inputs
        self.doubles = cast_all(one, torch.float64)
        self.expected, self.scaled = (None, []) if by_images else self._in_double()
        self.images = self._images()
        self.seen: tuple[Plan, list[Difference]] | None = None
        self.traced: TracedNetwork | None = None  # of the network that was judged last
        self.last: tuple[Plan, nn.Module] | None = None
        self.made: tuple[Plan, nn.Module] | None = None

    def _in_double(self) -> tuple[list[list[Tensor]] | None, list[tuple[Inputs, list[Tensor]]]]:
        """What the function is in float64, and on inputs of several sizes and signs where it has values there.

        None and nothing where the network's code runs in its own dtype only.
        """
        doubled, found = in_double(self.surrogate), []
        try:
            expected = [outputs(doubled, inputs) for inputs in self.doubles]
        except Exception:
            return None, []
        for inputs in scaled_inputs(self._small() or self.assessment.example, self.assessment.evidence.input_range):
            with contextlib.suppress(Exception), quiet():
                there = outputs(doubled, inputs)
                found += [(inputs, there)] if all(bool(part.isfinite().all()) for part in there) else []
        return expected, found

    def _small(self) -> Inputs | None:
        """Inputs of fewer pixels than large images of an example have, if the network takes them."""
        other = self.inputs[-1]
        return other if is_large(self.assessment.example) and other[0].numel() < self.assessment.example[0][:1].numel() else None

    def _images(self) -> list[Inputs]:
        data = self.assessment.evidence.data
        example = self.assessment.example[0]
        return [] if data is None else [(part.to(example),) for part in torch.split(data, IMAGES_AT_ONCE)]

    def problem(self, plan: Plan) -> str | None:
        """What is wrong with the numbers of the network that a plan makes; None if nothing is."""
        try:
            worst = max(self._first_look(plan), key=lambda row: row.relative)
        except UserError as problem:
            return str(problem)
        limit = EXACT if worst.dtype == "float64" else TOLERANCES[self.dtype]
        return None if worst.relative <= limit else f"it would change the output by {worst.relative:.1e}"

    def problem_of_training(self, plan: Plan) -> str | None:
        """Why the network that a plan makes does not train, if it must: training may run more of its parts."""
        if not self.trains:
            return None
        network = self.assessment.model if plan.is_empty else self.smaller(plan)
        trial = structural_copy(network, lambda tensor: tensor.detach().clone()).train()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]), quiet():
                trial(*(torch.cat([part, part]) if part.dim() else part for part in self.assessment.example))
        except Exception as problem:
            return f"the network does not run in training mode: {first_line(problem)}"
        return None

    def problem_of_code(self, plan: Plan, tracker: Tracker, selection: Selection) -> str | None:
        """What the network's code does otherwise in the network that a plan makes; None if nothing."""
        self.traced = tracker.traced if plan.is_empty else None
        if plan.is_empty:
            return None
        smaller = self.smaller(plan)
        try:
            traced = traced_alike(tracker.traced, smaller, self.assessment.example)
        except UserError as problem:
            return str(problem)
        self.traced = traced
        return (
            unlike(tracker, selection, plan, traced)
            or self._problem_within(plan, tracker, selection, (traced, smaller))
            or (self._problem_at_other_sizes(plan, smaller) if tracker.traced.reads_sizes or traced.reads_sizes else None)
        )

    def _problem_within(
        self, plan: Plan, tracker: Tracker, selection: Selection, smaller: tuple[TracedNetwork, nn.Module]
    ) -> str | None:
        """An operation inside of the smaller network that puts out other numbers, whether that reaches the outputs or not."""
        traced = self._at_half_size(tracker, smaller[1]) or (tracker.traced, smaller[0])
        nodes = [node for node in traced[0].graph.nodes if node.name in traced[0].inputs]
        source = self.images[0] if self.by_images else self._small() or self.inputs[0]
        inputs = batch_of(source, shape(nodes[0])[0] if shape(nodes[0]) else 1)
        if [tuple(part.shape) for part in inputs] != [shape(node) for node in nodes]:
            return None
        pair = self.surrogate, self._carried_out(plan)
        tensors = [dict(network.named_parameters()) | dict(network.named_buffers()) for network in pair]
        # What is constant on images was measured in the network's own dtype, and is no more accurate than that.
        for dtype in (self.dtype,) if self.by_images else dict.fromkeys((torch.float64, self.dtype)):
            limit = EXACT if dtype == torch.float64 else TOLERANCES[dtype]
            with contextlib.suppress(Exception), quiet():
                given = self._with_a_large_one(cast_all([inputs], dtype)[0])
                return operation_apart(tracker, selection, plan, traced, (tensors[0], tensors[1]), given, limit)
        return None

    def _at_half_size(self, tracker: Tracker, smaller: nn.Module) -> tuple[TracedNetwork, TracedNetwork] | None:
        """The graphs of both networks for fewer pixels, if these have the operations that were analysed."""
        small = self._small()
        if small is None or self.by_images:
            return None
        pair = [recorded(network, batch_of(small, FEW_IMAGES)) for network in (self.surrogate, smaller)]
        wanted = [node.target for node in tracker.traced.graph.nodes if node.op == "call_function"]
        if any(
            found is None or [node.target for node in found.graph.nodes if node.op == "call_function"] != wanted for found in pair
        ):
            return None
        return cast(tuple[TracedNetwork, TracedNetwork], tuple(pair))

    def smaller(self, plan: Plan) -> nn.Module:
        """The smaller network that a plan makes, the same one if it is asked for again."""
        if self.last is None or self.last[0] is not plan:
            self.last = plan, carried_out(plan, self.surrogate)
        return self.last[1]

    def _carried_out(self, plan: Plan) -> nn.Module:
        """The smaller network of exact numbers."""
        if self.made is None or self.made[0] is not plan:
            self.made = plan, carried_out(plan, self.surrogate, exact=True)
        return self.made[1]

    def _with_a_large_one(self, inputs: Inputs) -> Inputs:
        """The inputs, the last image of which is larger, where any inputs are allowed."""
        if self.by_images or self.assessment.evidence.input_range is not None:
            return inputs
        return tuple(torch.cat([p[:-1], LARGER * p[-1:]]) if p.is_floating_point() and p.dim() else p for p in inputs)

    def _problem_at_other_sizes(self, plan: Plan, smaller: nn.Module) -> str | None:
        images = batch_of(self.assessment.example, FEW_IMAGES)
        before = run_with_symbols(with_zero_biases(self.surrogate, plan.biases), images)
        after = None if before is None else run_with_symbols(smaller, images)
        differs = before is not None and (after is None or differs_by_size(before, after))
        return "with fewer channels it does something else at other sizes" if differs else None

    def _first_look(self, plan: Plan) -> list[Difference]:
        if self.seen is None or self.seen[0] is not plan:
            self.seen = plan, self._looked(plan)
        return self.seen[1]

    def _looked(self, plan: Plan) -> list[Difference]:
        if self.expected is not None:
            smaller = self._carried_out(plan)
            expected = [*self.expected, *(found for _, found in self.scaled)]
            inputs = [*self.doubles, *(inputs for inputs, _ in self.scaled)]
            rows = all_differences(expected, smaller, inputs, torch.float64, RANDOM, run=outputs_in_double)
            plain = len(self.doubles)
            return rows[:plain] + [dataclasses.replace(row, input=SCALED) for row in rows[plain:]]
        inputs = self.images[:1] if self.by_images else self.inputs
        expected = all_outputs(self.surrogate, inputs)
        return all_differences(expected, self.smaller(plan), inputs, self.dtype, RANDOM)

    def differences(self, plan: Plan, smaller: nn.Module, tolerance: float | None) -> tuple[list[Difference], list[Difference]]:
        """Differences from the function the smaller network must equal, and from the original where that is another one.

        Raises:
            UserError: one of the former is larger than its tolerance.
        """
        rows = [] if self.expected is None else _one_row_for_scaled(self._first_look(plan))
        if not self.by_images and self.dtype != torch.float64:
            rows += all_differences(self.own, smaller, self.inputs, self.dtype, RANDOM)
        if self.images:
            rows.append(worst_of(self._between(self.surrogate, smaller, self.images, "data")))
        changes = []
        if self.by_images or self.assessment.substitutes:
            changes = [] if self.expected is None else self._changes_in_double(plan)
            changes += self._between(self.assessment.model, smaller, self.inputs, RANDOM)
            if self.images:
                changes.append(worst_of(self._between(self.assessment.model, smaller, self.images, "data")))
        for row in rows:
            own = TOLERANCES[self.dtype] if tolerance is None else tolerance
            self._require_within(row, EXACT if row.dtype == "float64" else own)
        if tolerance is not None and not self.by_images:
            for row in changes:
                self._require_within(row, tolerance)
        return rows, changes

    def _changes_in_double(self, plan: Plan) -> list[Difference]:
        """What the removal changes in exact numbers, without the rounding of the network's own."""
        expected = outputs_in_double(self.assessment.model, self.doubles)
        return all_differences(expected, self._carried_out(plan), self.doubles, torch.float64, RANDOM, run=outputs_in_double)

    def _between(self, original: nn.Module, smaller: nn.Module, inputs: list[Inputs], kind: str) -> list[Difference]:
        return all_differences(all_outputs(original, inputs), smaller, inputs, self.dtype, kind)

    def _require_within(self, row: Difference, limit: float) -> None:
        if not row.relative <= limit:
            shape = "×".join(map(str, row.shape))
            raise UserError(
                f"the smaller network's output differs by {row.relative:.1e} ({row.dtype}, {row.input} input {shape}), more than"
                f" the tolerance {limit:g}: nothing was removed; give a larger tolerance if that is good enough"
            )


def _one_row_for_scaled(rows: list[Difference]) -> list[Difference]:
    scaled = [row for row in rows if row.input == SCALED]
    return [row for row in rows if row.input != SCALED] + ([worst_of(scaled)] if scaled else [])


def worst_of(rows: list[Difference]) -> Difference:
    """One row for all batches: the largest differences, the number of all images."""
    images = sum(row.shape[0] for row in rows)
    return Difference(
        rows[0].dtype,
        rows[0].input,
        (images, *rows[0].shape[1:]),
        max(row.absolute for row in rows),
        max(row.relative for row in rows),
    )


def substituted(model: nn.Module, substitutes: dict[str, Tensor]) -> nn.Module:
    """A copy that shares the parameters of a model but for those that are replaced."""
    copy = structural_copy(model)
    for name, value in substitutes.items():
        path, _, field = name.rpartition(".")
        owner = copy.get_submodule(path)
        frozen = field in owner._buffers
        setattr(owner, field, value if frozen else nn.Parameter(value, getattr(owner, field).requires_grad))
    return copy


def with_zero_biases(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """A copy that shares the parameters of a model, in which the named modules have a bias of zeros: the same function."""
    copy = structural_copy(model)
    for name in names:
        owner = copy.get_submodule(name)
        owner.bias = nn.Parameter(owner.weight.new_zeros(len(owner.weight)))  # type: ignore[arg-type,operator]
    return copy
