"""Finds the feature layers of any module by following its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from full_scale.models.base import FeatureLayer

if TYPE_CHECKING:
    from torch import fx, nn

    from full_scale.models.parts.tracing import Trace


def feature_layers(module: nn.Module) -> tuple[FeatureLayer, ...]:
    """The layers of features of a module, from input to output, named by the path of what makes them ("layer2.0.conv1").

    A convolution makes features if a normalization with scales and shifts, an activation, or one and then the other read its
    output, through pools and dropout, and nothing else reads it. A linear map makes features on the same terms where it is
    normalized or where no convolution does (hidden units behind convolutions are not filters).

    Modules that are called twice or share a weight are left out, and so is a layer whose activation is a function or a module
    called twice, because it cannot be observed: see `with_own_activations`.

    Raises:
        UserError: the forward pass of the module depends on values, so that it cannot be traced.
    """
    from full_scale.models.parts.tracing import MAKERS, Trace

    trace = Trace(module)
    made = [node for node in trace.graph.nodes if isinstance(trace.module(node), MAKERS)]
    found = [layer for layer in (_feature_layer(trace, node) for node in made) if layer is not None]
    convolutional = any(layer.conv.weight.dim() > 2 for layer in found)
    return tuple(layer for layer in found if not convolutional or layer.norm is not None or layer.conv.weight.dim() > 2)


def _feature_layer(trace: Trace, node: fx.Node) -> FeatureLayer | None:
    from full_scale.models.parts.tracing import ACTIVATIONS, NORMS

    norm, last, reader = None, node, trace.next(node)
    if reader is not None and isinstance(trace.module(reader), NORMS):
        norm, last, reader = trace.module(reader), reader, trace.next(reader)
        if getattr(norm, "weight", None) is None or norm.bias is None:  # type: ignore[union-attr]
            return None
    activation: Any = norm
    if reader is not None and trace.applied(reader):
        activation, last = trace.module(reader), reader
    elif reader is not None and not trace.is_known(reader):
        return None
    following = _following(trace, node, last)
    if not isinstance(activation, (*ACTIVATIONS, *NORMS)) or (following is not None and following.op == "output"):
        return None
    parts: Any = (trace.module(node), norm, activation, None if following is None else trace.module(following))
    return FeatureLayer(str(node.target), *parts)


def _following(trace: Trace, node: fx.Node, last: fx.Node) -> fx.Node | None:
    """The call whose weight reads the features that end in `last`, or the output of the network, or None."""
    from torch import nn

    reader = trace.next(last)
    kinds = nn.Linear if isinstance(trace.module(node), nn.Linear) else nn.Conv2d | nn.ConvTranspose2d
    if reader is not None and trace.flattens(reader):
        reader, kinds = trace.next(reader), nn.Linear
    if reader is None or reader.op == "output" or isinstance(trace.module(reader), kinds):
        return reader
    return None
