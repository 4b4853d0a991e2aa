"""What each operation of a graph does to channels.

To add an operation: one entry here, of a function (tracker, node) → the channels of what it puts out, None where they are not
followed, a list where it puts out several tensors. An operation that is not listed, or fails, is named in the report and left
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from full_scale.removal.analysis.operations import (
    attention,
    choices,
    contractions,
    norms,
    pieces,
    pointwise,
    pooling,
    positions,
    recurrent,
    shapes,
)

Operation = Callable[..., Any]

OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), contractions.convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), contractions.transposed_convolution),
    "linear": contractions.linear,
    **dict.fromkeys(pointwise.UNARY, pointwise.unary),
    **dict.fromkeys(("add", "sub", "mul", "div"), pointwise.binary),
    **dict.fromkeys(choices.COMPARISONS, choices.comparison),
    **dict.fromkeys(("maximum", "minimum", "max", "min"), choices.extreme),
    "where": choices.where,
    "masked_fill": choices.masked_fill,
    "prelu": pointwise.prelu,
    "_native_batch_norm_legit_no_training": norms.batch_norm,
    **dict.fromkeys(("_native_batch_norm_legit", "instance_norm"), norms.own_statistics),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent.layers),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), recurrent.cell),
    "scaled_dot_product_attention": attention.attention,
    **dict.fromkeys(("matmul", "bmm"), attention.product),
    "group_norm": norms.group_norm,
    **dict.fromkeys(("layer_norm", "rms_norm"), norms.layer_norm),
    **dict.fromkeys(
        ("clone", "alias", "detach", "contiguous", "dropout", "_to_copy", "type_as", "lift_fresh_copy"), pointwise.same
    ),
    "_assert_tensor_metadata": pointwise.asserted,
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "unflatten"), shapes.view),
    **dict.fromkeys(("permute", "transpose", "unsqueeze", "squeeze"), shapes.moved),
    "expand": shapes.expanded,
    "cat": shapes.cat,
    **dict.fromkeys(("pad", "constant_pad_nd"), shapes.pad),
    **dict.fromkeys((f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)), shapes.reflected),
    **dict.fromkeys(("slice", "select"), pieces.part),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), pieces.split),
    "glu": pieces.gated_linear_unit,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), pieces.channel_shuffle),
    "pixel_shuffle": pieces.pixel_shuffle,
    "pixel_unshuffle": pieces.pixel_unshuffle,
    **dict.fromkeys((f"max_pool{n}d" for n in (1, 2, 3)), pooling.max_pool),
    **dict.fromkeys((f"max_pool{n}d_with_indices" for n in (2, 3)), pooling.max_pool_with_places),
    **dict.fromkeys((f"adaptive_max_pool{n}d" for n in (1, 2, 3)), pooling.max_pool_with_places),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), positions.unpooled),
    "flip": positions.flipped,
    "roll": positions.rolled,
    **dict.fromkeys(("repeat", "tile"), positions.repeated_whole),
    "repeat_interleave": positions.repeated_each,
    "stack": positions.stacked,
    **dict.fromkeys(("sum", "linalg_vector_norm", "std", "var"), positions.reduced),
    "im2col": positions.patches,
    **dict.fromkeys((f"avg_pool{n}d" for n in (1, 2, 3)), pooling.average_pool),
    **dict.fromkeys((f"adaptive_avg_pool{n}d" for n in (1, 2, 3)), pooling.resized),
    **dict.fromkeys(
        (
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
            "upsample_linear1d",
            "upsample_bilinear2d",
            "upsample_trilinear3d",
            *(f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)),
            "_upsample_bilinear2d_aa",
        ),
        pooling.resized,
    ),
    **dict.fromkeys(("upsample_bicubic2d", "_upsample_bicubic2d_aa"), pooling.overshooting),
    **dict.fromkeys(("mean", "amax", "amin"), pooling.mean),
}
