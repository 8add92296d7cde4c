"""Logic in a graph that no training put there: raw predicates, ways past the learned layers, late merges, meetings.

A trained network mixes all that it reads by learned layers before anything is decided. A trigger that is written into
the graph by hand decides on raw numbers, and lets the decision choose, add or multiply something on the way to an
answer. Hits that honest graphs' idioms explain are kept, as explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto

from medaudit.core.text import printable
from medaudit.model.flow import NONE, Flow, flow, words
from medaudit.model.logic import LAYERED, MERGES, Graph
from medaudit.model.mixing import meetings
from medaudit.model.taint import CONTROLS, DECISIVE, INTEGERS, LINEAR, SAME, UNIT, WIDE, Tracer
from medaudit.model.trees import boxes

SHALLOW, LATE, DEEP = 0.4, 0.85, 3  # shares of the trunk's learned layers; fewer than DEEP have no late
JOINS = MERGES | frozenset(CONTROLS) - LAYERED - {"Carried", "Turn", "Loop"}  # where values meet
CHOOSES = words("Slice Gather GatherND GatherElements Where If Pad Split TopK Compress Scatter ScatterND")
UNSAID = 64  # numbers along a side that the file leaves open
WEIGHTED = words("Conv ConvTranspose Gemm MatMul")
NORMS = words("LayerNormalization BatchNormalization InstanceNormalization GroupNormalization")
ORDER = ("high", "medium", "low", "explained")
TELLING = ("G4", "G11", "G13", "G1", "G3", "G2")  # the most particular first
WORDS = 8  # ONNX's number of the type of texts


@dataclass(frozen=True)
class Hit:
    """One thing found. way: where in the graph, from an input to an answer."""

    rule: str  # G1 raw predicate, G2 bypass, G3 late merge, G4 pattern or checksum, G11 patients meet, G13 tree box
    severity: str  # high | medium | low | explained
    text: str
    way: tuple[str, ...]
    call: int
    handles: tuple[str, ...] = ()  # what decides, as the main graph calls it; none where it is made elsewhere
    # Constants that what decides was made with: a trigger may be among them.
    stored: tuple[np.ndarray, ...] = field(default=(), compare=False)


def hidden(proto: ModelProto) -> list[Hit]:
    """All that is found in a model, worst first. Raises ModelError where the graph grows beyond bounds."""
    flat, made = flow(proto), {tensor.name for tensor in proto.graph.initializer}
    types = {item.name: item.type.tensor_type for item in proto.graph.input if item.name not in made}
    rows, ranks = {}, {name: len(of.shape.dim) for name, of in types.items()}
    for name, of in types.items():
        rows[name] = 1
        for side in of.shape.dim[1:]:
            rows[name] *= side.dim_value or UNSAID
    whole = frozenset(name for name, of in types.items() if of.elem_type in INTEGERS | {WORDS})
    graph = Graph(Tracer(flat, rows, whole))
    met = [
        Hit("G11", "high", f"patients of one batch meet: {one.text}", graph.through(one.call), one.call)
        for one in meetings(flat, ranks)
    ]
    return ordered([*logic(graph), *met, *tree_boxes(graph)])


def ordered(found: list[Hit]) -> list[Hit]:
    """The worst first; of several on one way the worst only, with what any of them says to force, the last first."""
    kept: dict[tuple[str, ...], Hit] = {}
    for hit in sorted(found, key=lambda hit: (ORDER.index(hit.severity), TELLING.index(hit.rule), -hit.call)):
        first = kept.setdefault(hit.way, hit)
        kept[hit.way] = replace(first, handles=tuple(dict.fromkeys(first.handles + hit.handles)))
    return list(kept.values())


def logic(graph: Graph) -> list[Hit]:
    """What the rules find in a graph's logic."""
    found = [*raw_predicates(graph), *bypasses(graph), *late_merges(graph), *side_answers(graph)]
    return [*found, *first_states(graph), *row_counts(graph), *single_units(graph), *changed_weights(graph)]


def hits(flat: Flow, rows: Mapping[str, int], whole: frozenset[str] = frozenset()) -> list[Hit]:
    """All that the rules find in a graph's logic, worst first. rows, whole: see `Tracer`."""
    return ordered(logic(Graph(Tracer(flat, rows, whole))))


def raw_predicates(graph: Graph) -> Iterator[Hit]:
    """G1: something decided on raw numbers chooses, adds or multiplies on the way to an answer."""
    for gate in graph.gates():
        reason = graph.explained(gate)
        raw = all(graph.traces[v].most == 0 for v in gate.others)
        early = raw and all(graph.ahead.get(v, 0) for v in graph.flow.calls[gate.call].outputs)
        mild = not graph.trunk or graph.told(gate) or (early and graph.summary(gate))
        severity = "explained" if reason else "medium" if mild else "high"
        at = graph.place(gate.call)
        made = "" if reason else graph.made_of(gate.predicate)
        text = reason or f"raw input decides at {at} what becomes of other values, before any learned layer has read it"
        text += f"; {made}" if made else ""
        rule = "G4" if made else "G1"
        names, stored = graph.handles(gate.predicate), graph.stored(gate.predicate)
        yield Hit(rule, severity, text, graph.way(gate.predicate), gate.call, names, stored)


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
            severity = "high" if trace.bend == DECISIVE and not trace.inputs <= graph.tracer.flags else "medium"
            text = f"raw input reaches {shown} past every learned layer, and is {bent} on its way"
        yield Hit("G2", severity, text, graph.way(value), NONE, graph.handles(value), graph.stored(value))


