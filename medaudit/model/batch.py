"""Freeing a batch axis that an exporter fixed, and proof that the answers stayed the same.

Changing the declared shape is not enough: constants of Reshape and Expand carry the number too,
and recurrent layers may carry zero initial states of that batch. The rewrite is a guess; it is
kept only if the caller finds equal answers (see `pipeline.open_pipeline`).
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
from onnx import numpy_helper

RECURRENT = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}


def fixed_batch(proto: onnx.ModelProto) -> int:
    """The batch size the graph's inputs declare, or 0 where it is free."""
    made = {i.name for i in proto.graph.initializer}
    for value in proto.graph.input:
        if value.name in made or not value.type.HasField("tensor_type"):
            continue
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].HasField("dim_value"):
            return int(dims[0].dim_value)
    return 0


def freed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with a free batch axis. May be wrong: compare answers before using it."""
    batch = fixed_batch(proto)
    model = copy.deepcopy(proto)
    graph = model.graph
    made = {i.name for i in graph.initializer}
    for value in [*graph.input, *graph.output]:
        if value.name in made or not value.type.HasField("tensor_type"):
            continue
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].ClearField("dim_value")
            dims[0].dim_param = "batch"
    del graph.value_info[:]
    constants = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = attribute.t
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            _free_shape(constants[node.input[1]], batch)
        for place in RECURRENT.get(node.op_type, ()):
            if len(node.input) > place and _is_zero(constants.get(node.input[place])):
                node.input[place] = ""
    return model


def _free_shape(tensor: onnx.TensorProto, batch: int) -> None:
    shape = numpy_helper.to_array(tensor).copy()
    if shape.ndim == 1 and shape.size and shape[0] == batch:
        shape[0] = 0 if -1 in shape else -1  # 0 copies the input's own batch
        tensor.CopyFrom(numpy_helper.from_array(shape.astype(np.int64), tensor.name))


def _is_zero(tensor: onnx.TensorProto | None) -> bool:
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return False
    return not np.any(numpy_helper.to_array(tensor))
