"""The audit of a network, and the smaller network that computes the same function."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from full_scale.models.parts.wrappers import run_eagerly, uncompiled
from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.computed import computed, made_plain
from full_scale.removal.analysis.constants import InputRange, analyse
from full_scale.removal.analysis.graph import quiet, require_usable
from full_scale.removal.analysis.untouched import untouched
from full_scale.removal.assessment import CERTIFIED, SILENT, Assessment, Evidence, assess, feature_table, traced_alike
from full_scale.removal.costs import Costs, costs
from full_scale.removal.dust.bounds import NoBound, largest_difference
from full_scale.removal.dust.choosing import change_curve, chosen
from full_scale.removal.notes import notes
from full_scale.removal.plan import Plan, Selection, make_plan
from full_scale.removal.proof import NOTHING, Proof, substituted
from full_scale.removal.report import Audit, Report, difference_table
from full_scale.removal.selection import select, select_in_order
from full_scale.removal.surgery import carried_out
from mechanisms.validation import UserError, require, require_above, require_whole

EVIDENCE = {field.name for field in dataclasses.fields(Evidence)}
REFUSED = "the network's own code does not stand its removal"


def audit(
    model: nn.Module,
    example_input: Tensor | tuple[Tensor, ...],
    *,
    data: Tensor | None = None,
    input_range: InputRange | None = None,
    scale_threshold: float = 0.0,
    dust: float = 0.0,
    largest_change: float | None = None,
) -> Audit:
    """What is dead in a network and why, and what could be removed; the network is not changed.

    Args:
        model: any network that `torch.export` can trace; it is judged in evaluation mode.
        example_input: what it is called with: a tensor with the images on its first axis, or a tuple of tensors.
        data: images, shape (N, …); features that are constant on all of them are called silent on N images.
        input_range: smallest and largest input, one number each or one for each channel of the input; features that are
            constant for every input in the range are called certified.
        scale_threshold: BatchNorm scales up to this size count as 0; removing them is not exact.
        dust: filters whose largest |weight| is at most this share of the median norm in their layer count as 0; likewise scales.
            Removing them is not exact.
        largest_change: instead of `dust`: the largest change of the output, relative to its largest number, that removing dust
            may make, as it is measured on `data` or random inputs; the threshold follows from it.

    Raises:
        UserError: the model, its weights or the inputs cannot be used, or the model cannot be traced.
    """
    with unseen(model) as (plain, said):
        evidence = Evidence(data, input_range, scale_threshold, dust)
        evidence, curve = _with_dust(plain, example_input, evidence, largest_change)
        assessment = assess(plain, example_input, evidence)
        selection = select(assessment.last)
        features = feature_table(assessment, assessment.last, selection)
        cost = _costs(assessment, selection)
        return Audit(features, cost["network"], (*said, *notes(assessment.last, features)), curve, cost.get("after"))


def _costs(assessment: Assessment, selection: Selection) -> dict[str, Costs]:
    """What a network costs, and "after" a removal, where something is selected and the network's code stands that."""
    plan, traced = make_plan(assessment.last, selection), assessment.last.traced
    networks = {"network": assessment.model}
    if not plan.is_empty:
        with contextlib.suppress(Exception):
            smaller = carried_out(plan, substituted(assessment.model, assessment.substitutes))
            both = {**networks, "after": smaller}
            return costs(both, assessment.example, graphs=dict.fromkeys(both, traced))
    return costs(networks, assessment.example, graphs={"network": traced})


def _with_dust(model: nn.Module, example_input: Any, evidence: Evidence, limit: float | None) -> tuple[Evidence, pd.DataFrame]:
    """The evidence with the threshold of dust that a limit of the change allows, and what others would change."""
    if limit is None:
        return evidence, pd.DataFrame()
    require_above("largest_change", limit, 0)
    require(not evidence.dust, "dust", evidence.dust, "either it or largest_change")
    curve = change_curve(model, example_input, evidence, limit)
    return dataclasses.replace(evidence, dust=chosen(curve, limit)), curve


