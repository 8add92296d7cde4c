"""Logic in a graph that no training put there: raw predicates, ways past the learned layers, late merges.

A trained network mixes all that it reads by learned layers before anything is decided. A trigger that is written into
the graph by hand decides on raw numbers, and lets the decision choose, add or multiply something on the way to an
answer. What honest graphs do with raw numbers (imputing, masking, clipping, looking codes up) is known by its idiom,
never by names, and is kept among the hits as explained.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from medaudit.core.text import printable
from medaudit.model.flow import NONE, Flow, words
from medaudit.model.taint import BIASES, CONTROLS, DECISIVE, LINEAR, UNIT, WIDE, Tracer

SHALLOW, LATE, DEEP = 0.4, 0.85, 3  # shares of the trunk's learned layers; fewer than DEEP have no late
MERGES = frozenset(
    ("Add", "Sub", "Sum", "Mul", "Div", "Max", "Min", "Pow", "MatMul", "Gemm", "Einsum", "Mean", "PRelu")
)
CHOOSES = words("Slice Gather GatherND GatherElements Where If Pad Split TopK Compress Scatter ScatterND")
LAYERED = words("LSTM GRU RNN")
PLACED = words("Gather GatherND GatherElements LSTM GRU RNN ReverseSequence")
COUNTS = words(
    """IsNaN Not Cast Add Sub ReduceSum ReduceMax ReduceMin CumSum ArgMax Greater Less Equal Where Unsqueeze Squeeze
    Concat Reshape Flatten Expand Identity Clip Max"""
)


@dataclass(frozen=True)
class Hit:
    """One thing found. way: where in the graph, from an input to an answer."""

    rule: str  # G1, G2, G3
    severity: str  # high | medium | low | explained
    text: str
    way: tuple[str, ...]
    call: int


@dataclass(frozen=True)
class Gate:
    """A call in which one value decides about others."""

    call: int
    predicate: int
    others: tuple[int, ...]


class Graph:
    """A flow with its traces, and what lies ahead of each value."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.flow, self.traces = tracer, tracer.flow, tracer.out
        self.users, self.makers = tracer.users, tracer.makers
        flow, traces = self.flow, self.traces
        self.ends = {value: name for name, value in flow.outputs.items()}
        self.trunk = max((traces[v].most for v in flow.outputs.values() if v != NONE), default=0)
        self.ahead = self._ahead()

    def _ahead(self) -> dict[int, int]:
        """value -> fewest learned layers between it and an answer; without an entry it reaches none."""
        ahead = {v: 0 for v in self.flow.outputs.values() if v != NONE}
        waiting = deque(ahead)
        while waiting:
            value = waiting.popleft()
            call = self.makers.get(value)
            if call is None:
                continue
            own = ahead[value] + self.tracer.learned(call)
            for v in call.inputs:
                if v != NONE and own < ahead.get(v, own + 1):
                    ahead[v] = own
                    waiting.append(v)
        return ahead

    def gates(self) -> Iterator[Gate]:
        """Every call in which something raw that decides meets other values, on a way to an answer."""
        for i, call in enumerate(self.flow.calls):
            if not any(v in self.ahead for v in call.outputs):
                continue
            if self.tracer.learned(call) and call.kind not in LAYERED:
                value = call.inputs[BIASES[call.kind]] if len(call.inputs) > BIASES.get(call.kind, 9) else NONE
                if value != NONE and self.traces[value].decides:
                    yield Gate(i, value, call.inputs[:1])
                continue
            controls = [call.inputs[c] for c in CONTROLS.get(call.kind, ()) if c < len(call.inputs)]
            data = tuple(v for v in call.inputs if v != NONE and v not in controls)
            for value in controls:
                if value != NONE and self.traces[value].decides and any(self.traces[v].varies for v in data):
                    yield Gate(i, value, data)  # else two constants: what it decides comes later
            if call.kind in MERGES:
                for value in data:
                    others = tuple(v for v in data if v != value and self.traces[v].varies)
                    if self.traces[value].decides and others:
                        yield Gate(i, value, others)

    def explained(self, gate: Gate) -> str:
        """Which honest idiom a gate is; "" where it is none that we know."""
        call, p = self.flow.calls[gate.call], self.traces[gate.predicate]
        others = [self.traces[v] for v in gate.others if self.traces[v].varies]
        ahead = min(self.ahead.get(v, 0) for v in call.outputs)
        if others and all(t.origin == p.origin for t in others):
            return "each number is replaced by what it is itself: an imputation, a clip or a guard"
        if call.kind == "Div" and gate.predicate == call.inputs[1] and self.guarded(gate.predicate):
            return "what is divided by is guarded against being too small"
        if not ahead:
            return ""
        if self.tracer.attends(gate.call):
            return "a mask on the scores of an attention layer"
        if call.kind == "Where" and self.tracer.replaces(call):
            return "an input masks others, number by number, before learned layers"
        if call.kind in PLACED and all(t.least > 0 for t in others) and self.counted(gate.predicate):
            return "the last step of a record that holds something, found by counting what is missing"
        if p.origin in self.tracer.masks and p.origin not in {t.origin for t in others}:
            return "an input masks others, number by number, before learned layers"
        return ""

    def counted(self, value: int) -> bool:
        """Made by counting which numbers of whole inputs are missing, or what masks and codes say."""
        waiting, seen = [value], {value}
        while waiting:
            at = waiting.pop()
            call = self.makers.get(at)
            if call is None:
                if at not in self.tracer.whole:
                    return False
            elif call.kind not in COUNTS:
                return False
            elif call.kind == "IsNaN":
                if self.traces[call.inputs[0]].origin not in self.tracer.masks:
                    return False
            else:
                waiting += [v for v in call.inputs if v != NONE and self.traces[v].raw and v not in seen]
                seen.update(call.inputs)
        return True

    def guarded(self, value: int) -> bool:
        """The value is a number, or a stored one in its place."""
        call = self.makers.get(value)
        return call is not None and call.kind == "Where" and self.tracer.replaces(call)

    def way(self, value: int, raw: bool = True) -> tuple[str, ...]:
        """Places from an input to the value and on to an answer, the shortest of each."""
        makers = {v: i for i, call in enumerate(self.flow.calls) for v in call.outputs}
        back, seen = {value: NONE}, deque([value])
        begin = value
        while seen:
            begin = seen.popleft()
            if begin in self.flow.inputs.values():
                break
            for v in self.flow.calls[makers[begin]].inputs if begin in makers else ():
                if v != NONE and v not in back and self.traces[v].varies and (self.traces[v].raw or not raw):
                    back[v] = begin
                    seen.append(v)
        places = [f"input {self.flow.names[begin]}"]
        while begin != value:
            begin = back[begin]
            places.append(self.place(makers[begin]))
        return tuple(places + self.onwards(value))

    def onwards(self, value: int) -> list[str]:
        """Places from a value to the nearest answer."""
        came: dict[int, tuple[int, int]] = {value: (NONE, NONE)}
        waiting = deque([value])
        while waiting:
            at = waiting.popleft()
            if at in self.ends:
                places = [f"output {printable(self.ends[at])}"]
                while came[at][1] != NONE:
                    places.append(self.place(came[at][1]))
                    at = came[at][0]
                return places[::-1]
            for i in self.users.get(at, ()):
                for v in self.flow.calls[i].outputs:
                    if v not in came:
                        came[v] = (at, i)
                        waiting.append(v)
        return []

    def readers(self, value: int) -> frozenset[int]:
        """The nearest learned layers behind a value, and the inputs that it holds unread."""
        waiting, seen, found = [value], {value}, set()
        while waiting:
            at = waiting.pop()
            call = self.makers.get(at)
            if call is None or self.tracer.learned(call):
                found.add(at)
                continue
            new = {v for v in call.inputs if v != NONE and self.traces[v].varies} - seen
            waiting += new
            seen |= new
        return frozenset(found)

    def place(self, number: int) -> str:
        call = self.flow.calls[number]
        return f"{call.kind} {call.place}" if call.kind not in call.place else call.place


