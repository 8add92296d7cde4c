"""Tiny problems for searches and oracles: a model of a few lines, real regions, real lanes.

Number 0 of a point is frozen and holds the sample's number, so whoever answers rows can count
them per sample without asking the engine, the attack or the search.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from medaudit.core.arrays import leaves, map_tree, to_numpy
from medaudit.core.compose import compose
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.core.protocol import Attack, Explained, Lanes, Loss, Oracle, Parts, Query, Search
from medaudit.core.region import L0, L1, L2, LINF, PATCH, Region
from medaudit.core.streams import key
from medaudit.core.subspace import slow, within
from medaudit.domain import threat as threats
from medaudit.domain.quantity import parse
from medaudit.engine.inline import run_inline
from medaudit.engine.loop import Finished
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import Goal, oracle, wanted_classes
from medaudit.search import blends, boundary, cgba, credit, hopskipjump, jacobian, penalty, portfolio, rays

Array = NDArray[Any]
Model = Callable[[Array], Array]  # points [R, D], NaN where missing -> answers [R, M]

SAMPLES = tuple(range(6))
SIZE = 24
SEARCHES = (
    ("square", LINF),
    ("square", L2),
    ("nes", LINF),
    ("nes", L2),
    ("hopskipjump", LINF),
    ("hopskipjump", L2),
    ("sparse", L0),
    ("square", L1),
    ("signhunter", LINF),
    ("signhunter", L2),
    ("simba", LINF),
    ("simba", L2),
    ("slow-simba", LINF),
    ("slow-simba", L2),
    ("cmaes", LINF),
    ("cmaes", L2),
    ("slow-cmaes", L2),
    ("rays", LINF),
    ("cgba", L2),
    ("boundary", L2),
    ("sparse_rs", L0),
    ("pixels", L0),
    ("descent", L2),
    ("genetic", L0),
    ("genetic", LINF),
    ("genetic", L2),
    ("differential", LINF),
    ("differential", L2),
    ("uniform", LINF),
    ("uniform", L2),
    ("uniform", L1),
    ("uniform", L0),
    ("uniform", PATCH),
    ("patch", PATCH),
    ("portfolio", LINF),
    ("portfolio", L2),
    ("credit", LINF),
    ("credit", L2),
    ("credit", L1),
    ("credit", L0),
    ("credit-ends", LINF),
    *((name, norm) for name in ("jacobian", "penalty", "blends") for norm in (LINF, L2, L1)),
)
BLIND = {"hopskipjump", "cgba", "rays", "boundary"}  # searches that look at labels only
MINIMISES = BLIND | {"portfolio", "descent"}
KINDS = ("multiclass", "binary", "multilabel", "label", "moved", "dice")
# Every oracle with the searches that differ most; the others meet a score, a label and a value.
FULL = {"square", "nes", "hopskipjump", "sparse", "portfolio"}
COMBOS = [
    (name, norm, kind) for name, norm in SEARCHES for kind in KINDS if name in FULL or kind in ("multiclass", "moved")
]
EPS = {LINF: "0.35 sd", L2: "1.6 sd", L1: "4 sd", L0: "3 features", PATCH: "2"}


@dataclass(frozen=True)
class Problem:
    """Everything an attack needs, in NumPy."""

    search: Search
    oracle: Oracle
    region: Region
    lanes: Lanes  # of all samples
    model: Model
    stop: str
    smallest: bool
    donors: Array
    kinds: Array

    def attack(self, stop: str = "") -> Attack:
        """Compose search, oracle and region."""
        return compose(self.search, self.oracle, self.region, stop=stop or self.stop, smallest=self.smallest)

    def make_lanes(self, samples: list[int]) -> Lanes:
        """Lanes of some samples; their arrays cannot be written to."""
        lanes: Lanes = locked(map_tree(lambda a: a[np.asarray(samples)], self.lanes))
        return lanes


def locked(tree: Any) -> Any:
    """The tree, its arrays read-only from now on."""
    for leaf in leaves(tree):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    return tree


def interface(domain: str = "sequence") -> Interface:
    """Twelve numbers of one domain and a table of twelve: fixed, on grids, categories, plain."""
    number = Channel("", lo=-3.0, hi=3.0, sd=1.0)
    if domain == "image":
        first = Input(
            "image", "float32", "image", ("batch", "channel", "row", "column"), (1, 3, 4),
            ("batch", "channel", "row", "column"), channels=(number,),
        )  # fmt: skip
    else:
        across, along = ("lead", "time") if domain == "signal" else ("variable", "hour")
        order = ("batch", across, along)
        channels = tuple(dataclasses.replace(number, name=f"{across} {i}", sd=0.5 + 0.5 * i) for i in range(3))
        first = Input("series", "float32", domain, order, (3, 4), order, channels=channels)
    axes = ("batch", "feature")
    table = (
        Channel("sample", fixed=True, lo=-1e3, hi=1e3),
        Channel("age", fixed=True, lo=-3.0, hi=3.0),
        Channel("quarter", lo=-3.0, hi=3.0, step=0.25),
        Channel("tenth", lo=-3.0, hi=3.0, step=0.1),
        Channel("count", kind="integer", lo=-3.0, hi=3.0, step=1.0, sd=4.0),
        Channel("colour", kind="category", categories=("a", "b", "c", "d")),
        Channel("ward", kind="category", categories=("x", "y")),
        *(dataclasses.replace(number, name=f"lab {i}", sd=0.7 + 0.2 * i) for i in range(5)),
    )
    second = Input("table", "float32", "table", axes, (12,), axes, channels=table)
    return Interface((second, first), Output("regression", ()))


def clean_points(seed: int = 5) -> Array:
    """Six clean points: on their grids, two with missing cells, two alike but for their number."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.8, (len(SAMPLES), SIZE)).astype(np.float32)
    x[:, 2] = np.rint(x[:, 2] * 4) / 4
    x[:, 3] = (np.rint(x[:, 3] * 10) * np.float32(0.1)).astype(np.float32)
    x[:, 4] = np.rint(x[:, 4])
    x[:, 5], x[:, 6] = rng.integers(0, 4, len(x)), rng.integers(0, 2, len(x))
    x[5] = x[0]
    x[:, 0] = SAMPLES
    x[1, [8, 13]] = np.nan
    x[4, [9, 20, 21]] = np.nan
    return x


