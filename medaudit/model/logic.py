"""What decides what in a graph: gates, the idioms of honest ones, and ways from an input to an answer.

A gate is a call in which something that was decided on raw input meets other values. What honest graphs do with raw
numbers (imputing, masking, clipping, looking codes up) is known by its idiom, never by names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medaudit.core.text import printable
from medaudit.model.flow import NONE, Call, words
from medaudit.model.taint import BIASES, CONTROLS, SAME, Tracer

MERGES = frozenset(
    ("Add", "Sub", "Sum", "Mul", "Div", "Max", "Min", "Pow", "MatMul", "Gemm", "Einsum", "Mean", "PRelu")
)
PATTERN = 8  # stored numbers
COMPARES = words("Sub Equal MatMul Gemm Conv Less Greater Add")
CHECKSUMS = words("Mod BitShift BitwiseXor BitwiseAnd BitwiseOr")
FEW = 4  # stored numbers that are a limit, and no pattern
LAYERED = words("LSTM GRU RNN")
TRUTHS = words("Greater Less Equal GreaterOrEqual LessOrEqual And Or Not Xor IsNaN IsInf")
PLACED = words("Gather GatherND GatherElements LSTM GRU RNN ReverseSequence")
COUNTS = words(
    """IsNaN Not Cast Add Sub ReduceSum ReduceMax ReduceMin CumSum ArgMax Greater Less Equal Where Unsqueeze Squeeze
    Concat Reshape Flatten Expand Identity Clip Max"""
)


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
        self.numbers = {v: i for i, call in enumerate(tracer.flow.calls) for v in call.outputs}
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
                place = BIASES.get(call.kind, len(call.inputs))
                value = call.inputs[place] if place < len(call.inputs) else NONE
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
        if self.tracer.attends(gate.call):
            return "a mask on the scores of an attention layer"
        if self.averaged(gate.call):
            return "the average of what a mask leaves over"
        if not ahead:
            return ""
        if self.counted(gate.predicate) and all(self.counted(v) for v in gate.others):
            return "positions, counted by what is there"
        if self.fills(gate):
            return "what is missing is filled in with other numbers of the record"
        if call.kind == "Where" and self.tracer.replaces(call):
            return "an input masks others, number by number, before learned layers"
        if call.kind in PLACED and all(t.least > 0 for t in others) and self.counted(gate.predicate):
            return "the last step of a record that holds something, found by counting what is missing"
        if p.origin in self.tracer.masks and p.origin not in {t.origin for t in others}:
            return "an input masks others, number by number, before learned layers"
        return ""

    def averaged(self, number: int) -> bool:
        """Part of an average: numbers times a mask, summed, and divided by the sum of the mask."""
        call = self.flow.calls[number]
        if call.kind == "Div":
            return self.divided(call)
        sums = [u for u in self.after(call.outputs[0]) if u.kind == "ReduceSum"] if call.kind == "Mul" else []
        return any(u.kind == "Div" and self.divided(u) for s in sums for u in self.after(s.outputs[0]))

    def divided(self, call: Call) -> bool:
        """A sum of masked numbers over the sum of that mask."""
        above, below = (self.tracer.behind(v, SAME | words("ReduceSum Clip Max Add")) for v in call.inputs[:2])
        sums = {self.traces[c.inputs[0]].origin for c in below if c.kind == "ReduceSum"} - {NONE}
        masks = [v for c in above if c.kind == "ReduceSum" for v in self.masked(c.inputs[0])]
        return any(self.traces[v].origin in sums for v in masks)

    def masked(self, value: int) -> tuple[int, ...]:
        """The operands of a product."""
        call = self.makers.get(value)
        return call.inputs if call is not None and call.kind == "Mul" else ()

    def after(self, value: int) -> list[Call]:
        """Calls that take a value, or the same in another form."""
        users = [self.flow.calls[i] for i in self.users.get(value, ())]
        return users + [u for c in users if c.kind in SAME for v in c.outputs for u in self.after(v)][:64]

    def fills(self, gate: Gate) -> bool:
        """Raw numbers chosen by nothing but which of them are missing, before learned layers."""
        call = self.flow.calls[gate.call]
        raw = all(self.traces[v].most == 0 for v in gate.others)
        if not raw or call.kind not in ("Where", "Gather", "GatherElements", "GatherND"):
            return False
        return self.counted(gate.predicate, missing=True)

    def summary(self, gate: Gate) -> bool:
        """What decides is a summary of the whole record, with no part of it chosen and nothing stored compared."""
        waiting, seen = [gate.predicate], {gate.predicate}
        while waiting:
            call = self.makers.get(waiting.pop())
            for v in call.inputs if call is not None else ():
                stored = self.flow.constants.get(v)
                if stored is not None and stored.size > FEW and call is not None and call.kind not in SAME:
                    return False
                if v != NONE and v not in seen and self.traces[v].raw:
                    seen.add(v)
                    waiting.append(v)
            if call is not None and call.kind in words("Gather GatherND GatherElements Slice Split MatMul Gemm Conv"):
                return False
        return True

    def told(self, gate: Gate) -> bool:
        """What decides is an input of its own: a flag, a length, an age; not among the numbers of a record."""
        trace = self.traces[gate.predicate]
        return bool(trace.inputs) and trace.inputs <= self.tracer.flags

    def counted(self, value: int, missing: bool = False) -> bool:
        """Made by counting which numbers of whole inputs are missing, or (not `missing`) what masks and codes say."""
        waiting, seen = [value], {value}
        while waiting:
            at = waiting.pop()
            call = self.makers.get(at)
            if call is None:
                if missing or at not in self.tracer.whole:
                    return False
            elif call.kind not in COUNTS:
                return False
            elif call.kind == "IsNaN":
                if not missing and self.traces[call.inputs[0]].origin not in self.tracer.masks:
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
        back, seen = {value: NONE}, deque([value])
        begin = value
        while seen:
            begin = seen.popleft()
            if begin in self.flow.inputs.values():
                break
            for v in self.makers[begin].inputs if begin in self.makers else ():
                trace = self.traces[v] if v != NONE and v not in back else None
                if trace is not None and (trace.raw or not raw) and (trace.varies or trace.rows):
                    back[v] = begin
                    seen.append(v)
        places = [f"input {self.flow.names[begin]}"]
        while begin != value:
            begin = back[begin]
            places.append(self.place(self.numbers[begin]))
        return tuple(places + self.onwards(value))

    def through(self, number: int) -> tuple[str, ...]:
        """Places from an input through a call and on to an answer."""
        outputs = self.flow.calls[number].outputs
        return self.way(outputs[0], raw=False) if outputs else (self.place(number),)

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

    def stored(self, value: int, most: int = 8) -> tuple[np.ndarray, ...]:
        """The floating-point constants that a value was made with, the largest first."""
        waiting, seen, found = [value], {value}, dict[str, np.ndarray]()
        while waiting:
            call = self.makers.get(waiting.pop())
            for v in call.inputs if call is not None else ():
                constant = self.flow.constants.get(v)
                if constant is not None and constant.array is not None and constant.array.dtype.kind == "f":
                    found[constant.name] = constant.array
                elif v != NONE and v not in seen and self.traces[v].varies:
                    seen.add(v)
                    waiting.append(v)
        return tuple(found[name] for name in sorted(found, key=lambda name: (-found[name].size, name))[:most])

    def handles(self, value: int, most: int = 3) -> tuple[str, ...]:
        """What to force, as the main graph calls it: the nearest truth values behind a value, and itself."""
        waiting, seen, found = deque([value]), {value}, []
        while waiting:
            at = waiting.popleft()
            call = self.makers.get(at)
            if call is None or self.tracer.learned(call):
                continue
            if call.kind in TRUTHS and at in self.flow.top:
                found.append(at)
                continue
            for v in call.inputs:
                if v != NONE and v not in seen and (self.traces[v].varies or self.traces[v].rows):
                    seen.add(v)
                    waiting.append(v)
        own = [value] if value in self.flow.top and value not in self.ends else []
        return tuple(dict.fromkeys(self.flow.top[v] for v in found[:most] + own))

    def made_of(self, value: int) -> str:
        """What a predicate looks like: a comparison with a stored pattern, a checksum; "" where it is neither."""
        kinds, patterns, waiting, seen = set(), {}, [value], {value}
        while waiting:
            call = self.makers.get(waiting.pop())
            if call is None:
                continue
            kinds.add(call.kind)
            for v in call.inputs:
                stored = self.flow.constants.get(v)
                compares = call.kind in COMPARES and stored is not None and stored.array is not None
                if compares and stored is not None and stored.size >= PATTERN and stored.array is not None:
                    if stored.array.size and np.ptp(stored.array.astype(np.float64)) > 0:
                        patterns[stored.size] = stored.name
                elif v != NONE and v not in seen and self.traces[v].plain:
                    seen.add(v)
                    waiting.append(v)
        if kinds & CHECKSUMS and kinds & {"Cast", "Floor", "Round"}:
            return "its numbers are rounded and summed up like a checksum"
        return f"it is compared with {patterns[max(patterns)]}, {max(patterns)} stored numbers" if patterns else ""

    def place(self, number: int) -> str:
        call = self.flow.calls[number]
        return f"{call.kind} {call.place}" if call.kind not in call.place else call.place
