"""Models with random weights for the benchmarks, made with onnx alone.

Answers are levelled on standard normal rows, so that every class occurs: a walk from labels needs a start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

Made = tuple[str, tuple[int, ...]]  # input name, shape of one row


class Graph:
    """Collects nodes and weights of a feed-forward graph."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.count = 0

    def weight(self, *shape: int, scale: float | None = None) -> str:
        fan = int(np.prod(shape[1:])) or 1
        values = self.rng.standard_normal(shape) * (scale or np.sqrt(2 / fan))
        return self.constant(values.astype(np.float32))

    def constant(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path, row: tuple[int, ...], last: str, classes: int) -> None:
        raw = self._model(row, last, classes)
        session = ort.InferenceSession(raw.SerializeToString(), providers=["CPUExecutionProvider"])
        rows = np.random.default_rng(9).standard_normal((64, *row)).astype(np.float32)
        got = session.run(None, {"x": rows})[0]
        level = self.node("Sub", last, self.constant(got.mean(axis=0)))
        onnx.save(self._model(row, self.node("Div", level, self.constant(got.std(axis=0))), classes), str(path))

    def _model(self, row: tuple[int, ...], last: str, classes: int) -> onnx.ModelProto:
        out = helper.make_node("Identity", [last], ["logits"])
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *row])
        y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])
        graph = helper.make_graph([*self.nodes, out], "bench", [x], [y], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def mlp(path: Path) -> tuple[int, ...]:
    """714 -> 400 -> 2 of the in-hospital-mortality benchmark: about 2 us a row."""
    g = Graph(1)
    h = g.node("Relu", g.node("Gemm", "x", g.weight(400, 714), g.weight(400, scale=0.1), transB=1))
    g.save(path, (714,), g.node("Gemm", h, g.weight(2, 400), g.weight(2, scale=0.1), transB=1), 2)
    return (714,)


def lstm(path: Path) -> tuple[int, ...]:
    """48 hours x 76 numbers, bidirectional LSTM of 48: about 70 us a row."""
    g = Graph(2)
    x = g.node("Transpose", "x", perm=[1, 0, 2])
    y = g.node("LSTM", x, g.weight(2, 192, 76), g.weight(2, 192, 48), g.weight(2, 384, scale=0.1),
               hidden_size=48, direction="bidirectional")  # fmt: skip
    last = g.node("Gather", y, g.constant(np.array(47, dtype=np.int64)), axis=0)
    flat = g.node(
        "Reshape",
        g.node("Transpose", last, perm=[1, 0, 2]),
        g.constant(np.array([-1, 96], dtype=np.int64)),
    )
    g.save(path, (48, 76), g.node("Gemm", flat, g.weight(2, 96), g.weight(2, scale=0.1), transB=1), 2)
    return (48, 76)


def small_cnn(path: Path) -> tuple[int, ...]:
    """1 x 64 x 64 image, three convolutions with stride: about 20 us a row."""
    g = Graph(3)
    h = "x"
    for i, (a, b) in enumerate([(1, 24), (24, 56), (56, 56)]):
        stride = [4, 4] if i == 0 else [2, 2]
        h = g.node("Relu", g.node("Conv", h, g.weight(b, a, 3, 3), strides=stride, pads=[1, 1, 1, 1]))
    h = g.node("Flatten", h)
    g.save(path, (1, 64, 64), g.node("Gemm", h, g.weight(2, 896), g.weight(2, scale=0.1), transB=1), 2)
    return (1, 64, 64)


def ecg_cnn(path: Path) -> tuple[int, ...]:
    """[9000, 1] signal, residual 1-D convolutions: at least 1 ms a row."""
    g = Graph(4)
    h = g.node("Transpose", "x", perm=[0, 2, 1])
    h = g.node("Relu", g.node("Conv", h, g.weight(16, 1, 15), strides=[2], pads=[7, 7]))
    for a, b in [(16, 16), (16, 16), (16, 32), (32, 32)]:
        h = g.node("Relu", g.node("Conv", h, g.weight(b, a, 9), strides=[2 if a != b else 1], pads=[4, 4]))
    h = g.node("Flatten", g.node("GlobalAveragePool", h))
    g.save(path, (9000, 1), g.node("Gemm", h, g.weight(4, 32), g.weight(4, scale=0.1), transB=1), 4)
    return (9000, 1)


def image_cnn(path: Path) -> tuple[int, ...]:
    """1 x 224 x 224 image: about 5 ms a row."""
    g = Graph(5)
    h = "x"
    for a, b, s in [(1, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1)]:
        h = g.node("Relu", g.node("Conv", h, g.weight(b, a, 3, 3), strides=[s, s], pads=[1, 1, 1, 1]))
    h = g.node("Flatten", g.node("GlobalAveragePool", h))
    g.save(
        path,
        (1, 224, 224),
        g.node("Gemm", h, g.weight(4, 128), g.weight(4, scale=0.1), transB=1),
        4,
    )
    return (1, 224, 224)


MODELS: dict[str, Callable[[Path], tuple[int, ...]]] = {
    "mlp-714": mlp,
    "small-cnn": small_cnn,
    "lstm-48x76": lstm,
    "ecg-cnn-9000": ecg_cnn,
    "image-cnn-224": image_cnn,
}