def hits(flow: Flow, rows: Mapping[str, int], whole: frozenset[str] = frozenset()) -> list[Hit]:
    """All that the rules find, worst first. rows, whole: see `Tracer`."""
    graph = Graph(Tracer(flow, rows, whole))
    found = [*raw_predicates(graph), *bypasses(graph), *late_merges(graph), *meetings(graph)]
    found += [*first_states(graph), *row_counts(graph), *single_units(graph)]
    order = ("high", "medium", "low", "explained")
    return sorted(found, key=lambda hit: (order.index(hit.severity), hit.rule, hit.call))


def raw_predicates(graph: Graph) -> Iterator[Hit]:
    """G1: something decided on raw numbers chooses, adds or multiplies on the way to an answer."""
    for gate in graph.gates():
        reason = graph.explained(gate)
        severity = "explained" if reason else "high" if graph.trunk else "medium"
        at = graph.place(gate.call)
        text = reason or f"raw input decides at {at} what becomes of other values, before any learned layer has read it"
        yield Hit("G1", severity, text, graph.way(gate.predicate), gate.call)


def bypasses(graph: Graph) -> Iterator[Hit]:
    """G2: a way from an input to an answer past every learned layer."""
    for name, value in graph.flow.outputs.items():
        trace = graph.traces[value] if value != NONE else None
        if trace is None or not trace.raw:
            continue
        shown = printable(name)
        if not graph.trunk:
            severity, text = "low", f"the model has no learned layer on the way to {shown}"
        elif trace.bend == LINEAR:
            severity, text = "explained", f"raw input is added to {shown} as it is: a residual connection"
        elif trace.most == 0:
            severity, text = "medium", f"the answer {shown} is made of raw input alone, past every learned layer"
        else:
            bent = "decided on" if trace.bend == DECISIVE else "bent"
            severity, text = "high", f"raw input reaches {shown} past every learned layer, and is {bent} on its way"
        yield Hit("G2", severity, text, graph.way(value), NONE)


