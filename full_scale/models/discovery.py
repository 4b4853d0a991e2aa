"""Finds the feature layers of any module by following its calls, and says of every other layer why it is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from full_scale.models.base import FeatureLayer

if TYPE_CHECKING:
    from torch import fx, nn

    from full_scale.models.parts.tracing import Trace

OUTPUT = "it puts out what the network puts out"
HIDDEN = "hidden units of a network whose filters make features"
BARE = "read by no normalization or activation that is known here"


@dataclass(frozen=True)
class LeftOut:
    """A convolution, linear map or normalization that belongs to no feature layer: its path, its class, and why."""

    name: str
    kind: str
    reason: str


def feature_layers(module: nn.Module) -> tuple[FeatureLayer, ...]:
    """The layers of features in a training here, from input to output, named by the path of what makes them ("layer2.0.conv1").

    Those of `survey` that put out maps (N, C, H, W) or vectors and whose scales, if any, are parameters.

    Raises:
        UserError: the forward pass of the module depends on values, so that it cannot be traced.
    """
    from torch import nn

    from full_scale.models.parts.tracing import Trace

    made = [layer for _, layer in _made(Trace(module)) if isinstance(layer, FeatureLayer) and layer.conv.weight.dim() in (2, 4)]
    trained = [layer for layer in made if layer.norm is None or isinstance(layer.norm.weight, nn.Parameter)]
    return tuple(layer for layer in trained if not _is_hidden(layer, trained))


def survey(module: nn.Module, whole: nn.Module | None = None) -> tuple[tuple[FeatureLayer, ...], tuple[LeftOut, ...]]:
    """All layers of features of a module, from input to output, and the layers that are called but make no features.

    A convolution or linear map makes features if a normalization with a scale and a shift for each, an activation, or one and
    then the other read its output, through pools and dropout, and nothing else reads it. A linear map without normalization makes
    none where a convolution does (hidden units behind convolutions are not filters).

    Modules that are called twice or share a weight are left out, and so is a layer whose activation is a function or a module
    called twice, because it cannot be observed: see `with_own_activations`.

    Args:
        module: is traced.
        whole: what it was made from, where that has more layers.

    Raises:
        UserError: the forward pass of the module depends on values, so that it cannot be traced.
    """
    from full_scale.models.parts.tracing import Trace

    trace = Trace(module)
    found = list(_made(trace))
    made = [layer for _, layer in found if isinstance(layer, FeatureLayer)]
    layers = tuple(layer for layer in made if not _is_hidden(layer, made))
    reasons = [(node, HIDDEN if isinstance(layer, FeatureLayer) else layer) for node, layer in found if layer not in layers]
    left_out = [LeftOut(str(node.target), type(trace.called(node)).__name__, reason) for node, reason in reasons]
    others = _others(trace, module if whole is None else whole, layers)
    return layers, tuple({part.name: part for part in (*left_out, *others)}.values())


def listing(left_out: Iterable[LeftOut]) -> str:
    """What was left out, by reason: "12 Linear, 1 Conv2d (reason); …"; "" if nothing but outputs was."""
    counts: dict[str, Counter[str]] = {}
    for part in left_out:
        if part.reason != OUTPUT:
            counts.setdefault(part.reason, Counter())[part.kind] += 1
    groups = [(", ".join(f"{number} {kind}" for kind, number in kinds.items()), reason) for reason, kinds in counts.items()]
    return "; ".join(f"{kinds} ({reason})" for kinds, reason in groups)


def _made(trace: Trace) -> Iterator[tuple[fx.Node, FeatureLayer | str]]:
    """Each call of a convolution or linear map, and the layer that it makes or why it makes none."""
    from full_scale.models.parts.tracing import MAKERS

    for node in trace.graph.nodes:
        if isinstance(trace.called(node), MAKERS):
            yield node, _feature_layer(trace, node)


def _is_hidden(layer: FeatureLayer, layers: list[FeatureLayer]) -> bool:
    """Whether a layer holds hidden units and others of the network hold filters."""
    return layer.norm is None and layer.conv.weight.dim() == 2 and any(other.conv.weight.dim() > 2 for other in layers)


def _feature_layer(trace: Trace, node: fx.Node) -> FeatureLayer | str:
    """The layer that a call of a convolution or linear map makes, or why it makes none."""
    from full_scale.models.parts.tracing import ACTIVATIONS, is_norm

    if trace.module(node) is None:
        return "it is called more than once or shares a weight"
    norm = None
    last = node
    reader = trace.next(node)
    if reader is not None and is_norm(part := trace.module(reader)) and len(reader.all_input_nodes) == 1:
        norm, last, reader = part, reader, trace.next(reader)
        problem = _problem_of_scales(trace.module(node), norm)
        if problem:
            return problem
    activation: Any = norm
    if reader is not None and trace.applied(reader):
        activation, last = trace.module(reader), reader
    elif reader is not None and not trace.is_known(reader):
        return f"read by {trace.said(reader)}, which is not known here"
    following = _following(trace, node, last)
    if following is not None and following.op == "output":
        return OUTPUT
    if not isinstance(activation, ACTIVATIONS) and not is_norm(activation):
        return _why_bare(trace, reader, last)
    parts: Any = (trace.module(node), norm, activation, None if following is None else trace.module(following))
    return FeatureLayer(str(node.target), *parts)


def _problem_of_scales(maker: Any, norm: Any) -> str:
    scale, shift = getattr(norm, "weight", None), getattr(norm, "bias", None)
    if scale is None or shift is None:
        return f"its {type(norm).__name__} has no scales and shifts"
    features = getattr(maker, "out_features", None) or maker.out_channels
    return "" if scale.numel() == features else f"its {type(norm).__name__} has not one scale a feature"


def _why_bare(trace: Trace, reader: fx.Node | None, last: fx.Node) -> str:
    if reader is not None and last is reader:
        return "its activation is called more than once or is a function"
    if reader is None and len(last.users) > 1:
        return "several read it"
    return BARE


def _others(trace: Trace, whole: nn.Module, layers: tuple[FeatureLayer, ...]) -> Iterator[LeftOut]:
    """What has weights and takes part without being followed, and normalizations of no feature layer."""
    from full_scale.models.parts.tracing import MAKERS, is_closed, normalizes

    taken = {id(part) for layer in layers for part in (layer.conv, layer.norm)}
    called = {str(node.target): trace.called(node) for node in trace.graph.nodes if node.op == "call_module"}
    read = {str(node.target).rpartition(".")[0] for node in trace.graph.nodes if node.op == "get_attr"}
    for name, part in whole.named_modules():
        kind = type(part).__name__
        if id(part) in taken or not (name in called or name in read):
            continue
        if normalizes(part):
            yield LeftOut(name, kind, "it normalizes no layer of features")
        elif isinstance(part, MAKERS) and name not in called:
            yield LeftOut(name, kind, "a function uses its weights")
        elif is_closed(part) and name in called:
            yield LeftOut(name, kind, "not looked into")


def _following(trace: Trace, node: fx.Node, last: fx.Node) -> fx.Node | None:
    """The call whose weight reads the features that end in `last`, or the output of the network, or None."""
    from torch import nn

    from full_scale.models.parts.tracing import CONVOLUTIONS

    reader = trace.next(last)
    kinds: Any = nn.Linear if isinstance(trace.module(node), nn.Linear) else CONVOLUTIONS
    if reader is not None and trace.flattens(reader):
        reader, kinds = trace.next(reader), nn.Linear
    if reader is None or reader.op == "output" or isinstance(trace.module(reader), kinds):
        return reader
    return None
