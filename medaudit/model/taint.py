"""What each value of a graph is made of: which inputs, through how many learned layers, bent how, decided where.

Abstract interpretation of a flat graph: every value gets a `Trace`, which only grows while the calls are followed
until nothing changes (loops are cycles). A learned layer is a call that mixes values by a dense stored matrix; what
has passed none yet is raw. Copying, choosing and averaging matrices are stored too, and are not learned: a predicate
cannot hide behind an identity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medaudit.model.flow import NONE, Call, Flow, words

WIDE, SUMMARY, UNIT = 0, 1, 2
LINEAR, CURVED, DECISIVE = 0, 1, 2  # how much a raw value was bent: a threshold or a rounding decides
STEEP = 100.0  # a curve times so much is a threshold
ROUNDING = 2.0**20  # single precision keeps three digits behind the point below it
ROUNDS = 64
HUGE = 1e30  # what infinite numbers are replaced by
MASKS = 8  # numbers of a row from which on an input can be a mask
MASKED = words("Where Add Sub Mul")  # how masks reach the scores of an attention layer
FUSED = (
    "Conv",
    "MatMul",
    "Gemm",
    "Attention",
    "Embed",
    "LSTM",
    "GRU",
    "MoE",
    "Solve",
    "CDist",
)  # in a runtime's own layers' names

MIXES = words(
    """Conv ConvTranspose ConvInteger QLinearConv DeformConv Gemm MatMul MatMulInteger QLinearMatMul Einsum LSTM
    GRU RNN Attention ml.LinearClassifier ml.LinearRegressor ml.SVMClassifier ml.SVMRegressor ml.TreeEnsemble
    ml.TreeEnsembleClassifier ml.TreeEnsembleRegressor"""
)
BIASES = {"Gemm": 2, "Conv": 2, "ConvTranspose": 2, "QLinearConv": 8, "LSTM": 3, "GRU": 3, "RNN": 3}  # they mix nothing
LEARNED = frozenset(k for k in MIXES if k.startswith("ml."))  # their numbers are attributes
CURVES = frozenset(k for k in MIXES if "SVM" in k or "Tree" in k) | words("LSTM GRU RNN Attention ml.LinearClassifier")
SIZED = words("NonZero Compress Unique NonMaxSuppression")
LOOKS_UP = frozenset(("Gather", "GatherND", "ml.ArrayFeatureExtractor"))  # of a stored table: an embedding
SAME = words(
    """Identity Cast CastLike Reshape Squeeze Unsqueeze Flatten Transpose Expand Dropout Carried Row Rows Neg
    ml.Scaler ml.Imputer QuantizeLinear DequantizeLinear DynamicQuantizeLinear"""
)
PAIRWISE = words(
    """Add Sub Mul Div Sum Mean Pow Max Min Where And Or Xor Not Equal Greater Less GreaterOrEqual LessOrEqual
    Mod IsNaN IsInf Abs Sign Floor Ceil Round Sqrt Reciprocal Exp Log Erf Relu LeakyRelu PRelu Elu Selu Celu
    Gelu Sigmoid HardSigmoid HardSwish Mish Softplus Softsign Tanh ThresholdedRelu Clip Shrink Sin Cos Tan
    Sinh Cosh Asin Acos Atan Asinh Acosh Atanh Swish BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot
    BatchNormalization ml.Binarizer"""
)
STRAIGHT = SAME | words(
    """Add Sub Sum Mean Slice Gather GatherElements GatherND Split Concat ReduceSum ReduceMean Pad AveragePool
    GlobalAveragePool Tile DepthToSpace SpaceToDepth Resize Upsample MatMul Gemm Conv ConvTranspose Einsum
    CumSum BatchNormalization ReverseSequence If Loop ml.ArrayFeatureExtractor ml.FeatureVectorizer ml.ZipMap
    Where Item Turn SequenceConstruct SequenceAt ConcatFromSequence SplitToSequence SequenceInsert DFT STFT
    Trilu Col2Im"""
)
DECIDES = words(
    """Greater Less Equal GreaterOrEqual LessOrEqual Not And Or Xor IsNaN IsInf Sign Floor Ceil Round Mod
    BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot ArgMax ArgMin NonZero OneHot
    NonMaxSuppression TfIdfVectorizer Hardmax Unique Shrink
    StringConcat StringSplit RegexFullMatch StringNormalizer ml.Binarizer ml.LabelEncoder ml.OneHotEncoder
    ml.CategoryMapper ml.DictVectorizer"""
)
# Operands that say which, where or how many, not what.
CONTROLS = {
    "Where": (0,), "If": (0,), "Loop": (0, 1, 2), "Gather": (1,), "GatherND": (1,), "GatherElements": (1,),
    "Scatter": (1,), "ScatterND": (1,), "ScatterElements": (1,), "Slice": (1, 2, 3, 4), "Reshape": (1,), "Expand": (1,),
    "Tile": (1,), "Pad": (1,), "TopK": (1,),
    "Compress": (1,), "Split": (1,), "ReverseSequence": (1,), "Clip": (1, 2),
    "Range": (0, 1, 2), "ConstantOfShape": (0,), "OneHot": (0, 1), "Resize": (1, 2, 3), "SequenceAt": (1,),
    "LSTM": (4,), "GRU": (4,), "RNN": (4,), "Turn": (0,), "Unsqueeze": (1,), "Squeeze": (1,), "Trilu": (1,),
    "CumSum": (1,), "Dropout": (1, 2), "GridSample": (1,), "ml.ArrayFeatureExtractor": (1,), "TensorScatter": (2,),
}  # fmt: skip
INTEGERS = frozenset((2, 3, 4, 5, 6, 7, 9, 12, 13))  # of Cast's `to`: whole numbers and truth values


@dataclass(frozen=True)
class Trace:
    """What a value is made of. Without inputs it is a constant, or made of shapes."""

    inputs: frozenset[str] = frozenset()
    least: int = 0  # learned layers on its shortest way from an input
    most: int = 0  # and on its longest
    knees: int = 0  # curves behind learned layers on its straightest way
    fresh: bool = False  # on that way, a learned layer stands behind the last such curve
    bent: bool = False  # some way of it is curved at all
    bend: int = LINEAR  # of its plain ways, behind the last learned layer
    gain: float = 1.0  # by what those ways were multiplied
    origin: int = NONE  # it is a function, number by number, of this value
    dense: bool = False  # a constant: made of a dense stored matrix
    sized: bool = False  # how many numbers it has hangs on what they are
    rows: int = 0  # made of shapes: 1 holds the number of records asked at once, DECISIVE: that number was decided on
    narrow: int = WIDE  # one number of a record: a summary of many, or what a single stored unit reads of them

    @property
    def varies(self) -> bool:
        return bool(self.inputs)

    @property
    def raw(self) -> bool:
        """Some way from an input passes no learned layer."""
        return self.varies and self.least == 0

    @property
    def plain(self) -> bool:
        """Raw, or a linear image of what is raw: no network has read it yet."""
        return self.varies and self.knees == 0

    @property
    def decides(self) -> bool:
        """Something plain was compared, rounded, or bent so steeply that it might as well have been."""
        return self.plain and (self.bend == DECISIVE or (self.bend == CURVED and self.gain >= STEEP))


CONSTANT = Trace()


class Tracer:
    """The traces of a flow's values. rows: numbers of a row of each input, 0 where the file does not say."""

    def __init__(self, flow: Flow, rows: Mapping[str, int], whole: frozenset[str] = frozenset()) -> None:
        """whole: inputs of whole numbers or words, of which no rounding decides."""
        self.flow = flow
        self.makers = {value: call for call in flow.calls for value in call.outputs}
        self.users = flow.users()
        self.masks = {v for n, v in flow.inputs.items() if not 0 < rows.get(n, MASKS) < MASKS}
        self.whole = {flow.inputs[name] for name in whole if name in flow.inputs}
        most = max(rows.values(), default=0)
        self.flags = {name for name, count in rows.items() if 0 < count < MASKS and 4 * count <= most}
        self.twin = _twins(flow)
        self.scores = {i for i, call in enumerate(flow.calls) if call.kind in MASKED and self._to_softmax(call)}
        self.beside = {i: v for i, call in enumerate(flow.calls) if (v := self._beside(call)) != NONE}
        self.out = [CONSTANT] * len(flow.names)
        for value, stored in flow.constants.items():
            self.out[value] = Trace(dense=dense(stored.array, stored.size))
        for name, value in flow.inputs.items():
            self.out[value] = Trace(inputs=frozenset((name,)), origin=value)
        for _ in range(ROUNDS):
            before = list(self.out)
            for i, call in enumerate(flow.calls):
                for value in call.outputs:
                    if value not in flow.constants:
                        self.out[value] = self._followed(i, call, value)
            if self.out == before:
                break

    def of(self, values: Iterable[int]) -> list[Trace]:
        """Traces of what varies among some values."""
        return [self.out[v] for v in values if v != NONE and self.out[v].varies]

    def learned(self, call: Call) -> bool:
        """Whether a call mixes what varies by a dense stored matrix."""
        if call.kind in LEARNED:
            return True
        if call.kind in LOOKS_UP:
            return call.inputs[0] != NONE and self.out[call.inputs[0]].dense and not self._listed(call)
        if self._across(call)[0] == 1:
            return False  # one number, times each of many
        weights = [v for i, v in enumerate(call.inputs) if i != BIASES.get(call.kind, NONE)]
        stored = any(v != NONE and not self.out[v].varies and self.out[v].dense for v in weights)
        return stored and (call.kind in MIXES or (":" in call.kind and any(word in call.kind for word in FUSED)))

    def _across(self, call: Call) -> tuple[int, int]:
        """From how many numbers to how many a layer's stored matrix leads; 0: not known."""
        stored = self.flow.constants.get(call.inputs[1]) if len(call.inputs) > 1 else None
        if stored is None or len(stored.shape) < 2:
            return 0, 0
        if call.kind == "MatMul":
            return stored.shape[-2], stored.shape[-1]
        if call.kind == "Gemm":
            turned = bool(call.attributes.get("transB", 0))
            return stored.shape[turned], stored.shape[not turned]
        if call.kind == "Conv":
            return int(np.prod(stored.shape[1:])), 0
        return 0, 0

    def replaces(self, call: Call) -> bool:
        """A Where that puts something in the place of numbers, each by itself, where they or a mask of them say so."""
        if call.kind != "Where":
            return False
        by, others = self.out[call.inputs[0]], self.of(call.inputs[1:])
        if not others or not by.varies:
            return False
        return all(t.origin == by.origin for t in others) or any(self.masked(by.origin, t.origin) for t in others)

    def masked(self, mask: int, data: int) -> bool:
        """A whole input masks others, or the same part of two inputs is taken of both."""
        if mask in self.masks and mask != data:
            return True
        a, b = self.makers.get(mask), self.makers.get(data)
        return (
            a is not None and b is not None and a.kind == b.kind and a.kind in ("Slice", "Gather", "Split", "Row")
            and a.inputs[0] in self.masks and b.inputs[0] in self.masks and a.inputs[0] != b.inputs[0]
            and [self.twin.get(v, v) for v in a.inputs[1:]] == [self.twin.get(v, v) for v in b.inputs[1:]]
        )  # fmt: skip

    def attends(self, number: int) -> bool:
        """A raw mask on the scores of an attention layer: what it hides, learned layers still read around."""
        traces = self.of(self.flow.calls[number].inputs)
        return number in self.scores and any(t.least > 0 for t in traces) and any(t.raw for t in traces)

    def _beside(self, call: Call) -> int:
        """An operand that belongs to a product beside it: the scale of its quantised input, or |x|^2 where the product
        is of x, which make the product and a distance whole again; NONE: there is none."""
        if call.kind not in ("Mul", "Add", "Sub", "Gemm") or len(call.inputs) < 2:
            return NONE
        for at, value in enumerate(call.inputs):
            others = call.inputs[:at] + call.inputs[at + 1 :]
            back = self.behind(value, SAME | {"Mul", "ReduceSum"})
            if call.kind == "Mul":
                scales = {c.outputs[0] for c in back if c.kind == "DynamicQuantizeLinear" and value != c.outputs[0]}
                products = [c for v in others for c in self.behind(v, words("Cast Reshape"))]
                if any(c.kind in ("MatMulInteger", "ConvInteger") and c.inputs[0] in scales for c in products):
                    return value
                continue
            squares = {c.inputs[0] for c in back if c.kind == "ReduceSumSquare"}
            products = [c for v in others for c in self.behind(v, SAME | {"Add"})] + [call] * (call.kind == "Gemm")
            if any(c.kind in ("Gemm", "MatMul") and c.inputs[0] in squares for c in products):
                return value
        return NONE

    def behind(self, value: int, through: frozenset[str], most: int = 16) -> list[Call]:
        """The calls that made a value, back through some kinds of call and what is constant beside them."""
        waiting, found = [value], list[Call]()
        while waiting and len(found) < most:
            call = self.makers.get(waiting.pop())
            if call is not None:
                found.append(call)
                waiting += [v for v in call.inputs if v != NONE] if call.kind in through else []
        return found

    def _to_softmax(self, call: Call) -> bool:
        """Its answer goes on, number by number, into a Softmax, and from there into a product of matrices."""
        values, last = list(call.outputs), False
        for _ in range(12):
            users = [self.flow.calls[i] for v in values for i in self.users.get(v, ())]
            if last and any(user.kind in ("MatMul", "Einsum", "MatMulInteger") for user in users):
                return True
            last = last or any(user.kind == "Softmax" for user in users)
            values = [v for u in users if u.kind in SAME | MASKED | {"Softmax", "Div", "IsNaN"} for v in u.outputs]
        return False

    def _followed(self, number: int, call: Call, value: int) -> Trace:
        """The trace of one output of a call, from those of its inputs."""
        vary = self.of(call.inputs)
        if call.kind in ("Shape", "Size"):
            told = [t for t in vary if t.sized and t.plain]
            if told:  # a number that was counted by what stands where
                return Trace(told[0].inputs, 0, 0, bent=True, bend=DECISIVE, origin=self.twin.get(value, value))
            return Trace(rows=int(bool(vary)))
        sized = call.kind in SIZED or any(t.sized for t in vary)
        if not vary:
            return Trace(dense=any(v != NONE and self.out[v].dense for v in call.inputs), rows=self._rows(call))
        inputs, most = frozenset[str]().union(*(t.inputs for t in vary)), max(t.most for t in vary)
        own = self.twin.get(value, value)
        if self.learned(call):
            knees = min(t.knees for t in vary) + (call.kind in CURVES)
            bent = call.kind in CURVES or any(t.bent for t in vary)
            most = min(most + 1, len(self.flow.calls))
            narrow = UNIT if self._across(call)[1] == 1 else WIDE
            least = min(t.least for t in vary) + 1
            return Trace(inputs, least, most, knees, True, bent, origin=own, sized=sized, narrow=narrow)
        if self.attends(number):
            vary = [t for t in vary if t.least > 0]
        elif number in self.beside:  # the scale of a quantised product, or the square of what its distance is from
            vary = self.of(v for v in call.inputs if v != self.beside[number]) or vary
        replaced = self.replaces(call)
        origins = {t.origin for t in (self.of(call.inputs[1:]) if replaced else vary)}
        scale = call.kind == "DynamicQuantizeLinear" and value != call.outputs[0]  # its scale sums up all numbers
        together = len(origins) == 1 and not scale and (call.kind in SAME | PAIRWISE or self._listed(call))
        origin, least = next(iter(origins)) if together else own, min(t.least for t in vary)
        bend = CURVED if replaced else self._bent(call)
        knees = min(t.knees for t in vary)
        fresh = all(t.fresh for t in vary if t.knees == knees)
        plain = [t for t in (self.of(call.inputs[1:]) if replaced else vary) if t.plain]
        gain = max((t.gain for t in plain), default=1.0) * self._factor(call)
        if fresh and bend == CURVED and gain < STEEP:
            knees, fresh = knees + 1, False
        bent = bend > LINEAR or any(t.bent for t in vary)
        narrow = self._narrow(call, vary)
        if not plain or knees:
            return Trace(inputs, least, most, knees, fresh, bent, origin=origin, sized=sized, narrow=narrow)
        bend = max(bend, *(t.bend for t in plain))
        return Trace(inputs, least, most, 0, fresh, bent, bend, gain, origin, sized=sized, narrow=narrow)

    def _rows(self, call: Call) -> int:
        """What a call makes of the number of records, where nothing but shapes goes into it."""
        sized = call.kind in ("Expand", "Reshape", "Tile")  # what is asked of them is a size, and no value
        taken = call.inputs[:1] if sized else call.inputs
        rows = max((self.out[v].rows for v in taken if v != NONE), default=0)
        if rows and call.kind in ("Gather", "Slice"):
            at = self.flow.constants.get(call.inputs[1]) if len(call.inputs) > 1 else None
            if at is not None and at.array is not None and at.array.size == 1 and int(at.array.ravel()[0]) != 0:
                return 0  # another side of the shape
        return DECISIVE if rows and call.kind in DECIDES | {"Min", "Max", "Clip", "Where"} else rows

    def _narrow(self, call: Call, vary: list[Trace]) -> int:
        """Whether a call's answer is one number of a record still."""
        if call.kind.startswith("Reduce"):
            return max(SUMMARY, *(t.narrow for t in vary))
        if self._across(call)[1] == 1:
            return UNIT
        kept = call.kind in SAME | PAIRWISE | {"Concat"} or call.kind in MIXES  # by a thin matrix
        return max(t.narrow for t in vary) if kept and all(t.narrow for t in vary) else WIDE

    def _listed(self, call: Call) -> bool:
        """Each number is looked up in a stored list: a step function of itself, no embedding."""
        stored = self.flow.constants.get(call.inputs[0]) if call.kind in LOOKS_UP and call.inputs else None
        return stored is not None and len(stored.shape) == 1

    def _bent(self, call: Call) -> int:
        """How much one call bends what is raw."""
        kind = call.kind
        if kind in ("Cast", "CastLike"):
            to, first = call.attributes.get("to", 1), self.out[call.inputs[0]]
            return DECISIVE if to in INTEGERS and first.origin not in self.whole else LINEAR
        if kind in ("QuantizeLinear", "DynamicQuantizeLinear"):
            return CURVED  # it saturates
        if kind in DECIDES or kind == "TopK":
            return DECISIVE
        controls = [call.inputs[i] for i in CONTROLS.get(kind, ()) if i < len(call.inputs) and call.inputs[i] != NONE]
        if any(self.out[v].plain for v in controls):
            return DECISIVE
        if kind in ("Add", "Sub") and any(self._largest(v) >= ROUNDING for v in call.inputs):
            return DECISIVE  # a number so large rounds what it is added to
        varying = len(self.of(call.inputs))
        if kind in ("Mul", "Div"):
            above = call.inputs[0] != NONE and self.out[call.inputs[0]].varies
            return LINEAR if varying == 1 and (kind == "Mul" or above) else CURVED
        if kind in MIXES and varying > 1:
            return CURVED
        return LINEAR if kind in STRAIGHT else CURVED

    def _factor(self, call: Call) -> float:
        """By how much a call multiplies what is raw: its stored factors, or what a Where may put in its place."""
        if call.kind not in ("Mul", "Div", "Pow", "Where", "ml.Scaler") and call.kind not in MIXES:
            return 1.0
        if call.kind == "ml.Scaler":
            return max((abs(float(v)) for v in call.attributes.get("scale") or (1.0,)), default=1.0)
        factor = 1.0
        for place, value in enumerate(call.inputs):
            large = self._largest(value)
            if large < 0:
                continue
            if call.kind == "Div" and place == 1:
                large = 1 / large if large else math.inf
            if call.kind == "Where":
                factor *= max(1.0, large) if large < HUGE else 1.0
            else:
                factor *= large if math.isfinite(large) else STEEP
        return factor

    def _largest(self, value: int) -> float:
        """The largest size of a stored number; -1 where there is none."""
        stored = self.flow.constants.get(value)
        if stored is None or stored.array is None or stored.array.dtype.kind not in "fiu" or not stored.array.size:
            return -1.0
        with np.errstate(all="ignore"):
            return float(np.max(np.abs(stored.array.astype(np.float64))))


