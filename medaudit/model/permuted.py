"""A graph with its weights shuffled from the last layer on: what an explanation of the trained model must not be like.

Adebayo et al. 2018, "Sanity checks for saliency maps", section 3 (cascading randomisation). A layer's weights are
permuted among themselves, so that their values stay as they were; biases stay in their places.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, numpy_helper
from onnx.checker import ValidationError

from medaudit.core import streams
from medaudit.core.errors import ModelError
from medaudit.core.text import printable
from medaudit.model import file as files

LEAVES = ("target_weights", "class_weights", "leaf_weights", "coefficients")  # weights that nodes hold themselves
TYPES = (1, 10, 11, 2, 3)  # float, half, double; uint8 and int8 of quantised models


def permuted(path: Path, share: float, key: int, proto: ModelProto | None = None) -> ModelProto | None:
    """The graph with the last `share` of its layers shuffled, at least one; proto: with something edited already.

    None where no layer of the main graph has stored weights. Raises ModelError for weights that cannot be read.
    """
    out = ModelProto()
    out.CopyFrom(files.load(path) if proto is None else proto)
    held = {one.name: one for one in out.graph.initializer if one.data_type in TYPES and len(one.dims) > 1}
    layers = [node for node in out.graph.node if any(n in held for n in node.input) or _own(node)]
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


def _own(node: NodeProto) -> list[AttributeProto]:
    """Attributes of a node that hold weights."""
    return [one for one in node.attribute if one.name in LEAVES and len(one.floats) > 1]


def _shuffled(values: np.ndarray, key: int, name: str) -> np.ndarray:
    keys = np.full(values.size, streams.key(key, "shuffle", name), dtype=np.uint64)
    order = np.argsort(streams.uniform(keys, np.arange(values.size), 0, 1)[:, 0], kind="stable")
    return np.ascontiguousarray(values.reshape(-1)[order].reshape(values.shape))
