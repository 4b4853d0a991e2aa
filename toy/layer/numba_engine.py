"""The compiled engine of the layer: one replicate after another, whose numbers stay in the cache; the law compiled as in the toy.

It does what `toy.layer.numpy_engine` does (`benchmarks/layer_speed.py` says how fast). The products of matrices are BLAS's, which
takes two thirds of the time of plain loops even where they are small.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import register_jitable

from mechanisms.law.dynamics import split_step
from toy.engines.kernel_cache import kept_njit
from toy.engines.numba_backend import FAST_SINGLE, jitable, load, store
from toy.layer.advance import Advance
from toy.layer.network import shapes
from toy.layer.spec import NEGATIVE_SLOPES, LayerSpec

SUMS = frozenset({"reassoc", "contract", "nsz"})
"""Sums may be taken in any order; what is not a number stays so."""

compiled = kept_njit(error_model="numpy", nogil=True, fastmath=set(SUMS))


@compiled
def _normalize(rows, inverse, epsilon, wanted):
    """Each row less its mean, over its standard deviation; `inverse` gets one over this."""
    one = rows.dtype.type(1)
    size = rows.dtype.type(rows.shape[1])
    for i in range(rows.shape[0]):
        inverse[i] = one
        if wanted:
            row = rows[i]
            mean = row.sum() / size
            square = one - one
            for b in range(row.shape[0]):
                row[b] -= mean
                square += row[b] * row[b]
            inverse[i] = one / math.sqrt(square / size + epsilon)
            for b in range(row.shape[0]):
                row[b] *= inverse[i]


@compiled
def _back(rows, normalized, inverse, factor, of_factor, of_offset, wanted):
    """In place of the gradient behind `factor · normalized + offset` that before it; factor and offset get theirs."""
    size, zero = rows.dtype.type(rows.shape[1]), rows.dtype.type(0)
    for i in range(rows.shape[0]):
        row, values = rows[i], normalized[i]
        offset, scale = zero, zero
        for b in range(row.shape[0]):
            offset += row[b]
            scale += row[b] * values[b]
        of_offset[i], of_factor[i] = offset, scale
        through = factor[i] * inverse[i]
        if wanted:
            offset, scale = offset / size, scale / size
            for b in range(row.shape[0]):
                row[b] = through * (row[b] - offset - values[b] * scale)
        else:
            for b in range(row.shape[0]):
                row[b] *= through


@compiled
def _gradient(vector, slopes, inputs, targets, features, room, numbers, wanted):
    """`slopes` = the gradient of the loss at the parameters `vector`, both (P,), as `toy.layer.network.gradient` has it.

    `room` is (normalized, active, gradient behind, inverse, sums, inverse of sums) to work in; `numbers` are the slope below 0
    and epsilon.
    """
    normalized, active, behind, inverse, sums, inverse_sums = room
    (d, batch), outputs = inputs.shape, targets.shape[0]
    a, b = features * d, features * d + features
    c, e = b + features, b + features + features * outputs
    incoming, outgoing = vector[:a].reshape(features, d), vector[c:e].reshape(features, outputs)
    gain, offset = vector[e : e + outputs], vector[e + outputs :]
    below, epsilon = numbers
    zero, one = vector.dtype.type(0), vector.dtype.type(1)

    np.dot(incoming, inputs, normalized)
    _normalize(normalized, inverse, epsilon, wanted[0])
    for k in range(features):
        row, before, scale, shift = active[k], normalized[k], vector[a + k], vector[b + k]
        for i in range(batch):
            value = scale * before[i] + shift
            row[i] = value if value > zero else below * value
    np.dot(outgoing.T, active, sums)
    _normalize(sums, inverse_sums, epsilon, wanted[1])
    weight = one / vector.dtype.type(outputs * batch)
    for m in range(outputs):
        row, before, wished = targets[m], sums[m], targets[m]
        for i in range(batch):
            row[i] = (gain[m] * before[i] + offset[m] - wished[i]) * weight

    _back(targets, sums, inverse_sums, gain, slopes[e : e + outputs], slopes[e + outputs :], wanted[1])
    np.dot(active, targets.T, slopes[c:e].reshape(features, outputs))
    np.dot(outgoing, targets, behind)
    for k in range(features):
        row, reached = behind[k], active[k]
        for i in range(batch):
            row[i] *= one if reached[i] > zero else below
    _back(behind, normalized, inverse, vector[a:b], slopes[a:b], slopes[b:c], wanted[0])
    np.dot(behind, inputs.T, slopes[:a].reshape(features, d))


def build(spec: LayerSpec) -> Advance:
    """The compiled loop for the layer, rule and regularizer of a spec."""
    number = np.dtype(spec.dtype).type
    numbers = number(NEGATIVE_SLOPES[spec.activation]), number(spec.batchnorm_epsilon)
    wanted = spec.feature_normalization, spec.output_normalization
    law = _trainer(type(spec.rule).direction, type(spec.regularizer).slope, spec.dtype)
    return lambda *arrays: law(*arrays, shapes(spec)["scale"][0], numbers, wanted)


@functools.cache
def _trainer(direction: Callable[..., Any], penalty_slope: Callable[..., Any], dtype: str) -> Any:
    """The compiled loop for one rule, regularizer and working dtype."""
    parts = direction, penalty_slope
    one_step, penalty_slope = register_jitable(split_step(jitable(direction))), jitable(penalty_slope)
    exactly = set(FAST_SINGLE) if dtype == "float32" else False

    @register_jitable
    def move(w, slopes, gates, state, strengths, fixed, inside, rate, apart, forces):
        for i in range(w.shape[0]):
            penalty = strengths[i] * penalty_slope(w[i])
            w[i], loss, reg, denominator, following = one_step(
                w[i], gates[i] * slopes[i], penalty, load(state, i), fixed, inside, rate, apart
            )
            store(state, i, following)
            if forces is not None:
                forces[0, i], forces[1, i], forces[2, i] = loss, reg, denominator

    @kept_njit(*parts, error_model="numpy", nogil=True, fastmath=exactly)
    def advance(vectors, states, inputs, targets, chosen, gates, strengths, learning_rate, beside, inside, scales,
                coefficients, forces, features, numbers, wanted):  # fmt: skip
        like, batch, outputs = vectors.dtype, chosen.shape[2], targets.shape[2]
        slopes = np.empty(vectors.shape[1], like)
        given, wished = np.empty((inputs.shape[2], batch), like), np.empty((outputs, batch), like)
        room = (
            np.empty((features, batch), like), np.empty((features, batch), like), np.empty((features, batch), like),
            np.empty(features, like),
            np.empty((outputs, batch), like), np.empty(outputs, like),
        )  # fmt: skip
        for r in range(vectors.shape[0]):
            for t in range(scales.shape[0]):
                for place, exemplar in enumerate(chosen[r, t % chosen.shape[1]]):
                    given[:, place] = inputs[r, exemplar]
                    wished[:, place] = targets[r, exemplar]
                _gradient(vectors[r], slopes, given, wished, features, room, numbers, wanted)
                fixed, state = load(coefficients, t), load(states, r)
                rate, apart = learning_rate * scales[t], beside * scales[t]
                if t + 1 < scales.shape[0]:
                    move(vectors[r], slopes, gates[r], state, strengths, fixed, inside, rate, apart, None)
                else:
                    move(vectors[r], slopes, gates[r], state, strengths, fixed, inside, rate, apart, forces[:, r])

    return advance
