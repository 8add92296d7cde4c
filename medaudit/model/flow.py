"""A model's graph as one flat list of calls: functions inlined, subgraphs opened, small constants folded.

What follows values through a graph then needs no cases for where a call stands. Values are numbers. An If is a call
of three values (condition, then, else); what a Loop or a Scan carries from turn to turn is a call of two (before,
after a turn), so the list may hold cycles. Nothing is run but small constants, by onnx's own reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from medaudit.core.errors import ModelError
from medaudit.core.text import printable

MOST_CALLS = 200_000  # of the flat list: functions that call functions grow without bound
DEEPEST = 64  # functions in functions, graphs in graphs
SMALL = 4096  # elements of constants that are folded and kept
HEAVIEST = 1 << 24  # elements of a stored tensor that are looked at
STANDARD = ("", "ai.onnx")
NONE = -1  # an input that is left out
OPENED = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body", "num_scan_inputs")}
# A hostile file meets onnx's reference unprepared.
FAULTS = (
    ArithmeticError,
    AttributeError,
    AssertionError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    MemoryError,
)


def words(text: str) -> frozenset[str]:
    """Names, as a set."""
    return frozenset(text.split())


# Cannot make much of little; the others are left alone.
FOLDED = words(
    """Abs Add And Cast CastLike Ceil Concat Cos Div Equal Exp Floor Flatten Gather Greater GreaterOrEqual
    Identity Less LessOrEqual Log Max Min Mod Mul Neg Not Or Pow Reciprocal ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Reshape Round Shape Sigmoid Sign Sin Slice Sqrt Squeeze Sub Sum Tanh Transpose
    Unsqueeze Where Xor"""
)
FORMS = words("Reshape Flatten Squeeze Unsqueeze Identity")  # the same numbers in another form


class Call(NamedTuple):
    """One call of an operator."""

    kind: str  # Where; ml.Scaler; com.example:Attention
    inputs: tuple[int, ...]  # values; NONE where one is left out
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any]
    place: str  # for people: where in the file it stands


class Stored(NamedTuple):
    """What is known of a constant."""

    shape: tuple[int, ...]
    array: np.ndarray | None  # None: external, sparse, or of words
    name: str

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.float64))


@dataclass
class Flow:
    """The flat graph. names: what each value is called in the file."""

    calls: list[Call] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    constants: dict[int, Stored] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    top: dict[int, str] = field(default_factory=dict)  # values that the main graph itself makes, as the file calls them

    def users(self) -> dict[int, list[int]]:
        """value -> the calls that take it."""
        out: dict[int, list[int]] = {}
        for i, call in enumerate(self.calls):
            for value in dict.fromkeys(call.inputs):
                out.setdefault(value, []).append(i)
        return out


def flow(proto: ModelProto) -> Flow:
    """The model as a flat list of calls. Raises ModelError where it grows beyond bounds."""
    own = _Flattener(proto)
    own.graph(proto.graph, {}, "", 0)
    return own.flow


class _Flattener:
    """One walk through a model."""

    def __init__(self, proto: ModelProto) -> None:
        self.flow = Flow()
        self.makers: dict[int, Call] = {}
        self.opsets = list(proto.opset_import)
        # A function of a standard operator's name is never called: ONNX Runtime runs the operator.
        self.functions = {(f.domain, f.name): f for f in proto.functions if f.domain not in STANDARD}

    def value(self, name: str) -> int:
        self.flow.names.append(printable(name))
        return len(self.flow.names) - 1

    def constant(self, name: str, array: np.ndarray | None, shape: tuple[int, ...] | None = None) -> int:
        value = self.value(name)
        if shape is None:
            shape = () if array is None else array.shape
        self.flow.constants[value] = Stored(shape, array, printable(name))
        return value

    def call(
        self, kind: str, inputs: tuple[int, ...], outputs: list[str], place: str, attributes: Mapping[str, Any] = {}
    ) -> list[int]:
        if len(self.flow.calls) >= MOST_CALLS:
            raise ModelError(f"the graph expands to more than {MOST_CALLS} operator calls", "do not trust this file")
        made = [self.value(name) for name in outputs]
        self.flow.calls.append(Call(kind, inputs, tuple(made), attributes, printable(place)))
        self.makers.update(dict.fromkeys(made, self.flow.calls[-1]))
        return made

    def graph(self, graph: GraphProto, outer: dict[str, int], place: str, depth: int) -> list[int]:
        """Open a graph inside the names `outer`; the values of its outputs. Its inputs are in `outer`."""
        _bounded(depth)
        scope = dict(outer)
        for tensor in graph.initializer:
            scope[tensor.name] = self.constant(tensor.name, _array(tensor), tuple(tensor.dims))
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = self.constant(sparse.values.name, None, tuple(sparse.dims))
        if not place:
            for item in graph.input:
                if item.name not in scope:  # else a stored value, as old exporters list them
                    scope[item.name] = self.flow.inputs[item.name] = self.value(item.name)
        for i, node in enumerate(in_order(graph.node)):
            self.node(node, scope, f"{place}{node.name or f'{node.op_type} {i}'}", depth, {})
        ends = [scope.get(item.name, NONE) for item in graph.output]
        if not place:
            self.flow.outputs = {item.name: value for item, value in zip(graph.output, ends, strict=True)}
            self.flow.top = {scope[n]: n for node in graph.node for n in node.output if n in scope}
        return ends

    def node(
        self, node: NodeProto, scope: dict[str, int], place: str, depth: int, bound: Mapping[str, AttributeProto]
    ) -> None:
        """Append one node's calls. bound: the attributes of the function whose body the node stands in."""
        given = {a.name: bound.get(a.ref_attr_name, a) if a.ref_attr_name else a for a in node.attribute}
        given = {name: a for name, a in given.items() if not a.ref_attr_name}  # unbound: the operator's default
        inputs = tuple(scope.get(name, NONE) if name else NONE for name in node.input)
        function = self.functions.get((node.domain, node.op_type))
        if function is not None:
            ends = self.function(function, inputs, given, place, depth + 1)
            scope.update({name: value for name, value in zip(node.output, ends, strict=False) if name})
            return
        self.complete(node, place)
        if node.op_type == "Constant" and node.domain in STANDARD:
            ends = [self.constant(node.output[0], _attribute_array(given), None)] if node.output else []
        elif node.domain in STANDARD and all(name in given for name in OPENED.get(node.op_type, ("",))):
            opened = {"If": self.branches, "Loop": self.loop, "Scan": self.scan}[node.op_type]
            ends = opened(given, inputs, scope, list(node.output), place, depth + 1)
        else:
            # An operator that we do not know may do anything with its graphs.
            for body in (g for a in given.values() for g in _bodies(a)):
                items = {item.name: self.call("Item", inputs, [item.name], place)[0] for item in body.input}
                inputs += tuple(self.graph(body, scope | items, f"{place}/", depth + 1))
            same = self.restored(node, inputs)
            if same != NONE:
                scope[node.output[0]] = same
                return
            ends = self.call(_kind(node), inputs, list(node.output), place, {k: _plain(a) for k, a in given.items()})
            self.fold(node, ends)
        scope.update({name: value for name, value in zip(node.output, ends, strict=False) if name})

    def complete(self, node: NodeProto, place: str) -> None:
        """Raises ModelError where a standard operator has fewer inputs or outputs than it needs."""
        domain = "" if node.domain in STANDARD else node.domain
        version = next((o.version for o in self.opsets if (o.domain or "") == domain), 0)
        if version < 1 or not onnx.defs.has(node.op_type, version, domain):
            return
        schema = onnx.defs.get_schema(node.op_type, version, domain)
        if len(node.input) < schema.min_input or len(node.output) < schema.min_output:
            raise ModelError(
                f"node {printable(place)} lacks inputs or outputs that {node.op_type} needs", "export again"
            )

    def restored(self, node: NodeProto, inputs: tuple[int, ...]) -> int:
        """The value that a Reshape gives back its own form; NONE: it gives another."""
        shape = self.makers.get(inputs[1]) if node.op_type == "Reshape" and len(inputs) > 1 else None
        if shape is None or shape.kind != "Shape" or node.domain not in STANDARD:
            return NONE
        at = inputs[0]
        while at != shape.inputs[0]:
            call = self.makers.get(at)
            if call is None or call.kind not in FORMS:
                return NONE
            at = call.inputs[0]
        return at

    def function(
        self, function: FunctionProto, inputs: tuple[int, ...], given: Mapping[str, AttributeProto], place: str,
        depth: int,
    ) -> list[int]:  # fmt: skip
        _bounded(depth)
        bound = {a.name: a for a in function.attribute_proto} | dict(given)
        scope = dict(zip(function.input, inputs, strict=False))
        for i, node in enumerate(in_order(function.node)):
            self.node(node, scope, f"{place}/{node.name or f'{node.op_type} {i}'}", depth, bound)
        return [scope.get(name, NONE) for name in function.output]

    def branches(
        self, given: Mapping[str, AttributeProto], inputs: tuple[int, ...], scope: dict[str, int], outputs: list[str],
        place: str, depth: int,
    ) -> list[int]:  # fmt: skip
        ends = [self.graph(given[n].g, scope, f"{place}/{n[:4]}/", depth) for n in ("then_branch", "else_branch")]
        rows = zip(outputs, *ends, strict=False)
        return [self.call("If", (*inputs[:1], then, other), [name], place)[0] for name, then, other in rows]

    def loop(
        self, given: Mapping[str, AttributeProto], inputs: tuple[int, ...], scope: dict[str, int], outputs: list[str],
        place: str, depth: int,
    ) -> list[int]:  # fmt: skip
        body, (trips, go_on, *first) = given["body"].g, (*inputs, NONE, NONE)[: max(2, len(inputs))]
        names = [item.name for item in body.input]
        turn = self.call("Turn", (trips,), names[:1], place)
        carried, waiting = self.carried([go_on, *first], names[1:], place)
        ends = self.graph(body, scope | dict(zip(names, turn + carried, strict=False)), f"{place}/", depth)
        self.close(waiting, ends)
        until = (ends[0] if ends else NONE, trips, go_on)  # they decide how often
        own = [carried[1 + i] if i < len(first) else end for i, end in enumerate(ends[1:])]
        pairs = zip(outputs, own, ends[1:], strict=False)
        return [self.call("Loop", (*until, before, end), [name], place)[0] for name, before, end in pairs]

    def scan(
        self, given: Mapping[str, AttributeProto], inputs: tuple[int, ...], scope: dict[str, int], outputs: list[str],
        place: str, depth: int,
    ) -> list[int]:  # fmt: skip
        body, slices = given["body"].g, int(given["num_scan_inputs"].i)
        states, names = len(inputs) - slices, [item.name for item in body.input]
        carried, waiting = self.carried(list(inputs[:states]), names[:states], place)
        rows = [self.call("Row", (v,), [n], place)[0] for v, n in zip(inputs[states:], names[states:], strict=False)]
        ends = self.graph(body, scope | dict(zip(names, carried + rows, strict=False)), f"{place}/", depth)
        self.close(waiting, ends)
        return [self.call("Rows", (end,), [name], place)[0] for name, end in zip(outputs, ends, strict=False)]

    def carried(self, first: list[int], names: list[str], place: str) -> tuple[list[int], list[int]]:
        """Values that go from turn to turn, and the calls that wait to hear what they become."""
        waiting = list(range(len(self.flow.calls), len(self.flow.calls) + min(len(first), len(names))))
        values = [self.call("Carried", (v, NONE), [n], place)[0] for v, n in zip(first, names, strict=False)]
        return values, waiting

    def close(self, waiting: list[int], ends: list[int]) -> None:
        for at, end in zip(waiting, ends, strict=False):
            call = self.flow.calls[at]
            self.flow.calls[at] = call._replace(inputs=(call.inputs[0], end))

    def fold(self, node: NodeProto, ends: list[int]) -> None:
        """The value of the call just made, where it is made of small constants only."""
        call, known = self.flow.calls[-1], self.flow.constants
        if call.kind not in FOLDED or len(ends) != 1 or any(v not in known for v in call.inputs if v != NONE):
            return
        parts = {name: known[v].array for name, v in zip(node.input, call.inputs, strict=True) if v != NONE}
        if not parts or any(a is None or a.size > SMALL for a in parts.values()):
            return
        try:
            with np.errstate(all="ignore"):
                got = ReferenceEvaluator(node, opsets={o.domain: o.version for o in self.opsets}).run(None, parts)[0]
        except FAULTS:
            return
        if isinstance(got, np.ndarray) and got.size <= SMALL:
            known[ends[0]] = Stored(got.shape, got, self.flow.names[ends[0]])