def late_merges(graph: Graph) -> Iterator[Hit]:
    """G3: near the end, a shallow side branch chooses or changes what the trunk made."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in MERGES | {"Where", "If", "Concat"} or not any(v in graph.ahead for v in call.outputs):
            continue
        vary = [v for v in call.inputs if v != NONE and graph.traces[v].varies]
        deep = max((graph.traces[v].most for v in vary), default=0)
        ahead = min(graph.ahead.get(v, 0) for v in call.outputs)
        late = min(LATE * graph.trunk, graph.trunk - 1)
        if graph.trunk < DEEP or deep < late or (call.kind == "Concat" and ahead):
            continue
        for v in vary:
            t = graph.traces[v]
            if t.most <= SHALLOW * graph.trunk and t.bent:
                chooses = call.kind in ("Where", "If") and v == call.inputs[0]
                severity = "high" if chooses or not ahead else "medium"
                text = f"a branch of {t.most} learned layers joins the trunk of {graph.trunk} late, at {graph.place(i)}"
                yield Hit("G3", severity, text, graph.way(v, raw=False), i)


def meetings(graph: Graph) -> Iterator[Hit]:
    """G3 in a network of few layers: behind the last, what one layer read and bent meets what another read."""
    for i, call in enumerate(graph.flow.calls):
        late = call.kind in MERGES | {"Where", "If"} and all(graph.ahead.get(v) == 0 for v in call.outputs)
        if not 0 < graph.trunk < DEEP or not late:
            continue
        vary = {v: graph.traces[v] for v in call.inputs if v != NONE and graph.traces[v].varies}
        for v, t in vary.items():
            more = [w for w in vary if vary[w].most > t.most or (vary[w].most == t.most and not vary[w].bent)]
            others = [w for w in more if graph.readers(w) != graph.readers(v)]
            if t.bent and t.most and others:
                text = f"what a layer of its own read from the input is bent, and joins the answer at {graph.place(i)}"
                yield Hit("G3", "medium", text, graph.way(v, raw=False), i)


def first_states(graph: Graph) -> Iterator[Hit]:
    """G1: a recurrent layer begins from raw input that is bent, not from zero or from what layers made."""
    for i, call in enumerate(graph.flow.calls):
        states = call.inputs[5:7] if call.kind in LAYERED else ()
        for v in states:
            if v != NONE and graph.traces[v].raw and graph.traces[v].bent:
                text = f"the state that {graph.place(i)} begins from is raw input, bent"
                yield Hit("G1", "high", text, graph.way(v), i)


def row_counts(graph: Graph) -> Iterator[Hit]:
    """G11: how many records are asked at once decides what becomes of them."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in MERGES | CHOOSES or not any(v in graph.ahead for v in call.outputs):
            continue
        if any(graph.traces[v].varies for v in call.inputs if v != NONE):
            for v in call.inputs:
                if v != NONE and graph.traces[v].rows == DECISIVE:
                    text = f"the number of records asked at once decides at {graph.place(i)} what becomes of them"
                    yield Hit("G11", "high", text, graph.way(v, raw=False), i)
                    break


def single_units(graph: Graph) -> Iterator[Hit]:
    """G1: one number, read from the whole input by one stored unit and bent, scales or moves many others."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in MERGES | {"Where"} or not any(v in graph.ahead for v in call.outputs):
            continue
        vary = [v for v in call.inputs if v != NONE and graph.traces[v].varies]
        for v in vary:
            t = graph.traces[v]
            alone = t.narrow == UNIT and t.bent and t.knees <= 1 and t.most == 1
            if alone and any(graph.traces[w].narrow == WIDE for w in vary):
                text = f"one number that a single unit reads from raw input moves others at {graph.place(i)}"
                yield Hit("G1", "medium", text, graph.way(v, raw=False), i)
