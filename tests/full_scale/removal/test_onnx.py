"""ONNX files: read as onnxruntime runs them, shrunk within their own graph, and refused in one line where they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.census import CACHE, RELEASED, cached
from full_scale.__main__ import main
from full_scale.removal import audit_onnx, read_onnx, shrink_onnx
from mechanisms.validation import UserError

onnx = pytest.importorskip("onnx", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
runtime = pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install implicit-filter-sparsity[onnx]")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, INT = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
DEAD = [1, 3, 4]
"""Filters of the first layers that are dead."""

REMOVABLE = [2, 3, 3, 3, 2, 1, 0]
"""Features of each layer of `network` that can go: one of the first carries their constants; a gate goes with what it gates."""


class Graph:
    """Makes a file node by node; `weights` draws tensors, `put` adds a node and names what it puts out."""

    def __init__(self, opset: int = 17, dtype: Any = np.float32, sizes: tuple[Any, ...] = ("n", 3, "h", "w")) -> None:
        self.opset, self.dtype, self.sizes = opset, dtype, sizes
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.draws = np.random.default_rng(0)

    def weights(self, *shape: int, dead: list[int] | None = None, axis: int = 0) -> str:
        numbers = self.draws.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))
        numbers[(slice(None),) * axis + (dead or [],)] = 0
        return self.tensor(numbers.astype(self.dtype))

    def tensor(self, numbers: Any, name: str | None = None) -> str:
        name = name or f"tensor.{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(numbers), name))
        return name

    def put(self, kind: str, *inputs: str, out: str = "", outputs: int = 1, **attributes: Any) -> str:
        names = [out or f"made.{len(self.nodes)}.{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"/{kind}.{len(self.nodes)}", **attributes))
        return names[0]

    def model(self, last: str, *, ir_version: int = 8) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        inputs = [helper.make_tensor_value_info("images", kind, list(self.sizes))]
        outputs = [helper.make_empty_tensor_value_info(last)]
        graph = helper.make_graph(self.nodes, "graph", inputs, outputs, self.tensors)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir_version)
        return onnx.shape_inference.infer_shapes(made)

    def save(self, last: str, path: Path, **how: Any) -> Path:
        onnx.save(self.model(last, **how), str(path))
        return path


def network(path: Path, opset: int = 17, dtype: Any = np.float32, **how: Any) -> Path:
    """A network whose layers lose filters in each of the ways that files write them; its head states sizes as numbers."""
    g = Graph(opset, dtype)
    norm = [g.tensor(np.abs(g.draws.normal(size=8)).astype(dtype) + dtype(0.5)) for _ in range(4)]
    gone = numpy_helper.to_array(g.tensors[0]).copy()
    gone[DEAD] = 0
    g.tensors[0].CopyFrom(numpy_helper.from_array(gone, g.tensors[0].name))
    x = g.put("Conv", "images", g.weights(8, 3, 3, 3), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = g.put("Relu", g.put("BatchNormalization", x, *norm))
    x = g.put("Conv", x, g.weights(8, 8, 3, 3, dead=DEAD), auto_pad="SAME_UPPER", strides=[2, 2])
    x = g.put("Add", x, g.tensor(np.where(np.isin(np.arange(8), DEAD), -1, 0.3).astype(dtype).reshape(1, 8, 1, 1)))
    x = g.put("Relu", x)
    x = g.put("Conv", x, g.weights(8, 1, 3, 3), g.weights(8, dead=DEAD), group=8, pads=[1, 1, 1, 1])
    gate = g.put("Conv", g.put("GlobalAveragePool", x), g.weights(8, 8, 1, 1), g.weights(8))
    x = g.put("Mul", x, g.put("HardSigmoid", gate, alpha=0.2, beta=0.5))
    x = g.put("Conv", x, g.weights(6, 8, 1, 1, dead=[0, 5]), g.weights(6))
    x = g.put("GlobalAveragePool", g.put("LeakyRelu", x, alpha=0.1))
    x = g.put("Reshape", x, g.tensor(np.array([-1, 6], np.int64)))
    x = g.put("Gemm", x, g.weights(10, 6, dead=[2]), g.weights(10), transB=1)
    x = g.put("MatMul", g.put("Relu", x), g.weights(10, 5))
    g.put("Add", x, g.weights(5), out="scores")
    return g.save("scores", path, **how)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"images": images})[0]
    return found


def drawn(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


@pytest.mark.parametrize(("opset", "dtype"), [(9, np.float32), (13, np.float16), (21, np.float32)])
def test_a_file_is_written_back_smaller_into_its_own_graph(opset: int, dtype: Any, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", opset, dtype, ir_version=3 if opset == 9 else 8)
    if opset == 9:  # such files list their tensors among the inputs
        model = onnx.load(str(path))
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        onnx.save(model, str(path))
    report = shrink_onnx(path, tmp_path / "small.onnx", (1, 3, 12, 12))
    assert list(report.layers["removable"]) == REMOVABLE
    assert report.is_exact
    before, after = (onnx.load(str(tmp_path / name)) for name in ("net.onnx", "small.onnx"))
    assert [node.name for node in after.graph.node] == [node.name for node in before.graph.node]
    assert [tensor.name for tensor in after.graph.initializer if "sizes" not in tensor.name] == [
        tensor.name for tensor in before.graph.initializer if tensor.data_type != INT
    ]
    assert (after.graph.input[0], after.graph.output[0]) == (before.graph.input[0], before.graph.output[0])
    assert sum(t.ByteSize() for t in after.graph.initializer) < 0.75 * sum(t.ByteSize() for t in before.graph.initializer)
    for shape in ((1, 3, 12, 12), (5, 3, 9, 14)):
        one, other = (run(tmp_path / name, drawn(*shape, dtype=dtype)) for name in ("net.onnx", "small.onnx"))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-2 if dtype == np.float16 else 1e-5)
    assert json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))["after"]["parameters"] == report.after.parameters


def test_constants_that_are_not_zero_get_a_bias(tmp_path: Path) -> None:
    g = Graph(sizes=("n", 3, 8, 8))
    x = g.put("Conv", "images", g.weights(4, 3, 1, 1, dead=[0, 2]), g.tensor(np.full(4, 0.7, np.float32)))
    x = g.put("Conv", x, g.weights(4, 4, 1, 1))
    x = g.put("Relu", x)
    x = g.put("Transpose", g.put("Conv", x, g.weights(4, 4, 1, 1, dead=[1]), g.weights(4)), perm=[0, 2, 3, 1])
    turned = g.put("Transpose", g.weights(3, 4), perm=[1, 0])
    path = g.save(g.put("Softmax", g.put("MatMul", x, turned), axis=-1), tmp_path / "net.onnx")
    report = shrink_onnx(path, tmp_path / "small.onnx")
    assert int(report.features["removable"].sum()) == 3
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "small.onnx")).graph.node]
    assert kinds == ["Conv", "Conv", "Relu", "Conv", "Transpose", "MatMul", "Add", "Softmax"]
    np.testing.assert_allclose(*(run(tmp_path / name, drawn(2, 3, 8, 8)) for name in ("net.onnx", "small.onnx")), atol=1e-6)


def test_weights_that_are_kept_in_half_precision_stay_so(tmp_path: Path) -> None:
    g = Graph(sizes=("n", 3, 8, 8))
    halves = [g.draws.normal(size=shape).astype(np.float16) for shape in ((40, 3, 3, 3), (8, 40, 1, 1))]
    halves[0][::2] = 0
    first, second = (g.put("Cast", g.tensor(half), to=FLOAT) for half in halves)
    x = g.put("Relu", g.put("Conv", "images", first, g.tensor(-np.ones(40, np.float32)), pads=[1, 1, 1, 1]))
    path = g.save(g.put("Conv", x, second), tmp_path / "net.onnx")
    report = shrink_onnx(path, tmp_path / "small.onnx")
    assert int(report.features["removable"].sum()) == 20
    after = onnx.load(str(tmp_path / "small.onnx")).graph.initializer
    assert sorted(tuple(part.dims) for part in after if part.data_type == onnx.TensorProto.FLOAT16) == [
        (8, 20, 1, 1),
        (20, 3, 3, 3),
    ]
    np.testing.assert_allclose(*(run(tmp_path / name, drawn(2, 3, 8, 8)) for name in ("net.onnx", "small.onnx")), atol=1e-5)


def pointwise(kind: str, **attributes: Any) -> Any:
    return lambda g, x: g.put(kind, x, **attributes)


def scaled(kind: str, *arrays: Any, **attributes: Any) -> Any:
    return lambda g, x: g.put(kind, x, *("" if array is None else g.tensor(array) for array in arrays), **attributes)


def sizes_at_run_time(g: Graph, x: str) -> str:
    shape = g.put("Shape", x)
    count = g.put("Gather", shape, g.tensor(np.array(0)), axis=0)
    first = g.put("Unsqueeze", count, g.tensor(np.array([0])))
    return g.put("Reshape", x, g.put("Concat", first, g.tensor(np.array([-1])), axis=0))


def resized_to_another(g: Graph, x: str) -> str:
    small = g.put("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    sizes = g.put("Slice", g.put("Shape", x), g.tensor(np.array([2])), g.tensor(np.array([4])), g.tensor(np.array([0])))
    start = g.put("Slice", g.put("Shape", small), g.tensor(np.array([0])), g.tensor(np.array([2])), g.tensor(np.array([0])))
    joined = g.put("Concat", start, sizes, axis=0)
    return g.put("Resize", small, "", "", joined, mode="linear", coordinate_transformation_mode="pytorch_half_pixel")


def recurrent(kind: str, gates: int, **attributes: Any) -> Any:
    def put(g: Graph, x: str) -> str:
        steps = g.put("Transpose", g.put("ReduceMean", x, axes=[2], keepdims=0), perm=[2, 0, 1])
        tensors = [g.weights(2, gates * 5, 4), g.weights(2, gates * 5, 5), g.weights(2, gates * 10)]
        return g.put(kind, steps, *tensors, hidden_size=5, direction="bidirectional", **attributes)

    return put


def started(g: Graph, x: str) -> str:
    """An LSTM whose first states are made for as many images as there are."""
    steps = g.put("Transpose", g.put("ReduceMean", x, axes=[2], keepdims=0), perm=[2, 0, 1])
    images = g.put("Slice", g.put("Shape", steps), g.tensor(np.array([1])), g.tensor(np.array([2])))
    shape = g.put("Concat", g.tensor(np.array([1])), images, g.tensor(np.array([5])), axis=0)
    states = g.put("ConstantOfShape", shape, value=helper.make_tensor("value", FLOAT, [1], [0.5]))
    return g.put("LSTM", steps, g.weights(1, 20, 4), g.weights(1, 20, 5), "", "", states, states, hidden_size=5)


ONE = np.array(1.0, np.float32)
VECTOR = np.linspace(0.5, 2, 4, dtype=np.float32)
OPERATIONS = {
    **{
        kind: pointwise(kind)
        for kind in ("Relu", "Sigmoid", "Tanh", "Softplus", "HardSwish", "Elu", "Selu", "Celu", "Erf", "Exp")
    },
    **{
        kind: pointwise(kind) for kind in ("HardSigmoid", "LeakyRelu", "Softsign", "Abs", "Neg", "Floor", "Mish", "GlobalMaxPool")
    },
    "Clip": scaled("Clip", np.array(-0.5, np.float32), np.array(0.5, np.float32)),
    "Clip, no low": scaled("Clip", None, ONE),
    "Pow": scaled("Pow", np.array(2.0, np.float32)),
    "Sub": scaled("Sub", VECTOR.reshape(1, 4, 1, 1)),
    "PRelu": scaled("PRelu", VECTOR.reshape(4, 1, 1)),
    "Min": scaled("Min", VECTOR.reshape(1, 4, 1, 1)),
    "Softmax": pointwise("Softmax", axis=1),
    "MaxPool": pointwise("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "MaxPool, uneven": pointwise("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "AveragePool": pointwise("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "AveragePool, uneven": pointwise("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "AveragePool, counted": pointwise("AveragePool", kernel_shape=[3, 3], pads=[0, 0, 1, 1], count_include_pad=1),
    "ReduceMean": pointwise("ReduceMean", axes=[2, 3], keepdims=0),
    "ReduceMax": pointwise("ReduceMax", axes=[-1]),
    "ReduceL2": pointwise("ReduceL2", axes=[1]),
    "Resize": scaled(
        "Resize",
        None,
        np.array([1, 1, 2, 2], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "Resize, linear": resized_to_another,
    "Pad": scaled("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 2]), np.array(0.5, np.float32)),
    "Pad, one axis": scaled("Pad", np.array([0, 1, 0, 0, 0, 2, 0, 0]), mode="reflect"),
    "Dropout": pointwise("Dropout"),
    "Pad, reflect": scaled("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
    "Slice": scaled("Slice", np.array([1]), np.array([7]), np.array([2]), np.array([2])),
    "Gather": scaled("Gather", np.array([2, 0]), axis=1),
    "Flatten": pointwise("Flatten", axis=-1),
    "Squeeze": lambda g, x: g.put("Squeeze", g.put("GlobalAveragePool", x), g.tensor(np.array([2, 3]))),
    "Tile": scaled("Tile", np.array([1, 1, 2, 1])),
    "Expand": lambda g, x: g.put("Expand", g.put("GlobalAveragePool", x), g.tensor(np.array([1, 4, 3, 5]))),
    "DepthToSpace": pointwise("DepthToSpace", blocksize=2),
    "DepthToSpace, CRD": pointwise("DepthToSpace", blocksize=2, mode="CRD"),
    "SpaceToDepth": pointwise("SpaceToDepth", blocksize=2),
    "Split": lambda g, x: g.put("Sub", g.put("Split", x, axis=1, outputs=2), f"made.{len(g.nodes) - 1}.1"),
    "InstanceNormalization": scaled("InstanceNormalization", VECTOR, VECTOR),
    "LayerNormalization": scaled("LayerNormalization", np.ones(8, np.float32), np.ones(8, np.float32)),
    "LRN": pointwise("LRN", size=3),
    "ConvTranspose": lambda g, x: g.put(
        "ConvTranspose", x, g.weights(4, 2, 3, 3), g.weights(4), group=2, strides=[2, 2], pads=[1, 1, 0, 0], output_padding=[1, 1]
    ),
    "Einsum": lambda g, x: g.put("Einsum", x, x, equation="nchw,ndhw->ncd"),
    "Where": lambda g, x: g.put("Where", g.put("Greater", x, g.tensor(ONE)), x, g.tensor(ONE)),
    "Reshape": sizes_at_run_time,
    "LSTM": recurrent("LSTM", 4),
    "GRU": recurrent("GRU", 3, linear_before_reset=1),
    "LSTM, with states": started,
    "Cast": lambda g, x: g.put("Cast", g.put("Cast", x, to=onnx.TensorProto.DOUBLE), to=FLOAT),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_onnxruntime(name: str, tmp_path: Path) -> None:
    g = Graph(opset=22 if name == "Mish" else 18 if "Split" in name else 17)
    if name == "Split":
        OPERATIONS[name] = lambda g, x: g.put("Sub", g.put("Split", x, axis=1, outputs=2, num_outputs=2), "made.1.1")
    last = OPERATIONS[name](g, g.put("Conv", "images", g.weights(4, 3, 1, 1), g.weights(4)))
    path = g.save(last, tmp_path / "net.onnx")
    found = read_onnx(path, (2, 3, 8, 8))
    assert not found.left_out
    for shape in ((2, 3, 8, 8), (1, 3, 12, 8)):
        images = drawn(*shape)
        with torch.no_grad():
            own: Any = found(torch.from_numpy(images))
        np.testing.assert_allclose(own, run(path, images), rtol=1e-4, atol=1e-5)


def test_sizes_that_a_file_states_follow_its_channels(tmp_path: Path) -> None:
    g = Graph(sizes=("n", 3, "h", "w"))
    x = g.put("Conv", "images", g.weights(6, 3, 3, 3, dead=[1, 5]), g.weights(6), pads=[1, 1, 1, 1])
    small = g.put("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.put("Add", x, g.put("Resize", small, "", "", g.tensor(np.array([1, 6, 8, 8])), mode="nearest"))
    x = g.put("Expand", g.put("GlobalAveragePool", x), g.tensor(np.array([1, 6, 2, 2])))
    head = g.put("Reshape", x, g.tensor(np.array([0, 24])))
    path = g.save(g.put("Gemm", head, g.weights(24, 3), g.weights(3)), tmp_path / "net.onnx")
    report = shrink_onnx(path, tmp_path / "small.onnx", (1, 3, 8, 8))
    assert int(report.features["removable"].sum()) >= 1
    np.testing.assert_allclose(*(run(tmp_path / name, drawn(1, 3, 8, 8)) for name in ("net.onnx", "small.onnx")), atol=1e-6)


def test_what_is_not_covered_is_named_and_stays(tmp_path: Path) -> None:
    g = Graph(sizes=(1, 3, 8, 8))
    x = g.put("Conv", "images", g.weights(6, 3, 1, 1, dead=[2]), g.weights(6))
    x = g.put("Conv", g.put("Relu", x), g.weights(5, 6, 1, 1, dead=[0]), g.weights(5))
    path = g.save(g.put("Cast", g.put("NonZero", x), to=FLOAT), tmp_path / "net.onnx")
    report = shrink_onnx(path, tmp_path / "small.onnx")
    assert list(report.features["removable"]) == [False, False, True] + [False] * 8
    assert any("NonZero /NonZero.3 is not covered" in note for note in report.notes)
    np.testing.assert_allclose(*(run(tmp_path / name, drawn(1, 3, 8, 8)) for name in ("net.onnx", "small.onnx")))


@pytest.mark.parametrize("kind", ["Expand", "ConstantOfShape", "Tile", "Range"])
def test_a_file_cannot_ask_for_more_memory_than_there_is(kind: str, tmp_path: Path) -> None:
    g, many = Graph(sizes=(1, 3, 8, 8)), 10**12
    inputs = {"Expand": [np.ones(1, np.float32), [many]], "Tile": [np.ones(2, np.float32), [many]], "ConstantOfShape": [[many]]}
    made = g.put(kind, *(g.tensor(np.asarray(part)) for part in inputs.get(kind, [0.0, float(many), 1.0])))
    x = g.put("Conv", "images", g.weights(4, 3, 1, 1), g.weights(4))
    path = g.save(g.put("Add", g.put("ReduceMax", made, keepdims=0), x), tmp_path / "net.onnx")
    notes = audit_onnx(path).notes
    assert any(f"{kind} /{kind}.0 is not covered" in note for note in notes)


def test_a_file_without_dead_filters_stays_as_it_is(tmp_path: Path) -> None:
    g = Graph()
    path = g.save(g.put("Conv", "images", g.weights(6, 3, 1, 1), g.weights(6)), tmp_path / "net.onnx")
    report = shrink_onnx(path, tmp_path / "small.onnx")
    assert any(note.startswith("nothing to remove") for note in report.notes)
    assert (tmp_path / "small.onnx").read_bytes() == path.read_bytes()


def damaged(kind: str, path: Path) -> Path:
    """A file that cannot be read, for a reason."""
    model = onnx.load(str(network(path)))
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-400])
        return path
    if kind == "opset 3":
        model.opset_import[0].version = 3
    elif kind == "cycle":
        model.graph.node[0].input[0] = model.graph.node[1].output[0]
    elif kind == "sizes":
        model.graph.initializer[0].dims[0] = 10**12
    elif kind == "missing tensor":
        model.graph.node[0].input[1] = "nothing"
    elif kind == "quantized":
        model.graph.node.append(helper.make_node("QuantizeLinear", ["scores", "s", "z"], ["q"], name="quant"))
    elif kind == "control flow":
        model.graph.node.append(
            helper.make_node("If", ["scores"], ["out"], name="branch", then_branch=model.graph, else_branch=model.graph)
        )
    else:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "../beside.bin" if kind == "outside" else "gone.bin"), ("length", "32")):
            tensor.external_data.add(key=key, value=value)
        (path.parent.parent / "beside.bin").write_bytes(bytes(32))
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("truncated", "is not a whole ONNX file"),
        ("opset 3", "of opset 3"),
        ("cycle", "cycle"),
        ("sizes", "has sizes|needs .* bytes"),
        ("missing tensor", "reads nothing, which nothing puts out"),
        ("quantized", "quantized, QuantizeLinear quant"),
        ("control flow", "control flow, If branch"),
        ("missing", "gone.bin, which is missing"),
        ("outside", "outside of its folder"),
    ],
)
def test_damaged_files_are_refused_in_one_line(kind: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = damaged(kind, folder / "net.onnx")
    with pytest.raises(UserError, match=said) as refused:
        shrink_onnx(path, folder / "small.onnx")
    assert "\n" not in str(refused.value)
    assert [file.name for file in folder.iterdir()] == ["net.onnx"]


def test_external_data_in_the_folder_are_read(tmp_path: Path) -> None:
    model = onnx.load(str(network(tmp_path / "net.onnx")))
    onnx.save(model, str(tmp_path / "apart.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert (tmp_path / "weights.bin").exists()
    one, other = (audit_onnx(tmp_path / name, (1, 3, 12, 12)).features for name in ("net.onnx", "apart.onnx"))
    assert one.equals(other)
    shrink_onnx(tmp_path / "apart.onnx", tmp_path / "small.onnx", (1, 3, 12, 12))
    np.testing.assert_allclose(*(run(tmp_path / name, drawn(1, 3, 9, 9)) for name in ("net.onnx", "small.onnx")), atol=1e-5)


def test_the_command_line_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    network(Path("net.onnx"))
    assert main(["audit", "net.onnx", "--input", "1,3,12,12"]) == 0
    shown = capsys.readouterr().out
    assert f"{sum(REMOVABLE)} removable" in shown
    assert "after removal: " in shown
    words = shown.splitlines()[-1].partition("full_scale ")[2].split()
    assert main(words) == 0
    assert "Differences from the same function" in capsys.readouterr().out
    assert sorted(path.name for path in Path().iterdir()) == ["net.onnx", "small.json", "small.onnx"]
    for words, said in (
        (["shrink", "net.onnx", "--out", "small.pt2"], "ends in .onnx"),
        (["audit", "net.onnx", "--input", "1,4,8,8"], "takes images of shape"),
        (["audit", "none.onnx"], "there is no file"),
        (["audit", "net.onnx", "--weights", "w.pt"], "holds network and weights"),
    ):
        assert main(words) == 2
        refused = capsys.readouterr().err
        assert said in refused
        assert refused.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "dead", "removed"),
    [("PP-OCRv6_det_small.onnx", 876, 737), ("ch_PP-OCRv4_det_infer.onnx", 13, 12), ("ch_PP-OCRv4_rec_infer.onnx", 114, 108)],
)
def test_released_networks_lose_what_is_dead_in_them(file: str, dead: int, removed: int) -> None:
    released = next(one for one in RELEASED if one.file == file)
    path = cached(released, CACHE, fetch=False)
    if path is None:
        pytest.skip(f"{released.package} is not in {CACHE}: python -m benchmarks.census fetches it")
    found = audit_onnx(path, dust=1e-6)
    assert int((found.features["kind"] != "alive").sum()) >= dead
    assert int(found.features["removable"].sum()) >= removed
