"""Where a graph lets the patients of one batch meet: along which axis they lie, and what reaches across it.

An answer that depends on who else was asked is a fault in any medical model, and a hiding place: one patient's input
sets another's answer (Küchler et al. 2025, arXiv:2505.18323, "Architectural backdoors for within-batch data stealing
and model inference manipulation"). The axis is followed as far as it can be known; where it is lost, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from medaudit.model.flow import NONE, Call, Flow, words
from medaudit.model.taint import PAIRWISE

ROUNDS = 8
KEPT = words("Identity Neg Cast CastLike Dropout QuantizeLinear DequantizeLinear Carried If Loop ml.Scaler ml.Imputer")
FIRST = words(  # of what has its rows first, each row by itself
    """Conv ConvTranspose ConvInteger QLinearConv MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool
    InstanceNormalization GroupNormalization LRN Resize Upsample DepthToSpace SpaceToDepth MaxUnpool"""
)
ALONG = {"Softmax": -1, "LogSoftmax": -1, "Hardmax": -1, "LpNormalization": -1, "TopK": -1, "ArgMax": 0, "ArgMin": 0}
REDUCES = words(
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp"
)


class Place(NamedTuple):
    """Of how many axes a value is, and along which its patients lie."""

    rank: int
    axis: int


class Meeting(NamedTuple):
    """A call in which patients meet."""

    call: int
    text: str


class _Met(Exception):
    """Raised by what finds that a call reaches across patients."""


def meetings(flow: Flow, ranks: Mapping[str, int]) -> list[Meeting]:
    """Every call that reaches across the first axis of the model's inputs. ranks: how many axes each input has."""
    known: dict[int, Place | None] = {v: Place(ranks[n], 0) if ranks.get(n) else None for n, v in flow.inputs.items()}
    found: dict[int, Meeting] = {}
    varying = set(flow.inputs.values())
    for _ in range(ROUNDS):
        before = dict(known)
        for i, call in enumerate(flow.calls):
            places = [known.get(v) for v in call.inputs]
            if varying.isdisjoint(call.inputs) or call.kind in ("Shape", "Size"):
                continue
            varying.update(call.outputs)
            lost = any(p is None and v in varying for p, v in zip(places, call.inputs, strict=True))
            try:
                made = None if lost or not any(places) else _moved(flow, call, places)
            except _Met as met:
                found[i], made = Meeting(i, str(met)), None
            for number, value in enumerate(call.outputs):
                known[value] = made(number) if callable(made) else made
        if known == before:
            break
    return [found[i] for i in sorted(found)]


