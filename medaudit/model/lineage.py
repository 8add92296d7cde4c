"""Whether one model was made from another: how far what one has learned goes with what the other has.

Networks that were trained apart from random starts have unlike weights, even of one architecture on one set of data;
fine-tuning, pruning, quantising and exporting again hardly move them. Three things look like it and are not: tables
that both files hold (filters, scales), which are the same to the last digit; early layers that both took from one
public model, whose heads are their own; and models without a hidden layer, whose weights follow from the data. So
the head must go with the other's, and what is neither the head nor the same must too. No such test is a proof: a
maker who shuffles hidden units hides it, and then is compared as a stranger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

FEWEST = 8  # numbers below which a tensor says nothing
LOOKED_AT = 4096  # numbers of a tensor that are compared, evenly over it
MOST = 2000  # tensors of one shape
SAME = 1 - 1e-6  # correlation from which a tensor is the same, if of another type
LEARNED = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8}


def kinship(model: ModelProto, other: ModelProto) -> float:
    """How far learned numbers go together, 0 to 1: the lesser of the heads' correlation and of the layers' before.

    A tensor's is its largest with any of the same shape, or of a matrix's turned shape, in the other model; layers
    count by their size, those that are the same in both not at all. 1 where everything is the same; 0 where nothing
    is learned, or nothing but a head. Tensors outside the file are not looked at.
    """
    theirs = _by_shape(other)
    every = [(array.size, _best(array, theirs)) for array in _arrays(model)]
    told = [(size, best) for size, best in every if best is not None]
    if told and all(best >= SAME for _, best in told):
        return 1.0
    if not told:
        return 0.0
    *body, (_, head) = told
    sizes, bests = np.array([(size, best) for size, best in body if best < SAME]).reshape(-1, 2).T
    return float(max(0.0, min(head, np.average(bests, weights=sizes)))) if sizes.size else 0.0


def _best(array: np.ndarray, theirs: dict[tuple[int, ...], np.ndarray]) -> float | None:
    """Largest correlation, at least 0; None where the tensor is flat."""
    own = _sample(array)
    if own is None:
        return None
    return max(0.0, float((theirs[array.shape] @ own).max())) if array.shape in theirs else 0.0


def _by_shape(model: ModelProto) -> dict[tuple[int, ...], np.ndarray]:
    """Samples of all tensors of one shape, and of matrices as if they were turned, [tensors, numbers]."""
    rows: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for array in _arrays(model):
        for one in (array, array.T) if array.ndim == 2 else (array,):
            sample = _sample(one) if len(rows[one.shape]) < MOST else None
            if sample is not None:
                rows[one.shape].append(sample)
    return {shape: np.array(own) for shape, own in rows.items() if own}


def _sample(array: np.ndarray) -> np.ndarray | None:
    """Numbers of a tensor, evenly over it, centred and of length 1; None where all are alike."""
    flat = array.ravel()[np.unique(np.linspace(0, array.size - 1, min(array.size, LOOKED_AT)).astype(int))]
    centred = np.nan_to_num(flat.astype(np.float64), posinf=0.0, neginf=0.0)
    centred = centred - centred.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else None


def _arrays(model: ModelProto) -> list[np.ndarray]:
    """Everything with enough numbers, in the order in which nodes read it: the last is the head's."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    out = [array for function in model.functions for node in function.node for array in _of_node(node, {})]
    for node in model.graph.node:
        out += sorted(_of_node(node, held), key=np.size)
    return out


def _of_node(node: NodeProto, held: dict[str, TensorProto]) -> Iterator[np.ndarray]:
    """What a node reads for the first time, and what it holds itself; subgraphs too."""
    for name in node.input:
        if name in held:
            yield from _of_tensor(held.pop(name))
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            yield from _of_tensor(attribute.t)
        elif attribute.type == AttributeProto.FLOATS and len(attribute.floats) >= FEWEST:
            yield np.array(attribute.floats)
        elif attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            yield from _of_graphs([attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs, held)


def _of_graphs(graphs: Iterable[GraphProto], held: dict[str, TensorProto]) -> Iterator[np.ndarray]:
    for graph in graphs:
        own = held | {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            yield from _of_node(node, own)


def _of_tensor(tensor: TensorProto) -> Iterator[np.ndarray]:
    inside = tensor.data_location != TensorProto.EXTERNAL and tensor.data_type in LEARNED
    if inside and np.prod(tensor.dims, dtype=np.float64) >= FEWEST:
        try:
            yield numpy_helper.to_array(tensor)
        except (ValueError, TypeError):
            return  # its shape and its bytes disagree; the session says so
