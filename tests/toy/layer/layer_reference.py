"""The layer model written once more, in torch with autograd and torch's own BatchNorm: what the engines are held against."""

import torch
from torch.nn.functional import batch_norm, leaky_relu, relu

from toy.layer.network import split


def torch_loss(spec, parts, inputs, targets):
    """The sum over replicates of the loss; parts are torch tensors, inputs (R, d, B) and targets (R, M, B) too."""
    values = parts["incoming"] @ inputs
    if spec.feature_normalization:
        values = _normalized(spec, values)
    values = parts["scale"][..., None] * values + parts["shift"][..., None]
    values = relu(values) if spec.activation == "relu" else leaky_relu(values, 0.01)
    sums = parts["outgoing"].mT @ values
    if spec.output_normalization:
        sums = _normalized(spec, sums)
    outputs = parts["gain"][..., None] * sums + parts["offset"][..., None]
    return ((outputs - targets) ** 2).mean((1, 2)).sum() / 2


def _normalized(spec, values):
    replicates, features, batch = values.shape
    flat = values.permute(2, 0, 1).reshape(batch, replicates * features)
    done = batch_norm(flat, None, None, training=True, eps=spec.batchnorm_epsilon)
    return done.reshape(batch, replicates, features).permute(1, 2, 0)


def torch_parts(spec, vectors):
    return {name: torch.tensor(part, requires_grad=True) for name, part in split(spec, vectors).items()}
