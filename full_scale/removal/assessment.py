"""What is dead in a network, by which evidence; the base of audits, shrinking and pruning."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor, fx, nn

from full_scale.removal.analysis.channels import Tracker
from full_scale.removal.analysis.constants import NORMS, InputRange, Layer, analyse, layers
from full_scale.removal.analysis.graph import (
    Inputs,
    TracedNetwork,
    argument,
    as_inputs,
    exported,
    operation,
    recorded,
    require_runs,
    shape,
    structural_copy,
    trace,
)
from full_scale.removal.dust.weights import dusty_weights, empty_filters
from full_scale.removal.plan import Selection
from full_scale.removal.silence import measured_constants
from mechanisms.validation import UserError, require, require_at_least, require_between

ALIVE, PARAMETERS, CERTIFIED, SCALE, DUST, SILENT = "alive", "parameters", "certified", "scale", "dust", "silent"
KINDS = {
    ALIVE: "not constant by any of the evidence asked for",
    PARAMETERS: "dead by parameters: constant whatever the input",
    CERTIFIED: "certified: constant for every input in the stated range",
    SCALE: "scale below the threshold: nearly constant, removing it changes the output",
    DUST: "dust: weights nearly 0, nearly constant, removing it changes the output",
    SILENT: "silent on the given images: constant on these, perhaps not on others",
}
"""Kind of evidence → what it means; a feature has the first that applies."""

COLUMNS = ("layer", "feature", "kind", "constant", "removable", "reason", "cause")
IMAGES_AT_ONCE, FEW_IMAGES = 64, 2


@dataclass(frozen=True)
class Evidence:
    """How features are judged: the arguments of `audit` and `shrink` of the same names."""

    data: Tensor | None = None
    input_range: InputRange | None = None
    scale_threshold: float = 0.0
    dust: float = 0.0

    def __post_init__(self) -> None:
        require_at_least("scale_threshold", self.scale_threshold, 0)
        require_between("dust", self.dust, 0, 1)
        if self.input_range is not None:
            require(_is_range(self.input_range), "input_range", self.input_range, "two finite numbers, low <= high")
        if self.data is not None:
            _require_images(self.data)


def _is_range(ends: object) -> bool:
    if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(isinstance(end, Real | Tensor) for end in ends):
        return False
    low, high = map(torch.as_tensor, ends)
    fit = low.dim() <= 1 and high.dim() <= 1 and (not low.dim() or not high.dim() or len(low) == len(high))
    return fit and bool(torch.isfinite(low).all() and torch.isfinite(high).all() and (low <= high).all())


def _require_images(data: object) -> None:
    if not isinstance(data, Tensor) or not data.dim():
        raise UserError(f"data is of type {type(data).__name__}: give a tensor of images, shape (N, …)")
    if not data.numel() or not bool(torch.isfinite(data).all()):
        raise UserError(f"data holds {'NaN or infinite numbers' if data.numel() else 'no images'}: give a tensor of images")


@dataclass(frozen=True)
class Assessment:
    """A network with what was found by each kind of evidence, the weakest claim last.

    `substitutes` are parameters that are replaced to make the removal exact: scales below the threshold and dust become 0.
    """

    model: nn.Module
    example: Inputs
    evidence: Evidence
    found: dict[str, Tracker]
    substitutes: dict[str, Tensor]

    @property
    def last(self) -> Tracker:
        """The analysis by all evidence together."""
        return list(self.found.values())[-1]

    def without_silence(self) -> Tracker:
        """The analysis by all evidence but the given images."""
        return [tracker for kind, tracker in self.found.items() if kind != SILENT][-1]


def assess(
    model: nn.Module,
    example_input: Tensor | tuple[Tensor, ...],
    evidence: Evidence,
    substitutes: Mapping[str, Tensor] | None = None,
    traced: TracedNetwork | None = None,
) -> Assessment:
    """What is dead in a network that is usable; `traced` is what `traced_with` gave for two images, where it is at hand.

    Raises:
        UserError: the model, its weights or the inputs cannot be used, or the model cannot be traced.
    """
    example = as_inputs(example_input)
    traced = traced or recorded(model, batch_of(example, FEW_IMAGES))
    if traced is None:  # among other reasons, because the code writes on parameters
        model = _as_a_run_leaves_it(model, example)
        traced = traced_with(model, example)
    replaced = dict(substitutes or {})
    found = {PARAMETERS: analyse(traced)}
    if evidence.input_range is not None:
        _require_range_fits(traced, evidence.input_range)
        found[CERTIFIED] = analyse(traced, evidence.input_range)
    if evidence.scale_threshold:
        replaced |= small_scales(traced, evidence.scale_threshold)
    if replaced:
        traced = with_tensors(traced, replaced)
        found[SCALE] = analyse(traced, evidence.input_range)
    dust = dusty_weights(traced, evidence.dust) if evidence.dust else {}
    if dust:
        cleaned = {name: part.cleaned for name, part in dust.items()}
        replaced, traced = replaced | cleaned, with_tensors(traced, cleaned)
        found[DUST] = analyse(traced, evidence.input_range)
    if evidence.data is not None:
        silent = measured_constants(*_prepared(model, example, found, evidence.data))
        found[SILENT] = analyse(traced, evidence.input_range, silent)
    return Assessment(model, example, evidence, found, replaced)


@torch.no_grad()
def _as_a_run_leaves_it(model: nn.Module, example: Inputs) -> nn.Module:
    """The model; a copy with other memory if its code writes on its parameters, as one that limits their norm in `forward`.

    Raises:
        UserError: it does not run.
    """
    copied = structural_copy(model, lambda tensor: tensor.detach().clone())
    require_runs(copied.eval(), example)
    pairs = zip(copied.parameters(), model.parameters(), strict=True)
    if all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs):
        return model
    for one, other in zip(copied.modules(), model.modules(), strict=True):
        one.training = other.training
    return copied


def traced_with(
    model: nn.Module, example: Inputs, images: int = FEW_IMAGES, by: Callable[[nn.Module, Inputs], TracedNetwork] = trace
) -> TracedNetwork:
    """The graph for this many images, where the network takes them: with one, an axis of length 1 could be anything."""
    try:
        return by(model, batch_of(example, images))
    except UserError:
        return by(model, example)


def traced_alike(traced: TracedNetwork, model: nn.Module, example: Inputs) -> TracedNetwork:
    """The graph of another network that does the same, made in the same way.

    Raises:
        UserError: there is none.
    """
    if not traced.recorded:
        return traced_with(model, example, by=exported)
    found = recorded(model, batch_of(example, FEW_IMAGES)) or recorded(model, example)
    if found is None:
        raise UserError("with fewer channels it does what a single run does not show")
    return found


def batch_of(example: Inputs, images: int) -> Inputs:
    """The inputs with this many images, repeated or cut."""
    return tuple(part[torch.arange(images, device=part.device) % len(part)] if part.dim() > 1 else part for part in example)


def _require_range_fits(traced: TracedNetwork, input_range: InputRange) -> None:
    inputs = [node.meta["val"] for node in traced.graph.nodes if node.op == "placeholder" and node.name in traced.inputs]
    for end in map(torch.as_tensor, input_range):
        fits = end.dim() == 0 or (end.dim() == 1 and all(len(end) == value.shape[1] for value in inputs if value.dim() > 1))
        require(fits, "input_range", input_range, "one number for all channels of the input, or one for each")


def small_scales(traced: TracedNetwork, threshold: float) -> dict[str, Tensor]:
    """BatchNorm scales that hold numbers of at most `threshold`, with 0 in their place."""
    found = {}
    for node in traced.graph.nodes:
        weight = argument(node, "weight") if operation(node) in NORMS else None
        if isinstance(weight, fx.Node) and weight.name in traced.names:
            scale = traced.tensors[weight.name].detach()
            small = scale.abs() <= threshold
            if (small & (scale != 0)).any():
                found[traced.names[weight.name]] = torch.where(small, 0.0, scale)
    return found


def with_tensors(traced: TracedNetwork, replaced: Mapping[str, Tensor]) -> TracedNetwork:
    """The same network with other values of some parameters."""
    tensors = {node: replaced.get(traced.names.get(node, ""), tensor) for node, tensor in traced.tensors.items()}
    return dataclasses.replace(traced, tensors=tensors)


def _prepared(model: nn.Module, example: Inputs, found: dict[str, Tracker], data: Tensor) -> tuple[Tracker, list[Inputs]]:
    """An analysis of the network for many images at once, and the images in full batches: the last repeats some."""
    if len(example) != 1 or data.shape[1:] != example[0].shape[1:]:
        wanted = tuple(example[0].shape[1:])
        raise UserError(f"data of shape {tuple(data.shape)} do not fit: give images of shape {wanted}, the network's one input")
    traced = traced_with(model, example, min(IMAGES_AT_ONCE, len(data)))
    images = next(shape(node)[0] for node in traced.graph.nodes if node.name in traced.inputs)
    data = data.to(example[0])
    starts = range(0, len(data), images)
    batches: list[Inputs] = [(data[torch.arange(start, start + images) % len(data)],) for start in starts]
    return analyse(traced), batches


def feature_table(assessment: Assessment, tracker: Tracker, selection: Selection) -> pd.DataFrame:
    """One row a feature of an analysis: layer, feature, kind, constant output (NaN if alive), removable, reason if not, cause.

    The cause is said of what is dead by parameters: "weights" that are 0, a "scale" of 0, else the "shift" or what comes in.
    """
    empty = empty_filters(assessment.found[PARAMETERS].traced)
    by_kind = {kind: {layer.end.name: layer for layer in layers(found)} for kind, found in assessment.found.items()}
    uses: dict[str, list[Layer]] = {}
    for layer in layers(tracker):
        uses.setdefault(layer.name, []).append(layer)
    parts = [_rows(together, by_kind, selection).assign(cause=partial(_causes, together[0], empty)) for together in uses.values()]
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS})
    return pd.concat(parts, ignore_index=True)


def _causes(layer: Layer, empty: dict[tuple[str, bool], Tensor], rows: pd.DataFrame) -> np.ndarray:
    """Why each feature of a layer is dead by parameters; "" for all others."""
    cause = np.where(rows["kind"] == PARAMETERS, "shift", "").astype(object)
    for of_norm, name in ((True, "scale"), (False, "weights")):
        for module in layer.modules:
            found = empty.get((module, of_norm))
            if found is not None and len(found) == len(cause):
                cause[(cause != "") & found.numpy()] = name
    return cause


def _rows(uses: list[Layer], by_kind: dict[str, dict[str, Layer]], selection: Selection) -> pd.DataFrame:
    """One row a feature of a layer, which is dead where it is constant in all uses of the layer."""
    layer = uses[0]
    units = layer.channels.units
    kind, constant = np.full(len(units), ALIVE, object), np.full(len(units), np.nan)
    for name, ends in by_kind.items():
        values = [ends[use.end.name].channels.values for use in uses]
        new = np.logical_and.reduce([use.is_uniform.numpy() for use in values]) & (kind == ALIVE)
        same = np.logical_and.reduce([(use.constant == values[0].constant).numpy() for use in values])
        kind[new], constant[new & same] = name, values[0].constant.numpy()[new & same]
    goes = selection.goes(units)
    stays = (kind != ALIVE) & ~goes
    reasons = [selection.reasons.get(int(c), "") if s else "" for c, s in zip(selection.components[units], stays, strict=True)]
    columns = {"layer": layer.name, "feature": np.arange(len(units)), "kind": kind, "constant": constant}
    return pd.DataFrame(columns | {"removable": goes, "reason": reasons})