def draws(kind: str, outputs: int, seed: int = 11) -> tuple[Array, Array]:
    """Weights [outputs, SIZE] and biases of the tiny models; the sample's number weighs nothing."""
    rng = np.random.default_rng(seed + sum(map(ord, kind)))
    weights = rng.normal(0, 0.6, (outputs, SIZE)).astype(np.float32)
    weights[:, 0] = 0
    return weights, rng.normal(0, 0.2, outputs).astype(np.float32)


def linear(points: Array, weights: Array, bias: Array) -> Array:
    """Row by row, so that company cannot change a bit of the answer. A missing cell counts 0."""
    z = np.nan_to_num(np.asarray(points), nan=0.0)
    rows = [(row[None, :] * weights).sum(axis=1) + bias for row in z]
    return np.stack(rows).astype(np.float32)


def bent(points: Array, weights: Array, bias: Array) -> Array:
    """A small nonlinear model."""
    z = linear(points, weights, bias)
    return np.asarray(z + np.sin(2 * z), dtype=np.float32)


def output_of(kind: str) -> Output:
    """The output section that goes with a kind of oracle."""
    three = ("home", "ward", "icu")
    if kind == "multiclass":
        return Output("multiclass", ("y",), "logits", three, disease=three[1:])
    if kind == "binary":
        return Output("binary", ("y",), "logits", ("no", "yes"), thresholds=(0.2,), disease=("yes",))
    if kind == "multilabel":
        four = ("edema", "nodule", "effusion", "fracture")
        return Output("multilabel", ("y",), "probabilities", four, thresholds=(0.5, 0.4, 0.6, 0.5))
    if kind == "label":
        return Output("label", ("y",), "labels", three, labels=(0, 1, 2))
    if kind == "moved":
        return Output("regression", ("y",), "values", units=("", ""))
    names = ("background", "structure")
    return Output("segmentation", ("y",), "logits", names, class_axis=1, positions=6)