def late_merges(graph: Graph) -> Iterator[Hit]:
    """G3: near the end, a shallow side branch chooses or changes what the trunk made."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in JOINS | {"Concat"} or not any(v in graph.ahead for v in call.outputs):
            continue
        if graph.tracer.attends(i) or graph.averaged(i):
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
                chooses = v in [call.inputs[c] for c in CONTROLS.get(call.kind, ()) if c < len(call.inputs)]
                severity = "high" if chooses or not ahead else "medium"
                text = f"a branch of {t.most} learned layers joins the trunk of {graph.trunk} late, at {graph.place(i)}"
                yield Hit("G3", severity, text, graph.way(v, raw=False), i, graph.handles(v), graph.stored(v))


def side_answers(graph: Graph) -> Iterator[Hit]:
    """G3 in a network of few layers: behind the last, what one layer read and bent meets what another read."""
    for i, call in enumerate(graph.flow.calls):
        late = call.kind in JOINS and all(graph.ahead.get(v) == 0 for v in call.outputs)
        if not 0 < graph.trunk < DEEP or not late:
            continue
        vary = {v: graph.traces[v] for v in call.inputs if v != NONE and graph.traces[v].varies}
        for v, t in vary.items():
            more = [w for w in vary if vary[w].most > t.most or (vary[w].most == t.most and not vary[w].bent)]
            others = [w for w in more if graph.readers(w) != graph.readers(v)]
            if t.bent and t.most and others:
                text = f"what a layer of its own read from the input is bent, and joins the answer at {graph.place(i)}"
                yield Hit("G3", "medium", text, graph.way(v, raw=False), i, graph.handles(v), graph.stored(v))


def first_states(graph: Graph) -> Iterator[Hit]:
    """G1: a recurrent layer begins from raw input that is bent, not from zero or from what layers made."""
    for i, call in enumerate(graph.flow.calls):
        states = call.inputs[5:7] if call.kind in LAYERED else ()
        for v in states:
            if v != NONE and graph.traces[v].raw and graph.traces[v].bent:
                text = f"the state that {graph.place(i)} begins from is raw input, bent"
                yield Hit("G1", "high", text, graph.way(v), i, graph.handles(v), graph.stored(v))


def tree_boxes(graph: Graph) -> Iterator[Hit]:
    """G13: a leaf of a tree ensemble that almost nothing reaches, and that outweighs all others."""
    for box in boxes(graph.flow):
        sides = " and ".join(f"input {f} from {low:.6g} to {high:.6g}" for f, low, high in box.between[:4])
        text = (
            f"tree {box.tree} of {graph.place(box.call)} answers {box.weight:.4g} where nearly all leaves stay below "
            f"{box.usual:.4g}, in a box that about {box.share:.1g} of the inputs reach: {sides or 'many splits'}"
        )
        yield Hit("G13", "medium", text, graph.through(box.call), box.call)


def row_counts(graph: Graph) -> Iterator[Hit]:
    """G11: how many records are asked at once decides what becomes of them."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in MERGES | CHOOSES or not any(v in graph.ahead for v in call.outputs):
            continue
        if any(graph.traces[v].varies for v in call.inputs if v != NONE):
            for v in call.inputs:
                if v != NONE and graph.traces[v].rows == DECISIVE:
                    text = f"the number of records asked at once decides at {graph.place(i)} what becomes of them"
                    yield Hit("G11", "high", text, graph.way(v, raw=False), i, graph.handles(v), graph.stored(v))
                    break


def single_units(graph: Graph) -> Iterator[Hit]:
    """G1: one number, read from the whole input by one stored unit and bent, scales or moves many others."""
    for i, call in enumerate(graph.flow.calls):
        if call.kind not in JOINS or not any(v in graph.ahead for v in call.outputs):
            continue
        vary = [v for v in call.inputs if v != NONE and graph.traces[v].varies]
        for v in vary:
            t = graph.traces[v]
            alone = t.narrow == UNIT and t.bent and t.knees <= 1 and t.most == 1
            if alone and any(graph.traces[w].narrow == WIDE for w in vary):
                text = f"one number that a single unit reads from raw input moves others at {graph.place(i)}"
                yield Hit("G1", "medium", text, graph.way(v, raw=False), i, graph.handles(v), graph.stored(v))


def changed_weights(graph: Graph) -> Iterator[Hit]:
    """G1: stored weights of a layer, or a norm's scale, are changed by raw input that is bent."""
    for i, call in enumerate(graph.flow.calls):
        weights = call.inputs[1:2] if call.kind in WEIGHTED else call.inputs[1:3] if call.kind in NORMS else ()
        for v in weights:
            trace = graph.traces[v] if v != NONE else None
            if trace is None or not (trace.raw and trace.bent and any(o in graph.ahead for o in call.outputs)):
                continue
            behind = graph.tracer.behind(v, SAME | {"Mul", "Add"})
            stored = [w for c in behind for w in c.inputs if w in graph.flow.constants]
            if call.kind in NORMS or any(graph.traces[w].dense for w in stored):
                text = f"the stored weights of {graph.place(i)} are changed by raw input"
                yield Hit("G1", "high", text, graph.way(v), i, graph.handles(v), graph.stored(v))