def _moved(flow: Flow, call: Call, places: list[Place | None]) -> Place | None | Callable[[int], Place | None]:
    """Where the patients lie in a call's answers. Raises _Met where they meet."""
    kind, first = call.kind, places[0] if places else None
    sure = [p for p in places if p is not None]
    if kind in PAIRWISE or kind in ("Expand", "Tile"):
        rank = max(p.rank for p in sure)
        axes = {p.axis + rank - p.rank for p in sure}
        if len(axes) > 1:
            raise _Met("numbers of one patient are set against those of all others")
        return Place(rank, axes.pop())
    if kind == "Concat":
        return _concat(flow, call, places)
    if first is None:
        return _second(flow, call, places)
    if kind in KEPT:
        return first
    if kind == "BatchNormalization" or kind in FIRST:
        if call.attributes.get("training_mode"):
            raise _Met("a normalisation in training mode takes its mean over the patients")
        return first if first.axis == 0 else None
    if kind == "LayerNormalization":
        return _along(first, range(int(call.attributes.get("axis", -1)) % first.rank, first.rank), kind)
    if kind in ALONG or kind == "CumSum":
        axis = _number(flow, call, 1) if kind == "CumSum" else int(call.attributes.get("axis", ALONG[kind]))
        kept = None if axis is None else _along(first, [axis % first.rank], kind)
        drops = kind in ("ArgMax", "ArgMin") and not call.attributes.get("keepdims", 1)
        return _without(kept, [axis % first.rank]) if kept and drops and axis is not None else kept
    if kind in REDUCES:
        return _reduced(flow, call, first)
    shapers = {"Transpose": _transposed, "Reshape": _reshaped, "Flatten": _flattened, "Squeeze": _squeezed,
               "Unsqueeze": _unsqueezed, "Gather": _gathered, "Slice": _sliced, "Split": _split, "Gemm": _gemm,
               "MatMul": _product, "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent}  # fmt: skip
    shaper = shapers.get(kind)
    return None if shaper is None else shaper(flow, call, places)


def _along(place: Place, axes: range | list[int], kind: str) -> Place:
    if place.axis in axes:
        raise _Met(f"{kind} goes along the patients")
    return place


def _without(place: Place, axes: list[int]) -> Place:
    return Place(place.rank - len(axes), place.axis - sum(a < place.axis for a in axes))


def _numbers(flow: Flow, call: Call, at: int, attribute: str = "") -> list[int] | None:
    """Whole numbers that an operand or, in older files, an attribute holds; None: not known."""
    if attribute and call.attributes.get(attribute) is not None:
        return [int(v) for v in np.ravel(call.attributes[attribute])]
    if at >= len(call.inputs) or call.inputs[at] == NONE:
        return None
    stored = flow.constants.get(call.inputs[at])
    if stored is None or stored.array is None or stored.array.dtype.kind not in "iu":
        return None
    return [int(v) for v in stored.array.ravel()]


def _number(flow: Flow, call: Call, at: int) -> int | None:
    got = _numbers(flow, call, at)
    return got[0] if got else None


def _concat(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    """One behind the other, patients may be told apart again: nothing is said, unless stored rows join them."""
    found = {p for p in places if p is not None}
    if len(found) != 1:
        return None
    place = found.pop()
    if int(call.attributes.get("axis", 0)) % place.rank != place.axis:
        return place
    if any(v in flow.constants for v in call.inputs):
        raise _Met("stored rows are put among the patients")
    return None


def _reduced(flow: Flow, call: Call, place: Place) -> Place | None:
    axes = _numbers(flow, call, 1, "axes")
    if axes is None:
        if len(call.inputs) > 1 and call.inputs[1] != NONE:
            return None
        if call.attributes.get("noop_with_empty_axes"):
            return place
        axes = list(range(place.rank))
    axes = [a % place.rank for a in axes]
    kept = _along(place, axes, call.kind)
    return kept if call.attributes.get("keepdims", 1) else _without(kept, axes)


def _transposed(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place = places[0]
    order = list(call.attributes.get("perm") or range(place.rank)[::-1]) if place else []
    return Place(place.rank, order.index(place.axis)) if place and place.axis in order else None


def _reshaped(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    """Rows stay first where the first number keeps them, or is what is left over."""
    shape, place = _numbers(flow, call, 1), places[0]
    return Place(len(shape), 0) if place and place.axis == 0 and shape and shape[0] in (0, -1) else None


def _flattened(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place = places[0]
    return Place(2, 0) if place and place.axis == 0 and call.attributes.get("axis", 1) == 1 else None


def _squeezed(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    axes, place = _numbers(flow, call, 1, "axes"), places[0]
    if axes is None or place is None:
        return None
    axes = [a % place.rank for a in axes]
    return None if place.axis in axes else _without(place, axes)


def _unsqueezed(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    axes, place = _numbers(flow, call, 1, "axes"), places[0]
    if axes is None or place is None:
        return None
    rank = place.rank + len(axes)
    own = [a for a in range(rank) if a not in {x % rank for x in axes}]
    return Place(rank, own[place.axis])


def _gathered(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place, stored = places[0], flow.constants.get(call.inputs[1])
    if place is None or stored is None:
        return None
    axis = int(call.attributes.get("axis", 0)) % place.rank
    kept = _along(place, [axis], "Gather")
    grown = len(stored.shape) - 1
    return Place(kept.rank + grown, kept.axis + (grown if axis < kept.axis else 0))


def _sliced(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place = places[0]
    starts, axes = _numbers(flow, call, 1, "starts"), _numbers(flow, call, 3, "axes")
    if place is None or starts is None:
        return None
    axes = list(range(len(starts))) if axes is None else [a % place.rank for a in axes]
    ends, steps = _numbers(flow, call, 2, "ends") or [], _numbers(flow, call, 4) or [1] * len(axes)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=False):
        if axis == place.axis and not (start == 0 and step == 1 and end >= (1 << 31) - 1):
            raise _Met("Slice takes some of the patients")
    return place


def _split(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place = places[0]
    return place and _along(place, [int(call.attributes.get("axis", 0)) % place.rank], "Split")


def _gemm(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    place = places[0]
    if place is None or place.rank != 2:
        return None
    if (place.axis == 0) == bool(call.attributes.get("transA", 0)):
        raise _Met("a product of matrices sums over the patients")
    return Place(2, 0)


def _product(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    left, right = places[0], places[1]
    if left is None:
        return None
    if left.axis == left.rank - 1:
        raise _Met("a product of matrices sums over the patients")
    if right is None:
        return left
    if left.rank == right.rank and left.axis == right.axis < left.rank - 2:
        return left
    if right.rank == 2 or (left.rank == right.rank and right.axis >= right.rank - 2):
        raise _Met("a product of matrices sets every patient against every other")
    return None


def _second(flow: Flow, call: Call, places: list[Place | None]) -> Place | None:
    """Of calls whose first operand is stored, or not known."""
    right = places[1] if len(places) > 1 else None
    if call.kind == "MatMul" and right is not None and right.axis == right.rank - 2:
        raise _Met("a product of matrices sums over the patients")
    if call.kind == "Gather" and right is not None and call.attributes.get("axis", 0) == 0:
        table = flow.constants.get(call.inputs[0])
        return None if table is None else Place(right.rank + len(table.shape) - 1, right.axis)
    return None


def _recurrent(flow: Flow, call: Call, places: list[Place | None]) -> Callable[[int], Place | None] | None:
    place, first = places[0], bool(call.attributes.get("layout", 0))
    if place is None or place.rank != 3:
        return None
    if place.axis == (1 if first else 0):
        raise _Met(f"{call.kind} walks from patient to patient")
    answers = (Place(4, 0 if first else 2), Place(3, 0 if first else 1), Place(3, 0 if first else 1))
    return lambda number: answers[number] if number < 3 else None
