"""What each operation of ONNX is in torch.

To add an operation: one entry in one of these tables, of a function (call, inputs) → a tensor, or a list where
it puts out several. Inputs are tensors, or NumPy arrays of what is known without looking at any image, such as sizes and axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from full_scale.removal.onnx.operations.pointwise import POINTWISE
from full_scale.removal.onnx.operations.positions import POSITIONS
from full_scale.removal.onnx.operations.shapes import SHAPES

OPERATIONS: dict[str, Callable[..., Any]] = {**POINTWISE, **POSITIONS, **SHAPES}

SIZES = {
    **dict.fromkeys(("Reshape", "Expand", "Tile", "Upsample", "Squeeze", "Unsqueeze", "Split", "TopK", "CumSum", "Trilu"), (1,)),
    **{f"Reduce{kind}": (1,) for kind in ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")},
    **{"Resize": (1, 2, 3), "Slice": (1, 2, 3, 4), "Pad": (1, 2, 3), "Clip": (1, 2), "Dropout": (1, 2), "Range": (0, 1, 2)},
    **{"ConstantOfShape": (0,), "Gather": (1,)},
}
"""Operation → its inputs that say how it works and are no numbers to be computed with."""
