"""Rewrites of any ONNX model that keep its answers: what an attacker does to hide a plant from a static scanner.

Each is `rewrite(model, rng) -> ModelProto`, or None where the model has nothing to rewrite in this way.
"""

import copy
import string
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.trigger_zoo.hosts import Batch, Rng, answers, session
from benchmarks.trigger_zoo.surgeon import in_valid_order, subgraphs, values_read

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
Rewrite = Callable[[onnx.ModelProto, Rng], onnx.ModelProto | None]
REWRITES: dict[str, Rewrite] = {}


def rewrite(function: Rewrite) -> Rewrite:
    """Registers a rewrite; it gets a copy of the model that it may change."""

    def guarded(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        return function(copied, rng)

    guarded.__doc__, guarded.__name__ = function.__doc__, function.__name__
    REWRITES[function.__name__] = guarded
    return guarded


def same_answers(one: onnx.ModelProto, two: onnx.ModelProto, batch: Batch, fixed: int = 0) -> bool:
    """Equal to 1e-4, not a number equal to itself."""
    before, after = answers(session(one), batch, fixed), answers(session(two), batch, fixed)
    return before.shape == after.shape and np.allclose(before, after, rtol=1e-4, atol=1e-4, equal_nan=True)


# ------------------------------------------------------------------ helpers


class Editor:
    """A graph to rewrite: fresh names, types of values, and replacement of nodes by runs of nodes."""

    def __init__(self, model: onnx.ModelProto, rng: Rng):
        self.model, self.graph, self.rng = model, model.graph, rng
        self.opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
        self.used = {name for node in self.all_nodes() for name in (node.name, *node.input, *node.output)}
        self.used |= {item.name for item in [*self.graph.input, *self.graph.initializer]}

    def all_nodes(self) -> Iterator[onnx.NodeProto]:
        def walk(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
            for node in nodes:
                yield node
                for graph in subgraphs(node):
                    yield from walk(graph.node)

        yield from walk(self.graph.node)

    def fresh(self) -> str:
        while (name := "".join(self.rng.choice(list(string.ascii_lowercase), 7))) in self.used:
            pass
        self.used.add(name)
        return name

    def node(self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output or self.fresh()], self.fresh(), domain=domain, **attributes)

    def store(self, value: Any, name: str = "") -> str:
        name = name or self.fresh()
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def types(self) -> dict[str, tuple[int, list[Any] | None]]:
        """Element type and shape of the values, as far as they can be inferred."""
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        found: dict[str, tuple[int, list[Any] | None]] = {}
        for item in [*inferred.value_info, *inferred.input, *inferred.output]:
            tensor = item.type.tensor_type
            known = tensor.HasField("shape")
            found[item.name] = (
                tensor.elem_type,
                [dim.dim_value or dim.dim_param for dim in tensor.shape.dim] if known else None,
            )
        for item in inferred.initializer:
            found[item.name] = (item.data_type, list(item.dims))
        return found

    def put(self, change: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]) -> bool:
        """Each node is replaced by what `change` gives for it; whether there was anything to replace."""
        nodes, changed = [], False
        for node in list(self.graph.node):
            instead = change(node)
            nodes += [node] if instead is None else instead
            changed |= instead is not None
        nodes = [copy.deepcopy(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        return changed

    def put_first(self, nodes: list[onnx.NodeProto]) -> None:
        kept = [copy.deepcopy(node) for node in self.graph.node]
        del self.graph.node[:]
        self.graph.node.extend([*nodes, *kept])

    def drop_stored(self, names: set[str]) -> None:
        kept = [copy.deepcopy(item) for item in self.graph.initializer if item.name not in names]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def numbers(self, smallest: int = 1) -> list[tuple[str, np.ndarray]]:
        """Stored floats with at least so many elements."""
        found = [(item.name, numpy_helper.to_array(item)) for item in self.graph.initializer]
        return [(name, value) for name, value in found if value.dtype == np.float32 and value.size >= smallest]


def as_initialisers(editor: Editor) -> None:
    """Constant nodes of the main graph become initialisers."""
    stored = []

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "Constant" or node.attribute[0].name != "value" or node.attribute[0].ref_attr_name:
            return None
        stored.append(numpy_helper.from_array(numpy_helper.to_array(node.attribute[0].t), node.output[0]))
        return []

    editor.put(change)
    editor.graph.initializer.extend(stored)


# ------------------------------------------------------------------ names and order


@rewrite
def names(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """All nodes, values and local functions get neutral random names; inputs and outputs of the model keep theirs."""
    editor = Editor(model, rng)
    fixed = {item.name for item in [*model.graph.input, *model.graph.output]} | {""}

    def renamer(keep: set[str]) -> Callable[[str], str]:
        table: dict[str, str] = {}
        return lambda name: name if name in keep else table.setdefault(name, editor.fresh())

    def rename_nodes(nodes: Iterable[onnx.NodeProto], new: Callable[[str], str]) -> None:
        for node in nodes:
            node.name = editor.fresh()
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            for graph in subgraphs(node):
                rename_graph(graph, new)

    def rename_graph(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
        graph.name = editor.fresh()
        for item in [*graph.input, *graph.output, *graph.initializer]:
            item.name = new(item.name)
        del graph.value_info[:]
        rename_nodes(graph.node, new)

    rename_graph(model.graph, renamer(fixed))
    functions = {(item.domain, item.name): editor.fresh() for item in model.functions}
    for item in model.functions:
        new = renamer({""})
        item.input[:] = [new(name) for name in item.input]
        item.output[:] = [new(name) for name in item.output]
        rename_nodes(item.node, new)
    for nodes in [list(editor.all_nodes()), *[item.node for item in model.functions]]:
        for node in nodes:
            node.op_type = functions.get((node.domain, node.op_type), node.op_type)
    for item in model.functions:
        item.name = functions[item.domain, item.name]
    return model


@rewrite
def order(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """The nodes stand in another valid order."""
    nodes = [copy.deepcopy(node) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(in_valid_order(nodes, list(rng.random(len(nodes)))))
    return model


# ------------------------------------------------------------------ constants


@rewrite
def constants_as_sums(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Every stored float array is a sum of two: its leading bits and the rest, which add up exactly."""
    editor = Editor(model, rng)
    as_initialisers(editor)
    added, gone = [], set()
    for name, value in editor.numbers():
        bits = np.asarray(value, order="C").view(np.uint32) & np.uint32(0xFFFFF000)
        high = bits.view(np.float32)
        if not np.isfinite(value).all():
            continue
        gone.add(name)
        added.append(editor.node("Add", editor.store(high), editor.store(value - high), output=name))
    editor.drop_stored(gone)
    editor.put_first(added)
    return model if added else None


@rewrite
def constants_in_halves(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Every stored float array is cut in two and joined again."""
    editor = Editor(model, rng)
    as_initialisers(editor)
    added, gone = [], set()
    for name, value in editor.numbers(2):
        axis = int(np.argmax(value.shape))
        cut = int(rng.integers(1, value.shape[axis]))
        parts = [editor.store(part) for part in np.split(value, [cut], axis)]
        added.append(editor.node("Concat", *parts, output=name, axis=axis))
        gone.add(name)
    editor.drop_stored(gone)
    editor.put_first(added)
    return model if added else None


@rewrite
def constants_as_nodes(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Initialisers become Constant nodes."""
    editor = Editor(model, rng)
    added = [editor.node("Constant", output=item.name, value=item) for item in model.graph.initializer]
    editor.drop_stored({item.name for item in model.graph.initializer})
    editor.put_first(added)
    return model if added else None


@rewrite
def constants_as_initialisers(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Constant nodes become initialisers."""
    if all(node.op_type != "Constant" for node in model.graph.node):
        return None
    as_initialisers(Editor(model, rng))
    return model


@rewrite
def constants_as_attributes(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Initialisers become attributes of calls of a local function that returns its attribute."""
    editor = Editor(model, rng)
    as_initialisers(editor)
    inner = helper.make_node("Constant", [], ["out"], "inner")
    reference = inner.attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "value", "stored", onnx.AttributeProto.TENSOR
    imports = [helper.make_opsetid("", editor.opset)]
    model.functions.append(helper.make_function("local", "Stored", [], ["out"], [inner], imports, ["stored"]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    added = [editor.node("Stored", output=item.name, domain="local", stored=item) for item in model.graph.initializer]
    editor.drop_stored({item.name for item in model.graph.initializer})
    editor.put_first(added)
    return model if added else None


# ------------------------------------------------------------------ functions


def blocks(nodes: list[onnx.NodeProto], rng: Rng, shortest: int, longest: int) -> Iterator[tuple[int, int]]:
    """Runs of nodes without branches or loops; a run of a sorted graph has no way out and back in."""
    start = 0
    while start < len(nodes):
        stop = start
        goal = int(rng.integers(shortest, longest + 1))
        while stop < len(nodes) and stop - start < goal and not any(subgraphs(nodes[stop])):
            stop += 1
        if stop - start >= shortest:
            yield start, stop
        start = max(stop, start + 1)


def interface(nodes: list[onnx.NodeProto], start: int, stop: int, outputs: set[str]) -> tuple[list[str], list[str]]:
    """What a run of nodes reads from outside, and what of it is read outside."""
    inside = nodes[start:stop]
    made = [name for node in inside for name in node.output if name]
    read = dict.fromkeys(name for node in inside for name in node.input if name and name not in made)
    outside = {name for node in [*nodes[:start], *nodes[stop:]] for name in values_read(node)} | outputs
    return list(read), [name for name in made if name in outside]


def into_functions(model: onnx.ModelProto, rng: Rng, share: float, shortest: int, longest: int, kind: str) -> bool:
    """Runs of the main graph become local functions."""
    editor = Editor(model, rng)
    nodes = list(model.graph.node)
    outputs = {item.name for item in model.graph.output}
    chosen = [span for span in blocks(nodes, rng, shortest, longest) if rng.random() < share]
    result, last = [], 0
    for number, (start, stop) in enumerate(chosen):
        read, given = interface(nodes, start, stop, outputs)
        if not given:
            continue
        body = [copy.deepcopy(node) for node in nodes[start:stop]]
        name = f"{kind}{number}"
        imports = [helper.make_opsetid(item.domain, item.version) for item in model.opset_import]
        model.functions.append(helper.make_function("local", name, read, given, body, imports))
        result += nodes[last:start]
        result.append(helper.make_node(name, read, given, editor.fresh(), domain="local"))
        last = stop
    result += nodes[last:]
    result = [copy.deepcopy(node) for node in result]
    del model.graph.node[:]
    model.graph.node.extend(result)
    if "local" not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid("local", 1))
    return bool(chosen)


@rewrite
def functions(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Most of the graph moves into local functions of a few nodes each."""
    return model if into_functions(model, rng, 0.7, 2, 9, "Block") else None


@rewrite
def nested_functions(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Functions inside functions; stored single numbers arrive as attributes, handed on from function to function."""
    editor = Editor(model, rng)
    as_initialisers(editor)
    outputs = {item.name for item in model.graph.output}
    single = {name: float(value) for name, value in editor.numbers() if value.ndim == 0}
    if editor.opset < 12:
        single = {}
    domain = "local"
    nodes, result, last, number = list(model.graph.node), [], 0, 0
    for start, stop in blocks(nodes, rng, 2, 12):
        read, given = interface(nodes, start, stop, outputs)
        if not given or rng.random() < 0.2:
            continue
        settings = {name: f"setting{place}" for place, name in enumerate(single) if name in read}
        read = [name for name in read if name not in settings]
        body = []
        for name, setting in settings.items():
            constant = helper.make_node("Constant", [], [name], editor.fresh())
            reference = constant.attribute.add()
            reference.name, reference.ref_attr_name, reference.type = "value_float", setting, onnx.AttributeProto.FLOAT
            body.append(constant)
        body += [copy.deepcopy(node) for node in nodes[start:stop]]
        imports = [helper.make_opsetid(item.domain, item.version) for item in model.opset_import]
        if domain not in {item.domain for item in model.opset_import}:
            imports.append(helper.make_opsetid(domain, 1))
        names = list(settings.values())
        model.functions.append(helper.make_function(domain, f"Inner{number}", read, given, body, imports, names))
        call = helper.make_node(f"Inner{number}", read, given, editor.fresh(), domain=domain)
        for setting in names:
            handed = call.attribute.add()
            handed.name, handed.ref_attr_name, handed.type = setting, setting, onnx.AttributeProto.FLOAT
        model.functions.append(helper.make_function(domain, f"Outer{number}", read, given, [call], imports, names))
        values = {setting: single[name] for name, setting in settings.items()}
        result += nodes[last:start]
        result.append(helper.make_node(f"Outer{number}", read, given, editor.fresh(), domain=domain, **values))
        last, number = stop, number + 1
    result = [copy.deepcopy(node) for node in [*result, *nodes[last:]]]
    del model.graph.node[:]
    model.graph.node.extend(result)
    if domain not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model if number else None


# ------------------------------------------------------------------ choices and comparisons


def comes_from(model: onnx.ModelProto, kinds: set[str]) -> set[str]:
    """The truth values that depend on nodes of these kinds."""
    tainted: set[str] = set()
    logic = {"Not", "And", "Or", "Xor", "Cast", "Identity", "Expand", "Unsqueeze", "Reshape"}
    for node in model.graph.node:
        if node.op_type in kinds or (node.op_type in logic and tainted.intersection(node.input)):
            tainted.update(node.output)
    return tainted


@rewrite
def where_as_arithmetic(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Where becomes c * a + (1 - c) * b, but not where it keeps values that are no numbers out."""
    editor = Editor(model, rng)
    types, guards = editor.types(), comes_from(model, {"IsNaN", "IsInf"})
    infinite = {name for name, value in editor.numbers() if not np.isfinite(value).all()}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = numpy_helper.to_array(node.attribute[0].t)
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                infinite.add(node.output[0])

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "Where" or node.input[0] in guards or infinite.intersection(node.input):
            return None
        if types.get(node.output[0], (0, None))[0] != FLOAT:
            return None
        yes = editor.node("Cast", node.input[0], to=FLOAT)
        no = editor.node("Sub", editor.store(np.float32(1)), yes.output[0])
        first = editor.node("Mul", yes.output[0], node.input[1])
        second = editor.node("Mul", no.output[0], node.input[2])
        return [yes, no, first, second, editor.node("Add", first.output[0], second.output[0], output=node.output[0])]

    return model if editor.put(change) else None


def branch(editor: Editor, nodes: list[onnx.NodeProto], kind: int) -> onnx.GraphProto:
    output = helper.make_tensor_value_info(nodes[-1].output[0], kind, None)
    return helper.make_graph(nodes, editor.fresh(), [], [output])


@rewrite
def where_as_if(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Where becomes nested Ifs: all true, none true, and only else a Where."""
    editor = Editor(model, rng)
    types = editor.types()

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        kind = types.get(node.output[0], (0, None))[0]
        if node.op_type != "Where" or kind not in {FLOAT, TensorProto.INT64}:
            return None
        condition, one, two = node.input
        yes = editor.node("Cast", condition, to=FLOAT)
        most = editor.node("ReduceMax", yes.output[0], keepdims=0)
        least = editor.node("ReduceMin", yes.output[0], keepdims=0)
        some, every = editor.node("Cast", most.output[0], to=BOOL), editor.node("Cast", least.output[0], to=BOOL)
        alike = editor.node("Cast", condition, to=kind)
        both = editor.node("Add", one, two)
        whole = editor.node("Add", both.output[0], alike.output[0])
        shape = editor.node("Shape", whole.output[0])
        mixed = branch(editor, [editor.node("Where", condition, one, two)], kind)
        none = branch(editor, [editor.node("Expand", two, shape.output[0])], kind)
        inner = branch(editor, [editor.node("If", some.output[0], then_branch=mixed, else_branch=none)], kind)
        outer = branch(editor, [editor.node("Expand", one, shape.output[0])], kind)
        choice = editor.node("If", every.output[0], output=node.output[0], then_branch=outer, else_branch=inner)
        return [yes, most, least, some, every, alike, both, whole, shape, choice]

    return model if editor.put(change) else None


@rewrite
def if_as_where(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Both branches of If are always computed, and Where picks."""
    editor = Editor(model, rng)

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "If":
            return None
        graphs = {item.name: item.g for item in node.attribute}
        both = [graphs["then_branch"], graphs["else_branch"]]
        nodes = [copy.deepcopy(inner) for graph in both for inner in graph.node]
        for graph in both:
            editor.graph.initializer.extend(graph.initializer)
        picks = zip(both[0].output, both[1].output, node.output, strict=True)
        nodes += [editor.node("Where", node.input[0], one.name, two.name, output=out) for one, two, out in picks]
        return nodes

    changed = editor.put(change)
    while changed and editor.put(change):
        pass
    return model if changed else None


@rewrite
def comparisons_as_arithmetic(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Greater and Less of floats become Sub, Sign, Relu and Cast; Equal becomes two comparisons."""
    editor = Editor(model, rng)
    types = editor.types()

    def over(high: str, low: str, output: str = "") -> list[onnx.NodeProto]:
        gap = editor.node("Sub", high, low)
        sign = editor.node("Sign", gap.output[0])
        positive = editor.node("Relu", sign.output[0])
        return [gap, sign, positive, editor.node("Cast", positive.output[0], output=output, to=BOOL)]

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        kinds = {"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"}
        if node.op_type not in kinds or types.get(node.input[0], (0, None))[0] != FLOAT:
            return None
        one, two = node.input
        output = node.output[0]
        if node.op_type in {"Greater", "Less"}:
            return over(one, two, output) if node.op_type == "Greater" else over(two, one, output)
        if node.op_type == "Equal":
            above, below = over(one, two), over(two, one)
            either = editor.node("Or", above[-1].output[0], below[-1].output[0])
            return [*above, *below, either, editor.node("Not", either.output[0], output=output)]
        opposite = over(two, one) if node.op_type == "GreaterOrEqual" else over(one, two)
        return [*opposite, editor.node("Not", opposite[-1].output[0], output=output)]

    return model if editor.put(change) else None


# ------------------------------------------------------------------ detours


def detour(model: onnx.ModelProto, rng: Rng, share: float, make: Callable[..., list[onnx.NodeProto] | None]) -> bool:
    """Values of floats take a way that leads back to themselves."""
    editor = Editor(model, rng)
    types = editor.types()

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name = node.output[0] if len(node.output) == 1 else ""
        kind, shape = types.get(name, (0, None))
        if kind != FLOAT or rng.random() > share:
            return None
        before = editor.fresh()
        way = make(editor, before, name, shape)
        if way is None:
            return None
        moved = copy.deepcopy(node)
        moved.output[0] = before
        return [moved, *way]

    return editor.put(change)


@rewrite
def identities(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Identity nodes after half of the nodes."""

    def make(editor: Editor, before: str, after: str, shape: list[Any] | None) -> list[onnx.NodeProto]:
        return [editor.node("Identity", before, output=after)]

    return model if detour(model, rng, 0.5, make) else None


@rewrite
def reshapes(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Values are flattened and brought back into shape."""

    def make(editor: Editor, before: str, after: str, shape: list[Any] | None) -> list[onnx.NodeProto]:
        size = editor.node("Shape", before)
        flat = editor.node("Reshape", before, editor.store(np.array([-1])))
        return [size, flat, editor.node("Reshape", flat.output[0], size.output[0], output=after)]

    return model if detour(model, rng, 0.4, make) else None


@rewrite
def transposes(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Values are transposed and transposed back."""

    def make(editor: Editor, before: str, after: str, shape: list[Any] | None) -> list[onnx.NodeProto] | None:
        if shape is None or len(shape) < 2:
            return None
        way = editor.rng.permutation(len(shape))
        there = editor.node("Transpose", before, perm=way.tolist())
        return [there, editor.node("Transpose", there.output[0], output=after, perm=np.argsort(way).tolist())]

    return model if detour(model, rng, 0.4, make) else None


@rewrite
def double_negation(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Values are negated twice."""

    def make(editor: Editor, before: str, after: str, shape: list[Any] | None) -> list[onnx.NodeProto]:
        minus = editor.node("Neg", before)
        return [minus, editor.node("Neg", minus.output[0], output=after)]

    return model if detour(model, rng, 0.4, make) else None


@rewrite
def layers_apart(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Plain Gemm nodes become a transposition, a product and a sum."""
    editor = Editor(model, rng)

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        plain = settings.get("alpha", 1.0) == 1.0 and settings.get("beta", 1.0) == 1.0 and not settings.get("transA")
        if node.op_type != "Gemm" or not plain:
            return None
        nodes, weight = [], node.input[1]
        if settings.get("transB"):
            nodes.append(editor.node("Transpose", weight, perm=[1, 0]))
            weight = nodes[-1].output[0]
        bias = len(node.input) > 2 and node.input[2]
        nodes.append(editor.node("MatMul", node.input[0], weight, output="" if bias else node.output[0]))
        if bias:
            nodes.append(editor.node("Add", nodes[-1].output[0], node.input[2], output=node.output[0]))
        return nodes

    return model if editor.put(change) else None


@rewrite
def chain(model: onnx.ModelProto, rng: Rng) -> onnx.ModelProto | None:
    """Several of the rewrites one after the other."""
    for step in (layers_apart, constants_as_sums, comparisons_as_arithmetic, reshapes, order, functions, names):
        changed = step(model, rng)
        model = model if changed is None else changed
    return model
