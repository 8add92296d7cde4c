"""Tensors inside a graph, made its outputs, and weights that are stored in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import ModelProto, helper, numpy_helper
from onnx.checker import ValidationError

from medaudit.core.errors import ModelError
from medaudit.core.text import printable
from medaudit.model import file as files


def exposed(proto: ModelProto, names: Iterable[str]) -> ModelProto:
    """The graph with these tensors of its main graph as further outputs, behind its own.

    Raises ModelError for a name that it does not have.
    """
    out = copied(proto)
    graph = out.graph
    made = {name for node in graph.node for name in node.output if name}
    held = {value.name for value in graph.output}
    for name in dict.fromkeys(names):
        if name not in made:
            raise ModelError(f"the graph makes no tensor {printable(name, 80)!r}{_near(name, made)}")
        if name not in held:
            graph.output.append(helper.make_empty_tensor_value_info(name))
    return out


def copied(proto: ModelProto) -> ModelProto:
    out = ModelProto()
    out.CopyFrom(proto)
    return out


def stored(path: Path, name: str, edited: ModelProto | None = None) -> np.ndarray:
    """A weight of the graph, or of its edited one, float64. Raises ModelError for a name that it does not have."""
    proto = files.load(path) if edited is None else edited
    for one in proto.graph.initializer:
        if one.name == name:
            try:
                return np.asarray(numpy_helper.to_array(one, str(path.resolve().parent)), dtype=np.float64)
            except (ValueError, OSError, ValidationError) as error:
                raise ModelError(f"the weight {printable(name, 80)!r} cannot be read") from error
    names = {one.name for one in proto.graph.initializer}
    raise ModelError(f"the graph stores no weight {printable(name, 80)!r}{_near(name, names)}")


def _near(name: str, names: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(names), 1, 0.4)
    return f"; did you mean {printable(close[0], 80)!r}?" if close else "; 'medaudit inspect' lists its outputs"
