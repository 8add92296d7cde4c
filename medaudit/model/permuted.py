"""A graph with its weights shuffled from the last layer on: what an explanation of the trained model must not be like.

Adebayo et al. 2018, "Sanity checks for saliency maps", section 3 (cascading randomisation). A layer's weights are
permuted among themselves, so that their values stay as they were; biases stay in their places.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.checker import ValidationError

from medaudit.core import streams
from medaudit.core.errors import ModelError
from medaudit.core.text import printable
from medaudit.model import file as files
from medaudit.model.expose import copied

LEAVES = ("target_weights", "class_weights", "leaf_weights", "coefficients")  # weights that nodes hold themselves
TYPES = (1, 10, 11, 2, 3)  # float, half, double; uint8 and int8 of quantised models


def permuted(path: Path, share: float, key: int, proto: ModelProto | None = None) -> ModelProto | None:
    """The graph with the last `share` of its layers shuffled, at least one; proto: with something edited already.

    None where no layer of the main graph has stored weights. Raises ModelError for weights that cannot be read.
    """
    out = copied(files.load(path) if proto is None else proto)
    held, layers = _weights(out), _layers(out)
    if not layers:
        return None
    done: set[str] = set()
    for node in layers[-max(1, round(share * len(layers))) :]:
        for name in (n for n in node.input if n in held and n not in done):
            done.add(name)
            try:
                values = numpy_helper.to_array(held[name], str(path.resolve().parent))
            except (ValueError, OSError, ValidationError) as error:
                raise ModelError(f"the weight {printable(name, 80)!r} cannot be read") from error
            held[name].CopyFrom(numpy_helper.from_array(_shuffled(values, key, name), name))
        for one in _own(node):
            values = np.array(one.floats, dtype=np.float32)
            one.ClearField("floats")
            one.floats.extend(_shuffled(values, key, f"{node.name} {one.name}").tolist())
    return out


def last_hidden(proto: ModelProto) -> str:
    """The tensor that the last layer with weights reads; "": it reads inputs, or there is none."""
    made = {name for node in proto.graph.node for name in node.output if name}
    layers = _layers(proto)
    return next((name for name in layers[-1].input if name in made), "") if layers else ""


def _weights(proto: ModelProto) -> dict[str, TensorProto]:
    return {one.name: one for one in proto.graph.initializer if one.data_type in TYPES and len(one.dims) > 1}


def _layers(proto: ModelProto) -> list[NodeProto]:
    held = _weights(proto)
    return [node for node in proto.graph.node if any(name in held for name in node.input) or _own(node)]


def _own(node: NodeProto) -> list[AttributeProto]:
    """Attributes of a node that hold weights."""
    return [one for one in node.attribute if one.name in LEAVES and len(one.floats) > 1]


def _shuffled(values: np.ndarray, key: int, name: str) -> np.ndarray:
    keys = np.full(values.size, streams.key(key, "shuffle", name), dtype=np.uint64)
    order = np.argsort(streams.uniform(keys, np.arange(values.size), 0, 1)[:, 0], kind="stable")
    return np.ascontiguousarray(values.reshape(-1)[order].reshape(values.shape))
