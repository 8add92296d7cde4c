"""Small graphs written node by node, for tests whose answers are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def graph(
    path: Path, nodes: list[onnx.NodeProto], width: int | tuple[int, ...], shape: list[int | str],
    kind: int = TensorProto.FLOAT, **given: np.ndarray,
) -> None:  # fmt: skip
    """A graph from x [n, *width] to y of that shape, with the arrays that its nodes name."""
    row = width if isinstance(width, tuple) else (width,)
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *row])],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in given.items()],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(path))


def linear(path: Path, weights: np.ndarray, bias: np.ndarray | None = None) -> None:
    """A linear model: weights [width, classes], bias [classes]."""
    nodes, given = [helper.make_node("MatMul", ["x", "w"], ["y" if bias is None else "z"])], {"w": weights}
    if bias is not None:
        nodes.append(helper.make_node("Add", ["z", "b"], ["y"]))
        given["b"] = bias
    graph(path, nodes, len(weights), ["n", weights.shape[1]], **given)