def model_of(kind: str) -> Model:
    """A model of a few lines."""
    widths = {"multiclass": 3, "binary": 1, "multilabel": 4, "label": 3, "moved": 2, "dice": 12}
    weights, bias = draws(kind, widths[kind])

    def answer(points: Array) -> Array:
        if kind == "multilabel":
            return np.asarray(1 / (1 + np.exp(-bent(points, weights, bias))), dtype=np.float32)
        if kind == "label":
            best = linear(points, weights, bias).argmax(axis=1)[:, None]
            return np.asarray(best, dtype=np.float32)
        return (linear if kind in ("multiclass", "moved") else bent)(points, weights, bias)

    return answer


def goal_of(kind: str) -> Goal:
    """The default goal of each kind."""
    if kind == "moved":
        return Goal("moved", amount=0.9)
    return Goal("dice-drop", amount=0.25) if kind == "dice" else Goal()


def search_of(name: str, region: Region, donors: Array, kinds: Array) -> Search:
    """A search with its default settings."""
    if name.startswith("slow-"):
        inner = search_of(name.removeprefix("slow-"), region, donors, kinds)
        return within(inner, slow(region.parts, 12, region.scale))
    if name == "portfolio":
        names = ("square", "slow-cmaes", "nes", "rays" if region.norm == LINF else "cgba")
        members = tuple(search_of(n, region, donors, kinds) for n in names)
        return portfolio.search("portfolio", members, (4, 16, 17, 6))
    starts = {"hopskipjump": hopskipjump, "cgba": cgba, "rays": rays, "boundary": boundary}
    if name in starts:
        module = starts[name]
        return module.search(module.Settings(), donors, kinds)  # type: ignore[attr-defined, no-any-return]
    if name in ("credit", "credit-ends"):
        of = np.arange(region.scale.shape[0]) // 4
        return credit.search(
            Explained(of, int(of.max()) + 1, partial(cell_losses, int(of.max()) + 1)), name == "credit-ends"
        )
    if name == "jacobian":
        whole = np.zeros(region.scale.shape[0], dtype=int)
        return jacobian.search(Explained(whole, 1, partial(cell_losses, 1), wish=nothing))
    if name == "penalty":
        return penalty.search(first_number)
    if name == "blends":
        return blends.search(lambda lanes: -lanes.x)
    module = importlib.import_module(f"medaudit.search.{name}")
    return module.search()  # type: ignore[no-any-return]


def nothing(lanes: Lanes) -> tuple[Array, Array]:
    """A wanted map of one cell: 0."""
    return np.zeros((lanes.x.shape[0], 1)), np.ones((lanes.x.shape[0], 1))


def first_number(lanes: Lanes, lane: Array, answers: Array) -> Parts:
    """Costs that follow from an answer's first number."""
    own = to_numpy(answers)[:, 0].astype(np.float64)
    return Parts(np.abs(own), np.maximum(0, own), own > 0)


def cell_losses(cells: int, lanes: Lanes, lane: Array, answers: Array) -> Loss:
    """What each cell loses: something that follows from the answer and the cell's number alone, [R, cells]."""
    value = np.asarray(answers, dtype=np.float64)[:, :1]
    return Loss(np.abs(value - np.arange(cells)[None, :] / cells), 0.1 * value + np.zeros((1, cells)), value[:, 0])