def shrink(
    model: nn.Module,
    example_input: Tensor | tuple[Tensor, ...],
    *,
    data: Tensor | None = None,
    input_range: InputRange | None = None,
    scale_threshold: float = 0.0,
    dust: float = 0.0,
    largest_change: float | None = None,
    silent: bool = False,
    multiple_of: int = 1,
    tolerance: float | None = None,
) -> tuple[nn.Module, Report]:
    """A smaller copy of a network that computes the same function, and a report that proves it.

    Arguments are those of `audit`, and:

    Args:
        model: is not changed; the copy is of the same class and in the same mode, of a compiled one of what was compiled.
        example_input: see `audit`.
        data: see `audit`.
        input_range: see `audit`.
        scale_threshold: see `audit`.
        dust: see `audit`.
        largest_change: see `audit`.
        silent: also removes what is only silent on `data`; the function then changes on other images.
        multiple_of: the channels that are kept are a multiple of this, wherever there are dead ones to keep.
        tolerance: largest relative difference in the network's own dtype, default by dtype (float32 1e-4); in float64 it is
            1e-10 always. With a removal that is not exact it also bounds the change of the original's output.

    Raises:
        UserError: as `audit`; or the result is not the same function within the tolerance.
    """
    evidence: Options = {"data": data, "input_range": input_range, "scale_threshold": scale_threshold, "dust": dust}
    how: Options = {"silent": silent, "multiple_of": multiple_of, "tolerance": tolerance, "largest_change": largest_change}
    done = removal(model, example_input, evidence | how)
    return done.model, done.report


@contextlib.contextmanager
def unseen(model: nn.Module) -> Iterator[tuple[nn.Module, tuple[str, ...]]]:
    """The model without compilation, its weights plain parameters, to be run with its copies; and what is to be said of that.

    Within it nothing is lowered by an autocast outside. Afterwards random numbers and what its code writes to are as before.

    Raises:
        UserError: it is no model.
    """
    model = uncompiled(model)
    require_usable(model)
    with torch.random.fork_rng(devices=[]), run_eagerly(), quiet(), untouched(model), _in_own_dtype(model):
        plain = made_plain(model)
        yield plain, _said(computed(model), computed(plain))