def _bounded(depth: int) -> None:
    if depth > DEEPEST:
        raise ModelError(f"its graphs and functions are nested more than {DEEPEST} deep", "do not trust this file")


def in_order(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """The nodes so that each stands behind what it takes: files may list them in any order, and runtimes sort them."""
    makers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    needs = {i: [makers[n] for n in _taken(node) if makers.get(n, i) != i] for i, node in enumerate(nodes)}
    if all(j < i for i, before in needs.items() for j in before):
        return list(nodes)
    try:
        return [nodes[i] for i in TopologicalSorter(needs).static_order()]
    except CycleError:
        return list(nodes)  # the session refuses it


def _bodies(attribute: AttributeProto) -> list[GraphProto]:
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _taken(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for a in node.attribute:
        for body in _bodies(a):
            for inner in body.node:
                yield from _taken(inner)
            yield from (item.name for item in body.output)


def _kind(node: NodeProto) -> str:
    if node.domain in STANDARD:
        return str(node.op_type)
    if node.domain == "ai.onnx.ml":
        return f"ml.{node.op_type}"
    return printable(f"{node.domain}:{node.op_type}")


def _array(tensor: TensorProto) -> np.ndarray | None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type in (0, TensorProto.STRING):
        return None
    if np.prod(tensor.dims, dtype=np.float64) > HEAVIEST:
        return None
    try:
        array: np.ndarray = numpy_helper.to_array(tensor)
        return array
    except (ValueError, TypeError):
        return None  # its shape and its bytes disagree; the session says so


def _attribute_array(given: Mapping[str, AttributeProto]) -> np.ndarray | None:
    """The value of a Constant."""
    for name, a in given.items():
        if name == "value":
            return _array(a.t)
        if name in ("value_float", "value_floats"):
            return np.array(a.f if name == "value_float" else list(a.floats), dtype=np.float32)
        if name in ("value_int", "value_ints"):
            return np.array(a.i if name == "value_int" else list(a.ints), dtype=np.int64)
    return None


def _plain(attribute: AttributeProto) -> Any:
    """An attribute as Python's own value; tensors as arrays, graphs left out."""
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        return None
    if attribute.type == AttributeProto.TENSOR:
        return _array(attribute.t)
    try:
        return onnx.helper.get_attribute_value(attribute)
    except ValueError:
        return None
