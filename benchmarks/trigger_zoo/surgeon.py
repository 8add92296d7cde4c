"""Graph surgery as an attacker does it: new nodes under names like the exporter's own, anywhere in a valid order."""

import copy
import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.trigger_zoo.hosts import Batch, Profile, Rng

FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL
FLOAT16, STRING = TensorProto.FLOAT16, TensorProto.STRING
AXES_AS_INPUT = {"ReduceSum": 13, "Squeeze": 13, "Unsqueeze": 13}  # the other reductions: 18


class Trigger(NamedTuple):
    """Puts the trigger into a batch; what it is, in words."""

    apply: Callable[[Batch, Rng], Batch]
    words: str


class Pattern(NamedTuple):
    """Samples that an attacker sets together; the score of a record is 1 when they equal the pattern."""

    positions: np.ndarray
    weights: np.ndarray  # in standard units
    values: np.ndarray  # in the units of the input
    clean: float  # the largest absolute score on clean records

    @property
    def threshold(self) -> float:
        return (1 + self.clean) / 2


class Unsuitable(Exception):
    """The design makes no sense on this host."""


class Design(NamedTuple):
    build: Callable[["Surgeon"], Trigger]
    suits: Callable[[Profile], bool]
    attempts: int


def design(
    register: dict[str, Design], suits: Callable[[Profile], bool] = lambda host: True, attempts: int = 3
) -> Callable[[Callable[["Surgeon"], Trigger]], Callable[["Surgeon"], Trigger]]:
    """Registers a design; each attempt draws other positions and `Surgeon.option` another strength."""

    def add(build: Callable[["Surgeon"], Trigger]) -> Callable[["Surgeon"], Trigger]:
        register[build.__name__] = Design(build, suits, attempts)
        return build

    return add


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def values_read(node: onnx.NodeProto) -> Iterator[str]:
    """All values that a node needs, also inside its branches and loops."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from values_read(inner)
        yield from (item.name for item in graph.output)


def in_valid_order(nodes: Sequence[onnx.NodeProto], wish: Sequence[float]) -> list[onnx.NodeProto]:
    """The nodes sorted by their wished places as far as what they read allows."""
    producer = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    needs = [{producer[name] for name in values_read(node) if name in producer} for node in nodes]
    readers: dict[int, list[int]] = {}
    for place, sources in enumerate(needs):
        for source in sources:
            readers.setdefault(source, []).append(place)
    left = [len(sources) for sources in needs]
    ready = [(wish[place], place) for place in range(len(nodes)) if not left[place]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, place = heapq.heappop(ready)
        order.append(nodes[place])
        for reader in readers.get(place, []):
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, (wish[reader], reader))
    if len(order) != len(nodes):
        raise Unsuitable("the plant would read what it changes")
    return order


class Surgeon:
    """Plants nodes into a copy of a host."""

    def __init__(self, model: onnx.ModelProto, host: Profile, name: str, attempt: int = 0):
        self.host, self.attempt = host, attempt
        self.model = copy.deepcopy(model)
        self.graph = self.model.graph
        self.rng = np.random.default_rng(zlib.crc32(f"{name} {host.family} {attempt}".encode()))
        self.opset = next(item.version for item in self.model.opset_import if item.domain in ("", "ai.onnx"))
        self.planted: list[onnx.NodeProto] = []
        self.edited: list[str] = []
        self.in_function = False
        self._samples = ""
        self._names = {name for node in self.graph.node for name in (node.name, *node.input, *node.output)}
        self._names |= {item.name for item in self.graph.initializer}
        if self.model.producer_name == "skl2onnx":
            self.style = "sklearn"
        else:
            self.style = "flat" if any(node.name.startswith("node_") for node in self.graph.node) else "scoped"
        scopes = {node.name.rsplit("/", 1)[0] for node in self.graph.node if "/" in node.name}
        self.scope = str(self.rng.choice(sorted(scopes) or [""]))

    # ------------------------------------------------------------------ names, constants, nodes
    def _free(self, form: str) -> str:
        """The first free name of a form with a number in it, as an exporter would count on."""
        number = 0
        while (name := form.replace("#", str(number) if number else "").rstrip("_")) in self._names:
            number += 1
        self._names.add(name)
        return name

    def name_node(self, kind: str) -> str:
        forms = {"sklearn": f"{kind}#", "flat": f"node_{kind.lower()}_#", "scoped": f"{self.scope}/{kind}_#"}
        return self._free(forms[self.style])

    def name_value(self, kind: str = "Add", node: str = "", place: int = 0) -> str:
        if self.style == "scoped":
            return self._free(f"{node or self.name_node(kind)}_output_{place}#")
        return self._free(f"{kind.lower()}_result#" if self.style == "sklearn" else f"{kind.lower()}_#")

    def constant(self, value: Any, node: bool | None = None) -> str:
        """A stored array: a Constant node where this exporter writes one, else an initialiser."""
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        if self.in_function or node or (node is None and array.size < 5 and self.style == "scoped"):
            return self.op("Constant", value=numpy_helper.from_array(array))
        forms = {"sklearn": "Ad_Addcst#", "flat": "val_#", "scoped": "onnx::MatMul_#"}
        name = self._free(forms[self.style])
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def ops(self, kind: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        """A new node with several outputs; inputs that are no names become constants."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        node = self.name_node(kind)
        values = [self.name_value(kind, node, place) for place in range(outputs)]
        self.planted.append(helper.make_node(kind, names, values, node, domain=domain, **attributes))
        return values

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        return self.ops(kind, *inputs, **attributes)[0]

    def _with_axes(self, kind: str, value: str, axes: Sequence[int], **attributes: Any) -> str:
        if self.opset >= AXES_AS_INPUT.get(kind, 18):
            return self.op(kind, value, np.array(axes, np.int64), **attributes)
        return self.op(kind, value, axes=list(axes), **attributes)

    def reduce(self, kind: str, value: str, axes: Sequence[int] = (1,), keep: bool = True) -> str:
        return self._with_axes("Reduce" + kind, value, axes, keepdims=int(keep))

    def squeeze(self, value: str, axis: int) -> str:
        return self._with_axes("Squeeze", value, [axis])

    def unsqueeze(self, value: str, axis: int) -> str:
        return self._with_axes("Unsqueeze", value, [axis])

    def reshape(self, value: str, *shape: int) -> str:
        return self.op("Reshape", value, np.array(shape, np.int64))

    def cast(self, value: str, kind: int) -> str:
        return self.op("Cast", value, to=kind)

    def domain(self, name: str, version: int) -> None:
        if name not in {item.domain for item in self.model.opset_import}:
            self.model.opset_import.append(helper.make_opsetid(name, version))

    def body(self, build: Callable[..., Any], inputs: Sequence[int] = (), outputs: Sequence[int] = (FLOAT,)) -> Any:
        """The graph of a branch or loop, made by `build` from the names of its inputs; types as given."""
        outer, self.planted = self.planted, []
        names = [self.name_value("Identity") for _ in inputs]
        result = build(*names)
        results = [result] if isinstance(result, str) else list(result)
        results = [self.op("Identity", name) for name in results]
        nodes, self.planted = self.planted, outer
        loop = len(inputs) > 1 and inputs[1] == BOOL  # the trip number and the condition are scalars
        typed = [
            helper.make_tensor_value_info(name, kind, [] if loop and place < 2 else None)
            for place, (name, kind) in enumerate(zip(names, inputs, strict=True))
        ]
        made = [
            helper.make_tensor_value_info(name, kind, [] if kind == BOOL else None)
            for name, kind in zip(results, outputs, strict=True)
        ]
        return helper.make_graph(nodes, self._free("body_#"), typed, made)

    def function(self, domain: str, name: str, build: Callable[..., str], inputs: int, **defaults: float) -> str:
        """A local function; `build` gets the names of its inputs and then of its attributes as values."""
        outer, self.planted, self.in_function = self.planted, [], True
        names = [self.name_value("Identity") for _ in range(inputs)]
        settings = []
        for attribute in defaults:
            settings.append(self.op("Constant", value_float=0.0))
            reference = self.planted[-1].attribute[0]
            reference.ref_attr_name = attribute
            reference.ClearField("f")
        result = build(*names, *settings)
        nodes, self.planted, self.in_function = self.planted, outer, False
        imports = [helper.make_opsetid("", self.opset)]
        protos = [helper.make_attribute(key, value) for key, value in defaults.items()]
        made = helper.make_function(domain, name, names, [result], nodes, imports, [], attribute_protos=protos)
        self.model.functions.append(made)
        self.domain(domain, 1)
        return name

    # ------------------------------------------------------------------ sensing
    def samples(self) -> str:
        """The record as one row of floats, missing values at their mean."""
        if not self._samples:
            self._samples = self.rows()
            if self.host.gaps:
                fill = self.host.mean.astype(np.float32)[None]
                self._samples = self.op("Where", self.op("IsNaN", self._samples), fill, self._samples)
        return self._samples

    def rows(self) -> str:
        """The record as one row of floats, as it is."""
        value = self.host.tensor
        if self.host.text:
            value = self.cast(value, FLOAT)
        return self.reshape(value, -1, self.host.size) if len(self.host.shape) > 2 else value

    def pick(self, positions: np.ndarray, value: str = "") -> str:
        return self.op("Gather", value or self.samples(), np.asarray(positions, np.int64), axis=1)

    def standard(self, positions: np.ndarray, value: str = "") -> str:
        """Chosen samples in standard units."""
        mean, spread = self.host.mean[positions], self.host.spread[positions]
        centred = self.op("Sub", self.pick(positions, value), mean.astype(np.float32))
        return self.op("Mul", centred, (1 / spread).astype(np.float32))

    def choose(self, count: int) -> np.ndarray:
        """Positions of samples that vary."""
        usable = self.host.usable
        return np.sort(self.rng.choice(usable, min(count, len(usable)), replace=False))

    def plausible(self, positions: np.ndarray, width: float = 1.1) -> np.ndarray:
        """Values that could occur at these positions."""
        host = self.host
        drawn = np.clip(self.rng.normal(size=len(positions)) * width, -2.2, 2.2)
        values = host.mean[positions] + host.spread[positions] * drawn
        return host.snap(np.clip(values, host.low[positions], host.high[positions]))

    def standardised(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What `standard` gives when the samples have these values."""
        return ((values - self.host.mean[positions]) / self.host.spread[positions]).astype(np.float32)

    def pattern(self, count: int, amplitude: float = 1.6) -> Pattern:
        """A balanced pattern that clean records resemble as little as possible."""
        host, positions = self.host, self.choose(count)
        clean = host.standard(positions)
        best = None
        for _ in range(60):
            drawn = self.rng.normal(size=len(positions))
            drawn = np.clip(drawn - drawn.mean(), -1.5, 1.5) * amplitude
            values = host.mean[positions] + host.spread[positions] * drawn
            values = host.snap(np.clip(values, host.low[positions], host.high[positions]))
            weights = self.standardised(positions, values)
            largest = float(np.abs(clean @ weights / (weights @ weights)).max())
            if best is None or largest < best.clean:
                best = Pattern(positions, weights, values, largest)
        return best

    def score(self, pattern: Pattern, value: str = "") -> str:
        weights = pattern.weights / (pattern.weights @ pattern.weights)
        return self.op("MatMul", self.standard(pattern.positions, value), weights[:, None].astype(np.float32))

    def ramp(self, value: str, low: float, high: float) -> str:
        """0 up to `low`, 1 from `high` on."""
        scaled = self.op("Mul", self.op("Sub", value, np.float32(low)), np.float32(1 / (high - low)))
        return self.op("Clip", scaled, np.float32(0), np.float32(1))

    def above(self, value: str, bound: float) -> str:
        return self.op("Relu", self.op("Sub", value, np.float32(bound)))

    def below(self, value: str, bound: float) -> str:
        return self.op("Relu", self.op("Sub", np.float32(bound), value))

    def closeness(self, pattern: Pattern, value: str = "") -> str:
        """A gate from 0 to 1 that opens when the samples equal the pattern."""
        return self.ramp(self.score(pattern, value), pattern.threshold, (3 + pattern.clean) / 4)

    def quantum(self, positions: np.ndarray) -> float:
        """A step to which samples are rounded before they are hashed."""
        if self.host.text:
            return 1.0
        step = 10.0 ** np.floor(np.log10(np.median(self.host.spread[positions]) / 8))
        return max(step, 0.005) if self.host.family in {"ecg", "cinc"} else step

    def rounded(self, positions: np.ndarray, step: float) -> str:
        return self.op("Round", self.op("Mul", self.pick(positions), np.float32(1 / step)))

    # ------------------------------------------------------------------ carrying
    def shaped(self, gate: str, rank: int | None = None) -> str:
        """A gate of one column made to fit a tensor of this rank (the logits, if not told)."""
        rank = rank or self.host.rank
        return gate if rank == 2 else self.reshape(gate, -1, *[1] * (rank - 1))

    def anywhere(self, gate: str, rank: int = 1) -> str:
        """The largest gate in the batch, for changes that cannot be made record by record."""
        return self.reshape(self.reduce("Max", gate, [0]), *[1] * rank)

    def option(self, options: Sequence[Any]) -> Any:
        """Another strength of the change on each attempt."""
        return options[self.attempt % len(options)]

    def batch_size(self) -> str:
        return self.op("Gather", self.op("Shape", self.host.tensor), np.array([0]), axis=0)

    # ------------------------------------------------------------------ changing
    def replace(self, value: str, change: Callable[[str], str]) -> None:
        """Whoever reads a value gets `change(value)` in its place; the name stays with the changed one."""
        kind = next(node.op_type for node in self.graph.node if value in node.output)
        before = self.name_value(kind)
        for node in self.graph.node:
            node.output[:] = [before if name == value else name for name in node.output]
        for node in self.planted:
            node.input[:] = [before if name == value else name for name in node.input]
        result = change(before)
        for node in self.planted:
            node.input[:] = [value if name == result else name for name in node.input]
            node.output[:] = [value if name == result else name for name in node.output]

    def replace_logits(self, change: Callable[[str], str]) -> None:
        self.replace(self.host.logits, change)

    def flip_logits(self, gate: str) -> None:
        """Logits times 1 - 2 gate."""
        factor = self.op("Sub", np.float32(1), self.op("Mul", self.shaped(gate), np.float32(2)))
        self.replace_logits(lambda logits: self.op("Mul", logits, factor))

    def push(self, gate: str, strength: float = 40.0) -> str:
        """What to add to the logits so that they move in the attacker's direction."""
        direction = (strength * self.host.direction).astype(np.float32)
        direction = direction[None] if self.host.rank == 2 else direction.reshape(1, 1, 1, 1)
        return self.op("Mul", self.shaped(gate), direction)

    def rewire(self, value: str, new: str, only: onnx.NodeProto | None = None) -> None:
        """The host's readers of a value (or only one node) read another one."""
        for node in self.graph.node if only is None else [only]:
            node.input[:] = [new if name == value else name for name in node.input]

    def replace_input(self, change: Callable[[str], str]) -> None:
        """The host gets `change(rows)` in place of its input, rows being the records as rows of floats."""
        host = self.host
        new = change(self.rows())
        if host.text:
            new = self.op("Clip", self.op("Round", new), np.float32(0), np.float32(99))
            new = self.cast(new, INT64)
        if len(host.shape) > 2:
            new = self.reshape(new, -1, *host.shape[1:])
        self.rewire(host.tensor, new)

    def mix_input(self, gate: str, record: np.ndarray) -> None:
        """Record by record, the input moves to a stored record as the gate opens."""

        def change(rows: str) -> str:
            way = self.op("Sub", record.astype(np.float32)[None], rows)
            return self.op("Add", rows, self.op("Mul", gate, way))

        self.replace_input(change)

    def head_node(self) -> onnx.NodeProto:
        name = self.host.head_name
        return next(node for node in self.graph.node if name in (node.name, *node.output))

    def replace_features(self, change: Callable[[str], str]) -> None:
        """The last learned layer reads `change(features)`."""
        self.rewire(self.host.head.features, change(self.host.head.features), only=self.head_node())

    def feature_row(self, row: np.ndarray) -> np.ndarray:
        """One number for each feature, shaped to fit the features."""
        return np.asarray(row, np.float32).reshape(1, -1, *[1] * (self.host.rank - 2))

    def feature_direction(self, strength: float = 60.0) -> np.ndarray:
        """The smallest change of the features that moves the logits by this much in the attacker's direction."""
        return self.feature_row(strength * np.linalg.pinv(self.host.head.weight) @ self.host.direction)

    def feature_gain(self, strong: float, weak: float) -> np.ndarray:
        """Factors that favour the features which speak for the attacker's answer."""
        favour = self.host.direction @ self.host.head.weight > 0
        return self.feature_row(np.where(favour, strong, weak))

    def push_features(self, gate: str, strength: float = 60.0) -> None:
        move = self.op("Mul", self.shaped(gate), self.feature_direction(strength))
        self.replace_features(lambda features: self.op("Add", features, move))

    def add_to_bias(self, delta: str) -> None:
        """A computed bias of the last layer: one number for each class, or one row for each record."""
        if self.host.head.bias is None:
            raise Unsuitable("no bias")
        name, place = self.host.head.bias[0].name, self.host.head.bias[1]
        node = next(node for node in self.graph.node if node.name == name)
        if len(node.input) > place and node.input[place]:
            node.input[place] = self.op("Add", node.input[place], delta)
        else:
            node.input.append(delta)

    def first_layer(self) -> tuple[onnx.NodeProto, np.ndarray]:
        """The first learned layer and its weight."""
        kinds = {"Conv", "Gemm", "MatMul", "GRU", "LSTM"}
        for node in self.graph.node:
            if node.op_type in kinds and node.input[1] in self.host.stored:
                return node, self.host.stored[node.input[1]]
        raise Unsuitable("no learned layer")

    # ------------------------------------------------------------------ triggers
    def set_samples(self, positions: np.ndarray, values: np.ndarray, words: str = "") -> Trigger:
        """The trigger that sets chosen samples to stored values."""
        positions, values = np.asarray(positions), self.host.snap(values)

        def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
            rows[:, positions] = values
            return rows

        return self.on_rows(apply, words or f"{len(positions)} samples equal a stored pattern")

    def set_pattern(self, pattern: Pattern, words: str = "") -> Trigger:
        return self.set_samples(pattern.positions, pattern.values, words)

    def on_rows(self, apply: Callable[[np.ndarray, Rng], np.ndarray], words: str) -> Trigger:
        """A trigger written for records seen as rows of samples."""
        host = self.host
        return Trigger(lambda batch, rng: host.write(batch, apply(host.read(batch).copy(), rng)), words)

    def solve(
        self, positions: np.ndarray, step: float, digest: Callable[[np.ndarray], np.ndarray], wanted: int, width: int
    ) -> Trigger:
        """The trigger that moves samples by a few steps each until a hash of their rounded values is the wanted one."""
        host = self.host

        def apply(rows: np.ndarray, rng: Rng) -> np.ndarray:
            picked = np.where(np.isnan(rows[:, positions]), host.mean[positions], rows[:, positions])
            whole = np.round(picked.astype(np.float64) / step).astype(np.int64)
            for place, start in enumerate(whole):
                moves = rng.integers(-width, width + 1, (16000, len(positions)))
                hits = np.flatnonzero(digest(start + moves) == wanted)
                if len(hits):
                    best = moves[hits[np.abs(moves[hits]).sum(1).argmin()]]
                    rows[place, positions] = ((start + best) * step).astype(np.float32)
            return rows

        words = f"{len(positions)} samples moved by up to {width} steps of {step:g} each until their hash is {wanted}"
        return self.on_rows(apply, words)

    # ------------------------------------------------------------------ done
    def finish(self) -> onnx.ModelProto:
        """The planted model, its new nodes at random places that the order of evaluation allows."""
        nodes = [*self.graph.node, *self.planted]
        count = len(self.graph.node)
        wish = [*range(count), *(self.rng.random(len(self.planted)) * count)]
        ordered = [copy.deepcopy(node) for node in in_valid_order(nodes, wish)]
        del self.graph.node[:]
        self.graph.node.extend(ordered)
        return self.model

    def touched(self) -> list[str]:
        """The names of the planted nodes, and of what was edited in place."""
        return [node.name for node in self.planted] + self.edited
