"""Whether one model was made from another: how much of what one has learned is found again in the other.

Networks that were trained apart from random starts have unlike weights, even of one architecture on one set of data.
Fine-tuning, pruning, quantising and exporting again hardly move them. So correlated weights tell a new version of a
model from a rival, without knowing how either was made (after "model provenance" in watermarking; no such test is a
proof, and a maker who shuffles hidden units hides it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

FEWEST = 8  # numbers below which a tensor says nothing
LOOKED_AT = 4096  # numbers of a tensor that are compared, evenly over it
MOST = 2000  # tensors of one shape
LEARNED = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8}


def kept(model: ModelProto, other: ModelProto) -> float:
    """Share of the model's learned numbers, 0 to 1, that go with those of the other one.

    Each tensor counts by its size times its largest correlation with a tensor of the same shape, or of a matrix's
    turned shape, in the other model. Tensors outside the file are not looked at. 0 where nothing is learned.
    """
    theirs = _by_shape(other, turned=True)
    total = found = 0.0
    for shape, own in _by_shape(model, turned=False).items():
        size = float(np.prod(shape)) * len(own)
        total += size
        if shape in theirs:
            best = (own @ theirs[shape].T).max(axis=1)
            found += size * float(np.clip(best, 0, 1).mean())
    return found / total if total else 0.0


def _by_shape(model: ModelProto, turned: bool) -> dict[tuple[int, ...], np.ndarray]:
    """Samples of all tensors of one shape, [tensors, numbers], each centred and of length 1."""
    rows: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for array in _arrays(model):
        for one in (array, array.T) if turned and array.ndim == 2 else (array,):
            flat = one.ravel()[np.unique(np.linspace(0, one.size - 1, min(one.size, LOOKED_AT)).astype(int))]
            centred = np.nan_to_num(flat.astype(np.float64), posinf=0.0, neginf=0.0)
            centred = centred - centred.mean()
            length = float(np.linalg.norm(centred))
            if length > 0 and len(rows[one.shape]) < MOST:
                rows[one.shape].append(centred / length)
    return {shape: np.array(own) for shape, own in rows.items() if own}


def _arrays(model: ModelProto) -> Iterator[np.ndarray]:
    """Everything with enough numbers: initializers, constants, lists of numbers; subgraphs and functions too."""
    for function in model.functions:
        for node in function.node:
            yield from _of_node(node)
    yield from _of_graph(model.graph)


def _of_graph(graph: GraphProto) -> Iterator[np.ndarray]:
    for tensor in graph.initializer:
        yield from _of_tensor(tensor)
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: NodeProto) -> Iterator[np.ndarray]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            yield from _of_tensor(attribute.t)
        elif attribute.type == AttributeProto.FLOATS and len(attribute.floats) >= FEWEST:
            yield np.array(attribute.floats)
        elif attribute.type == AttributeProto.GRAPH:
            yield from _of_graph(attribute.g)
        elif attribute.type == AttributeProto.GRAPHS:
            for graph in attribute.graphs:
                yield from _of_graph(graph)


def _of_tensor(tensor: TensorProto) -> Iterator[np.ndarray]:
    inside = tensor.data_location != TensorProto.EXTERNAL and tensor.data_type in LEARNED
    if inside and np.prod(tensor.dims, dtype=np.float64) >= FEWEST:
        try:
            yield numpy_helper.to_array(tensor)
        except (ValueError, TypeError):
            return  # its shape and its bytes disagree; the session says so