def _twins(flow: Flow) -> dict[int, int]:
    """value -> the first value that is the same: the same question asked of the same values, equal small constants."""
    first: dict[Any, int] = {}
    twin: dict[int, int] = {}
    for value, stored in flow.constants.items():
        if stored.array is not None and stored.array.size <= 64:
            key = stored.array.dtype.str, stored.array.shape, stored.array.tobytes()
            twin[value] = first.setdefault(key, value)
    for call in flow.calls:
        if call.kind == "Carried":
            continue
        asked = tuple(twin.get(v, v) for v in call.inputs)
        for place, value in enumerate(call.outputs):
            twin[value] = first.setdefault(
                (call.kind, place, asked, repr(sorted(call.attributes.items()))[:400]), value
            )
    return twin


def dense(array: np.ndarray | None, size: int) -> bool:
    """Whether a stored array mixes: not small, and no copy, choice, diagonal or average."""
    if size < 16:
        return False
    if array is None:
        return True
    if array.dtype.kind not in "fiu":
        return False
    flat = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    flat = flat[:4096, :4096]
    single = [(flat != 0).sum(axis=axis).max() <= 1 for axis in (0, 1) if flat.shape[1 - axis] and flat.shape[axis] > 1]
    if any(single):
        return False
    return bool(np.any(flat != flat.flat[0]))