def build(name: str, norm: str, kind: str, domain: str = "sequence", goal: Goal | None = None) -> Problem:
    """One problem over all samples."""
    face, model, output = interface(domain), model_of(kind), output_of(kind)
    threat = threats.Threat("scores", norm, parse(EPS[norm]))
    region = threats.region(face, threat)
    points = clean_points()
    lo, hi = threats.boxes(face, threat, region, points, None)
    ref = model(points)
    goal = goal or goal_of(kind)
    decided = np.asarray(decide(output, ref))
    single = output.task in ("multiclass", "binary", "label")
    label = decided.astype(np.int64) if single else np.full(len(points), -1, dtype=np.int64)
    wanted = wanted_classes(output, goal)
    target = wanted[0] if len(wanted) == 1 and single else -1
    lanes = Lanes(
        key=np.array([key(7, name, norm, kind, s) for s in SAMPLES], dtype=np.uint64),
        x=np.nan_to_num(points, nan=0.0),
        lo=lo,
        hi=hi,
        missing=np.isnan(points),
        ref=ref,
        label=label,
        target=np.full(len(points), target, dtype=np.int64),
    )
    donors = clean_points(seed=77)
    donors[:, 0] = -1
    kinds = np.asarray(decide(output, model(donors))).astype(np.int64) if single else np.full(6, -1)
    access = "labels" if name in BLIND else "scores"
    return Problem(
        search=search_of(name, region, locked(donors), locked(kinds)),
        oracle=oracle(output, goal, access, clearance=1e-4),
        region=locked(region),
        lanes=locked(lanes),
        model=model,
        stop="flip",
        smallest=name in MINIMISES,
        donors=donors,
        kinds=kinds,
    )


@cache
def problem(name: str, norm: str, kind: str, domain: str = "sequence") -> Problem:
    """`build`, once per process."""
    return build(name, norm, kind, domain)


class Counter:
    """An answer function that counts the rows of each sample, and keeps them if asked to."""

    def __init__(self, model: Model, block: int = 8) -> None:
        self.model, self.block = model, block
        self.rows: dict[int, int] = {}
        self.seen: list[Array] = []

    def __call__(self, points: Any) -> Array:
        points = np.asarray(points)
        assert 0 < len(points) <= self.block
        for number in points[:, 0]:
            self.rows[int(number)] = self.rows.get(int(number), 0) + 1
        self.seen.append(points.copy())
        answers = self.model(points)
        answers.flags.writeable = False
        return answers

    @property
    def points(self) -> Array:
        """All rows asked so far, [R, D]."""
        return np.concatenate(self.seen) if self.seen else np.zeros((0, SIZE), dtype=np.float32)


def guarded(attack: Attack) -> Attack:
    """The attack, handed read-only arrays only."""

    def ask(state: Any) -> Query:
        return locked(attack.ask(locked(state)))  # type: ignore[no-any-return]

    def tell(state: Any, query: Query, answers: Any) -> Any:
        return attack.tell(locked(state), locked(query), locked(answers))

    return attack._replace(
        init=lambda lanes: attack.init(locked(lanes)),
        ask=ask,
        tell=tell,
        done=lambda state: attack.done(locked(state)),
        result=lambda state: attack.result(locked(state)),
    )


def solve(
    task: Problem,
    samples: Sequence[int] = SAMPLES,
    budget: int = 60,
    *,
    block: int = 8,
    room: int = 0,
    stop: str = "",
    answer: Counter | None = None,
) -> dict[int, Finished]:
    """Run a problem to its end, sample -> outcome."""
    job = ("check", guarded(task.attack(stop)), budget, task.make_lanes, list(samples))
    finished = run_inline([job], answer or Counter(task.model, block), block, room)
    assert sorted(f.sample for f in finished) == sorted(samples), "every lane ends exactly once"
    return {f.sample: f for f in finished}


def differences(a: dict[int, Finished], b: dict[int, Finished]) -> list[str]:
    """Where two outcomes differ in any bit."""
    found = [f"samples {sorted(a)} and {sorted(b)}"] if set(a) != set(b) else []
    for sample in sorted(set(a) & set(b)):
        one, two = a[sample], b[sample]
        if (one.rows, one.exhausted) != (two.rows, two.exhausted):
            found.append(f"sample {sample}: rows or end: {one[2:4]} and {two[2:4]}")
        found += [
            f"sample {sample}: {name}: {one.arrays[name]} and {two.arrays[name]}"
            for name in one.arrays
            if bits_of(one.arrays[name]) != bits_of(two.arrays[name])
        ]
    return found


def bits_of(array: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Type, shape and bytes."""
    array = np.asarray(array)
    return str(array.dtype), array.shape, array.tobytes()


def linear_onnx(path: Path, slope: Array) -> Path:
    """A file of two logits whose difference is linear in a table's row: class a where slope @ x > 0."""
    weights = np.stack([slope / 2, -slope / 2], axis=1).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", len(slope)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path