@contextlib.contextmanager
def _in_own_dtype(model: nn.Module) -> Iterator[None]:
    kinds = {"cpu", *(parameter.device.type for parameter in model.parameters())}
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def _said(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    by = Counter(how for name, how in before.items() if name not in after)
    listed = ", ".join(f"{number} as {how} does" for how, number in by.items())
    return (f"computed weights are made plain, in a copy of the network: {listed}",) if by else ()


class Options(TypedDict, total=False):
    """The keyword arguments of `shrink`, which says what they mean."""

    data: Tensor | None
    input_range: InputRange | None
    scale_threshold: float
    dust: float
    largest_change: float | None
    silent: bool
    multiple_of: int
    tolerance: float | None


@dataclass(frozen=True)
class Removal:
    """A smaller network, the report, and what was done to get it."""

    model: nn.Module
    report: Report
    plan: Plan


def removal(model: nn.Module, example_input: Tensor | tuple[Tensor, ...], options: Options, *, trains: bool = False) -> Removal:
    """What `shrink` does, with the plan that was carried out; a network that `trains` must run in training mode, too."""
    strange = sorted(set(options) - set(Options.__annotations__))
    if strange:
        raise TypeError(f"unexpected keyword argument {strange[0]!r}: use those of shrink")
    silent, multiple_of, tolerance = options.get("silent", False), options.get("multiple_of", 1), options.get("tolerance")
    evidence = Evidence(**{name: value for name, value in options.items() if name in EVIDENCE})  # type: ignore[arg-type]
    require_whole("multiple_of", multiple_of, 1)
    if tolerance is not None:
        require_above("tolerance", tolerance, 0)
    require(evidence.data is not None or not silent, "silent", silent, "False, or give the images as data")
    with unseen(model) as (plain, said):
        evidence, curve = _with_dust(plain, example_input, evidence, options.get("largest_change"))
        assessment = assess(plain, example_input, evidence)
        tracker = assessment.last if silent else assessment.without_silence()
        done = remove(assessment, tracker, multiple_of=multiple_of, tolerance=tolerance, said=said, trains=trains)
    return dataclasses.replace(done, report=dataclasses.replace(done.report, curve=curve))


def remove(
    assessment: Assessment,
    tracker: Tracker,
    *,
    multiple_of: int = 1,
    tolerance: float | None = None,
    only: np.ndarray | None = None,
    said: tuple[str, ...] = (),
    trains: bool = False,
) -> Removal:
    """Removes what an analysis allows, leaves out what the network's own code does not stand, and verifies the rest."""
    proof = Proof(assessment, by_images=assessment.found.get(SILENT) is tracker, trains=trains)
    selection, plan = plan_that_runs(proof, tracker, multiple_of, only)
    if plan.is_empty and only is None and assessment.substitutes:  # what nothing is gained by is not changed either
        assessment = dataclasses.replace(assessment, substitutes={})
        proof = Proof(assessment, by_images=proof.by_images)
    smaller = proof.smaller(plan)
    differences, changes = proof.differences(plan, smaller, tolerance)
    features = feature_table(assessment, tracker, selection)
    graphs = {"before": tracker.traced} | ({"after": proof.traced} if proof.traced is not None else {})
    cost = costs({"before": assessment.model, "after": smaller}, assessment.example, graphs=graphs)
    tables = difference_table(differences), difference_table(changes)
    bound, unbounded = _bound(assessment, tracker)
    lines = (*said, *notes(tracker, features), *unbounded)
    report = Report(features, cost["before"], cost["after"], *tables, lines, bound=bound)
    return Removal(smaller, report, plan)


class _Trials:
    """What a network's own code makes of removals."""

    def __init__(self, proof: Proof, tracker: Tracker, multiple_of: int, only: np.ndarray | None, reorder: bool) -> None:
        self.proof, self.tracker, self.reorder = proof, tracker, reorder
        self.options: dict[str, Any] = {"multiple_of": multiple_of, "only": only}

    def tried(self, banned: dict[int, str], *, whole: bool = True) -> tuple[Selection, Plan, str | None]:
        """What can go but for the banned, and why the code does not stand it, also not with other sizes in attributes.

        Unless `whole`, only the numbers are looked at, which takes less time.
        """
        if self.reorder:
            selection = select_in_order(self.tracker, self._analysed, banned=banned, **self.options)
        else:
            selection = select(self.tracker, banned=banned, **self.options)
        plans = [make_plan(self.tracker, selection, with_sizes=with_sizes) for with_sizes in (False, True)]
        problem = self._problem(selection, plans[0], whole)
        if problem is not None and plans[1].sizes and self._problem(selection, plans[1], whole) is None:
            return selection, plans[1], None
        return selection, plans[0], problem

    def _problem(self, selection: Selection, plan: Plan, whole: bool) -> str | None:
        of_numbers = self.proof.problem(plan) or self.proof.problem_of_training(plan)
        return of_numbers or (self.proof.problem_of_code(plan, self.tracker, selection) if whole else None)

    def _analysed(self, plan: Plan) -> Tracker | None:
        try:
            return analyse(traced_alike(self.tracker.traced, self.proof.smaller(plan), self.proof.assessment.example))
        except UserError:
            return None


def plan_that_runs(
    proof: Proof, tracker: Tracker, multiple_of: int, only: np.ndarray | None, *, reorder: bool = True
) -> tuple[Selection, Plan]:
    """The largest selection that the network's own code stands: what fixes sizes in code is found and left alone.

    Unless channels may `reorder`, those that stay keep their order.
    """
    trials = _Trials(proof, tracker, multiple_of, only, reorder)
    selection, plan, problem = trials.tried({})
    if problem is None:
        return selection, plan
    if proof.problem(NOTHING) is not None:
        raise UserError(
            "the network puts out other numbers when it is run again, so nothing can be proved: make it deterministic"
        )
    banned = {int(c): selection.reasons[int(c)] for c in np.flatnonzero(~selection.removed)}
    wanted, groups = np.flatnonzero(selection.removed).tolist(), _groups(tracker, selection)

    def culprits(suspects: list[list[int]], whole: bool) -> dict[int, str]:
        allowed = {component for group in suspects for component in group}
        others = {component: REFUSED for component in wanted if component not in allowed}
        *_, found = trials.tried({**others, **banned}, whole=whole)
        if found is None or not suspects:
            return {}
        if len(suspects) == 1:
            return dict.fromkeys(suspects[0], f"{REFUSED} ({found})")
        half = len(suspects) // 2
        return culprits(suspects[:half], whole) | culprits(suspects[half:], whole)

    for whole in (False, True):
        banned |= culprits([group for group in groups if not banned.keys() >= {*group}], whole)
        selection, plan, problem = trials.tried(banned)
        if problem is None:
            return selection, plan
    raise UserError(f"the network's own code does not stand the removal of any layer's features: {problem}")


def _bound(assessment: Assessment, tracker: Tracker) -> tuple[float | None, tuple[str, ...]]:
    """By how much what is not exact changes the output at most for inputs in the range, or why that is not known."""
    original = assessment.found.get(CERTIFIED)
    if original is None or not assessment.substitutes or tracker is not assessment.without_silence():
        return None, ()
    try:
        bound = largest_difference(original, tracker)
    except NoBound as problem:
        return None, (f"no bound of the change for all inputs in the range: {problem}",)
    return (
        (bound, ()) if math.isfinite(bound) else (None, ("no bound of the change for all inputs in the range: it is infinite",))
    )


def _groups(tracker: Tracker, selection: Selection) -> list[list[int]]:
    """The removed components, those that share their first parameter together."""
    groups: dict[str, list[int]] = {}
    seen = set[int]()
    for slot in tracker.slots:
        for component in np.unique(selection.components[slot.units]).tolist():
            if selection.removed[component] and component not in seen:
                seen.add(component)
                groups.setdefault(f"{slot.name} {slot.axis}", []).append(component)
    return list(groups.values())
