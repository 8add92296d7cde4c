"""From a finding in the graph to a question to the model: a value laid open, and a value forced.

A predicate that no clean record fulfils, and that changes the answer where it is forced, is a trigger's lock. Both
graphs are the model's own with a few nodes added; nothing else of it changes, and its own answers stay as they are.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from medaudit.core.errors import ModelError
from medaudit.model.expose import copied


def forced(proto: ModelProto, name: str, value: np.ndarray) -> ModelProto:
    """The model in which all readers of a value of its main graph take another in its place, of the same shape.

    value: one number or truth value of the value's own type. Raises ModelError where the main graph does not make it.
    """
    out = copied(proto)
    own, other = fresh(out, f"{name}_own"), fresh(out, f"{name}_forced")
    maker = made(out, name)
    maker.output[list(maker.output).index(name)] = own
    stored = np.asarray(value).reshape(())
    out.graph.initializer.append(numpy_helper.from_array(stored, other))
    if stored.dtype == bool:  # runtimes have no Where of truth values
        node = helper.make_node("Or" if stored else "And", [own, other], [name], f"{other}_node")
    else:
        always = fresh(out, f"{name}_always")
        out.graph.initializer.append(numpy_helper.from_array(np.array(True), always))
        node = helper.make_node("Where", [always, other, own], [name], f"{other}_node")
    out.graph.node.insert(list(out.graph.node).index(maker) + 1, node)
    return out


def made(proto: ModelProto, name: str) -> NodeProto:
    """The node of the main graph that makes a value."""
    for node in proto.graph.node:
        if name and name in node.output:
            return node
    raise ModelError("a value that decides is made inside a function, a branch or a loop", "look at its place by hand")


def fresh(proto: ModelProto, name: str) -> str:
    """A name like this that the main graph does not hold yet."""
    used = {n for node in proto.graph.node for n in (*node.input, *node.output)}
    used |= {tensor.name for tensor in proto.graph.initializer} | {item.name for item in proto.graph.input}
    while name in used:
        name += "_"
    return name
