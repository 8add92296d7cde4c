"""Every flag: a scan that trips it, a harmless twin beside it that does not, and what a flag does to a pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit import companions, verdicts
from medaudit.audit import scan as scanning
from medaudit.audit.resolve import Resolved
from medaudit.audit.results import FLAGS, Check, Report, Required, Verdict
from medaudit.audit.spec import CheckSpec
from medaudit.core.interface import Output
from medaudit.data import Dataset
from medaudit.domain.quantity import Quantity
from medaudit.domain.threat import Threat
from medaudit.engine.pool import Worker
from medaudit.oracle.goal import Goal
from medaudit.policy.schema import CheckSection, RequireSection
from medaudit.rule import RULES, settings_of

POLICY = """
medaudit: 1
policy: {id: flags}
model: {votes: VOTES}
threats: {near: {access: scores, norm: linf, eps: EPS}}
checks:
"""
ATTACK = """
  - id: RULE
    rule: RULE
    threat: near
    budget: {queries: BUDGET}
    require: {metric: robust_accuracy, at_least: LEAST}
"""
SAME = "  - {id: RULE, rule: RULE, require: {metric: changed_decisions, at_most: 0}}\n"
CLEAN = "  - {id: clean, rule: baseline, require: {metric: accuracy, at_least: 90%}}\n"
DEADLY = "MEDAUDIT_TEST_DEADLY"  # environment: the lane that kills a worker, CHECK/SAMPLE
# Flags that take nothing from a pass.
HARMLESS = {"not-beyond-chance", "no-labels", "chance-does-as-well", "faults", "natural-shortcut", "label-noise-like"}
# Flags whose scans are elsewhere: below, of sweeps in test_trigger_sweep.py, of explanations in test_explanations.py.
ELSEWHERE = {"no-start", "constant-behind", "natural-shortcut", "label-noise-like"} | {
    "noisy-explainer", "not-beyond-chance", "unfinished", "empty-explanations",
}  # fmt: skip

Nodes = list[onnx.NodeProto]
Data = dict[str, np.ndarray]


# ------------------------------------------------------------------------------ models and data


class Graph:
    """Logits -m, m of a row's weighted sum m, which a quirk may bend into the answer."""

    def __init__(self, width: int) -> None:
        self.nodes: Nodes = []
        self.weights: list[onnx.TensorProto] = []
        both = np.stack([-np.ones(width), np.ones(width)], axis=1)
        self.logits = self.op("MatMul", "x", self.const(both))

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, **settings: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **settings))
        return name

    def first(self) -> str:
        """The first feature, [n, 1]."""
        return self.op("Gather", "x", self.const([0], np.int64), axis=1)

    def save(self, path: Path, width: int, answer: str) -> None:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
        nodes = [*self.nodes, helper.make_node("Identity", [answer], ["y"])]
        graph = helper.make_graph(nodes, "bent", [x], [y], self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(made)
        onnx.save(made, str(path))


Quirk = Callable[[Graph], str]


def plain(g: Graph) -> str:
    """The logits as they are."""
    return g.logits


def noise(g: Graph, size: float) -> str:
    """Fresh noise on the logits."""
    return g.op("Add", g.logits, g.op("RandomNormalLike", g.logits, scale=size, seed=7.0))


def mean_of(g: Graph, axis: int, size: float) -> str:
    """A little of a mean on the logits: over the rows of the block (axis 0) or over a row's features (1)."""
    values = g.first() if axis == 0 else "x"
    mean = g.op("ReduceMean", values, axes=[axis], keepdims=1)
    return g.op("Add", g.logits, g.op("Mul", mean, g.const([[-size, size]])))


def softmax(g: Graph, steep: float) -> str:
    """Probabilities."""
    return g.op("Softmax", g.op("Mul", g.logits, g.const(steep)), axis=1)


def root(g: Graph, limit: float) -> str:
    """NaN where the first feature is above the limit."""
    value = g.op("Sqrt", g.op("Sub", g.const(limit), g.first()))
    return g.op("Add", g.logits, g.op("Mul", value, g.const(0.01)))


def spoilt(g: Graph, limit: float, shared: bool) -> str:
    """Classes swapped where a first feature is above the limit: the row's own, or any of its block."""
    high = g.op("ReduceMax", g.first(), axes=[0], keepdims=1) if shared else g.first()
    over = g.op("Cast", g.op("Greater", high, g.const(limit)), to=TensorProto.FLOAT)
    factor = g.op("Sub", g.const(1.0), g.op("Mul", over, g.const(2.0)))
    return g.op("Mul", g.logits, factor)


def stairs(g: Graph) -> str:
    """The sign of the logits: nothing to follow."""
    return g.op("Sign", g.logits)


@dataclass(frozen=True)
class Setting:
    """One scan: a model, its records, and an attack on them."""

    quirk: Quirk = plain
    rows: int = 24
    width: int = 6
    margin: float = 6.0  # sum of a record's features: its distance from the boundary
    near: tuple[float, ...] = ()  # margins of the first records, where they differ
    first: float | None = None  # first feature of two records, where it is not like the others'
    one_side: bool = False  # all records are of one class
    lowest: float = -50.0  # legal values of every feature
    wrong: int = 0  # labels that are swapped
    labelled: bool = True
    eps: float = 0.2
    rules: tuple[str, ...] = ("sign-noise",)
    budget: int = 100
    least: str = "80%"
    checks: str = ""
    deadly: str = ""  # the lane that kills a worker; "": workers as they are
    votes: int = 1

    def but(self, **changes: Any) -> Setting:
        """The same but for some settings."""
        return replace(self, **changes)

    def data(self) -> Data:
        """Records whose features add up to exactly their margin, in turns on both sides."""
        rng = np.random.default_rng(3)
        n, d = self.rows, self.width
        side = np.ones(n) if self.one_side else np.where(np.arange(n) % 2, 1.0, -1.0)
        x = rng.uniform(-0.5, 0.5, (n, d))
        if self.first is not None:
            x[:2, 0] = self.first
        margin = np.array([*self.near, *[self.margin] * (n - len(self.near))])
        x[:, 1:] += ((side * margin - x.sum(axis=1)) / (d - 1))[:, None]
        y = (side > 0).astype(np.int64)
        y[: self.wrong] = 1 - y[: self.wrong]
        names = np.array([f"value {i}" for i in range(d)])
        arrays = {"x": x.astype(np.float32), "names": names, "lo": np.full(d, self.lowest), "hi": np.full(d, 50.0)}
        return arrays | ({"y": y} if self.labelled else {})

    def run(self, folder: Path) -> Report:
        """Write it all down and scan."""
        graph = Graph(self.width)
        graph.save(folder / "m.onnx", self.width, self.quirk(graph))
        np.savez(folder / "d.npz", **self.data())
        text = POLICY.replace("EPS", str(self.eps)).replace("VOTES", str(self.votes)) + self.checks
        for rule in self.rules:
            text += ATTACK.replace("RULE", rule).replace("BUDGET", str(self.budget)).replace("LEAST", self.least)
        (folder / "p.yaml").write_text(text)
        options = scanning.Options(
            folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", out=folder / "run", workers=1
        )
        with pytest.MonkeyPatch.context() as patch:
            if self.deadly:
                patch.setenv(DEADLY, self.deadly)
                patch.setattr(scanning, "start_worker", lambda: Worker(fragile))
            return scanning.scan(options)[0]


def fragile(pipe: Connection) -> None:
    """A worker as every other, which dies when it is given one lane."""
    from medaudit.audit.bench import Bench
    from medaudit.audit.worker import main

    whole = Bench.take

    def take(bench: Bench, lanes: list[tuple[str, int, bytes | None]]) -> None:
        if os.environ[DEADLY] in {f"{check}/{sample}" for check, sample, _ in lanes}:
            os._exit(7)
        whole(bench, lanes)

    Bench.take = take  # type: ignore[method-assign]
    main(pipe)


# ------------------------------------------------------------------------------ scans


@dataclass(frozen=True)
class Pair:
    """A scan that trips one flag, and its twin."""

    flag: str
    trip: Setting
    calm: Setting
    verdict: Verdict = "inconclusive"  # of the attack that trips it; its twin passes
    code: int = 3
    also: tuple[str, ...] = ()  # harmless flags that either may have besides
    way: str = ""  # one of several ways to trip it


BASE = Setting()
WIDE = BASE.but(width=40, margin=60.0, eps=0.25, least="50%")
WALK = BASE.but(one_side=True, margin=2.0, rules=("label-walk",))
RISING = WIDE.but(rows=40, near=tuple(np.linspace(1.0, 9.5, 30)), rules=("single-steps",), least="10%")
BOTH = WIDE.but(near=(5.0,) * 10, rules=("square-noise", "label-walk"), budget=300, least="20%")
SPOILT = BASE.but(first=0.6, least="70%")
SATURATED = BASE.but(quirk=partial(softmax, steep=1e3))
DYING = BASE.but(deadly="sign-noise/3")
TWICE, MOVED, ALONE = (SAME.replace("RULE", rule) for rule in ("repeatability", "row-purity", "batch-isolation"))
SHAKY, RESTLESS = (BASE.but(quirk=partial(noise, size=size), checks=TWICE) for size in (0.02, 1.4))

TABLE = [
    # A larger budget finds the rest, long before its own end.
    Pair("still-rising", RISING.but(budget=40), RISING.but(budget=200)),
    # All clean records are decided alike: there is no answer to plant.
    Pair("nothing-planted", BASE.but(one_side=True, margin=2.0), BASE),
    # A row's claim rests on another row of its block; the twin's on itself.
    Pair(
        "recheck-failed",
        SPOILT.but(quirk=partial(spoilt, limit=0.75, shared=True)),
        SPOILT.but(quirk=partial(spoilt, limit=0.75, shared=False)),
        also=("chance-does-as-well",),
    ),
    Pair("saturated-scores", SATURATED, BASE.but(quirk=partial(softmax, steep=1.0))),
    Pair("weaker-beats-stronger", BOTH.but(quirk=stairs), BOTH),
    Pair("noisy-model", BASE.but(quirk=partial(noise, size=1e-4), checks=TWICE), BASE.but(checks=TWICE)),
    Pair("noisy-model", SHAKY, SHAKY.but(votes=9, budget=900), way="voted"),
    Pair("noisy-scores", RESTLESS.but(votes=2, budget=200), RESTLESS.but(votes=49, budget=4900), way="voted"),
    Pair(
        "noisy-scores",
        BASE.but(quirk=partial(mean_of, axis=0, size=4.0)),
        BASE.but(quirk=partial(mean_of, axis=0, size=0.01)),
    ),
    Pair(
        "mixed-rows",
        BASE.but(quirk=partial(mean_of, axis=0, size=0.01), checks=MOVED),
        BASE.but(quirk=partial(mean_of, axis=1, size=0.01), checks=MOVED),
        way="moved",
    ),
    Pair(
        "mixed-rows",
        BASE.but(quirk=partial(mean_of, axis=0, size=0.2), checks=ALONE),
        BASE.but(quirk=partial(mean_of, axis=1, size=0.2), checks=ALONE),
        way="alone",
    ),
    Pair("planted-missed", BASE.but(budget=2), BASE),
    # Many a random change of full size crosses the boundary; the twin's patients fall to searching only.
    Pair("chance-does-as-well", WIDE.but(near=(0.5,) * 4), WIDE.but(near=(6.0,) * 4), verdict="pass", code=0),
    Pair("gate", BASE.but(rows=60, wrong=40), BASE.but(rows=60), way="chance"),
    Pair("gate", BASE.but(rows=40, wrong=8, checks=CLEAN), BASE.but(rows=40, checks=CLEAN), code=1, way="required"),
    Pair("no-labels", BASE.but(labelled=False), BASE, verdict="pass", code=0),
    Pair("invalid-answers", BASE.but(quirk=partial(root, limit=0.6)), BASE.but(quirk=partial(root, limit=50.0))),
    Pair("faults", DYING, BASE.but(deadly="nobody/3"), verdict="error", code=4),
]


Reports = Callable[[Setting], Report]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """The report of a setting; each is scanned once."""
    done: dict[Setting, Report] = {}

    def report(setting: Setting) -> Report:
        if setting not in done:
            done[setting] = setting.run(tmp_path_factory.mktemp("scan"))
        return done[setting]

    return report


def raised(report: Report) -> set[str]:
    """Flags of the run and of its checks."""
    return {*report.flags, *(flag for check in report.checks for flag in check.flags)}


def attacks(report: Report) -> list[Check]:
    """The checks that attack."""
    return [check for check in report.checks if check.threat is not None]


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: "-".join(filter(None, (pair.flag, pair.way))))
def test_a_flag_and_its_twin(pair: Pair, reports: Reports) -> None:
    """The one scan has this flag and no other, its twin none; both measure enough for a pass."""
    trip, calm = reports(pair.trip), reports(pair.calm)
    assert set(pair.also) <= HARMLESS
    assert raised(trip) - set(pair.also) == {pair.flag}
    assert raised(calm) - set(pair.also) == set()
    assert [check.verdict for check in calm.checks] == ["pass"] * len(calm.checks)
    assert (calm.verdict, calm.exit_code) == ("pass", 0)
    assert attacks(trip)[0].verdict == pair.verdict
    assert trip.exit_code == pair.code
    bound = float(pair.trip.least.removesuffix("%")) / 100
    low = attacks(trip)[0].metrics["robust_accuracy"].low
    assert low is not None
    assert low >= bound, "but for the flag this is a pass"
    assert (FLAGS[pair.flag] in attacks(trip)[0].reason) == (pair.verdict == "inconclusive")


def test_a_fault_costs_one_case_only(reports: Reports) -> None:
    """The lane that kills its worker is named; the other patients are attacked to the end."""
    check = attacks(reports(DYING))[0]
    lost = [case for case in check.cases if case.rows == 0]
    assert len(check.cases) == BASE.rows
    assert ["exit code 7" in case.note for case in lost] == [True]
    assert all(case.rows == BASE.budget for case in check.cases if case not in lost)
    assert "1 of 24 cases" in check.reason


def test_who_needs_no_scores_is_not_blind(reports: Reports) -> None:
    """Saturated scores take the pass of an attack that reads scores, not that of a walk by labels beside it."""
    check = {c.id: c for c in reports(SATURATED.but(rules=("sign-noise", "label-walk"))).checks}
    assert check["sign-noise"].flags == ["saturated-scores"]
    assert check["sign-noise"].verdict == "inconclusive"
    assert check["label-walk"].flags == []
    assert check["label-walk"].verdict == "pass"


# ------------------------------------------------------------------------------ records


OUTPUT = Output("multiclass", ("y",), "probabilities", ("a", "b"))


def resolved(name: str, rule: str, *, eps: float = 1.0, budget: int = 100, metric: str = "robust_accuracy") -> Resolved:
    """A check of a rule as the planner gives it."""
    bound = {"at_least": Quantity(1.0)} if metric == "median_distance" else {"at_least": 0.5}
    section = CheckSection(id=name, rule=rule, require=RequireSection(metric=metric, **bound))
    access = RULES[rule].access or "scores"
    threat = Threat(access, "linf", Quantity(eps))
    spec = CheckSpec(name, rule, threat, Goal(), budget, settings_of(RULES[rule], {}))
    return Resolved(section, RULES[rule], spec)


def record(found: int = 0, **more: Any) -> dict[str, Any]:
    """A journal's record of one case, broken with its `found`-th row; 0: it withstood."""
    size = 0.5 if found else None
    usual = {"rows": 100, "found": found, "success": found > 0, "size": size, "invalid": 0, "note": "", "starts": 0}
    return usual | more


def records(*cases: dict[str, Any]) -> verdicts.Records:
    """By sample number."""
    return dict(enumerate(cases))


def withstood(count: int, **more: Any) -> list[dict[str, Any]]:
    """Cases that no row broke."""
    return [record(**more) for _ in range(count)]


WALKED, SOUGHT = resolved("walk", "label-walk"), resolved("sought", "square-noise")
FAR = resolved("sought", "square-noise", metric="robust_accuracy", budget=1000)
MEDIAN = resolved("walk", "label-walk", metric="median_distance")


@pytest.mark.parametrize(
    ("check", "cases", "flags"),
    [
        (SOUGHT, withstood(20), []),
        (SOUGHT, [record(81), record(100), *withstood(18)], ["still-rising"]),
        (SOUGHT, [record(80), record(100), *withstood(18)], []),  # one alone in the last fifth
        (SOUGHT, [record(100) for _ in range(20)], []),  # nobody is left
        (FAR, [record(81), record(100), *withstood(18)], []),  # long before the end
        (SOUGHT, [record(90), record(91), *withstood(98)], ["still-rising"]),
        (SOUGHT, [record(90), record(91), *withstood(99)], []),  # fewer than 2 in 100
        (MEDIAN, [record(81), record(100), *withstood(18, size=3.0)], []),  # its distances are what counts
        (WALKED, withstood(20, size=3.0), []),
        (WALKED, [*withstood(2), *withstood(18, size=3.0)], ["no-start"]),
        (WALKED, [*withstood(1), *withstood(19, size=3.0)], []),  # one of twenty
        (WALKED, [*withstood(2, fault="died"), *withstood(18, size=3.0)], []),
        (SOUGHT, [record(note="the re-check did not reach the goal"), *withstood(19)], ["recheck-failed"]),
        (SOUGHT, [record(invalid=1), *withstood(19)], ["invalid-answers"]),
        (SOUGHT, [record(invalid=1, fault="died"), *withstood(19)], []),
    ],
)
def test_flags_of_an_attacks_records(check: Resolved, cases: list[dict[str, Any]], flags: list[str]) -> None:
    """Each limit from both sides."""
    assert verdicts.attack_flags(check, records(*cases)) == flags


def broken(*samples: int) -> verdicts.Records:
    """Twenty cases of which some are broken."""
    return records(*(record(5 if i in samples else 0) for i in range(20)))


@pytest.mark.parametrize(
    ("strong", "weak", "theirs", "own", "beaten"),
    [
        (SOUGHT, WALKED, broken(), broken(1, 2, 3), True),
        (SOUGHT, WALKED, broken(), broken(1, 2), False),  # too few to say so
        (SOUGHT, WALKED, broken(4, 5, 6), broken(1, 2, 3), False),  # as many the other way
        (SOUGHT, WALKED, broken(4), broken(1, 2, 3, 5), True),
        (SOUGHT, WALKED, broken(1, 2, 3), broken(), False),
        (SOUGHT, resolved("walk", "label-walk", eps=2.0), broken(), broken(1, 2, 3), False),  # a larger change
        (SOUGHT, resolved("walk", "label-walk", budget=101), broken(), broken(1, 2, 3), False),  # more rows
        (SOUGHT, resolved("walk", "label-walk", budget=99), broken(), broken(1, 2, 3), True),
        (SOUGHT, resolved("other", "sign-noise"), broken(), broken(1, 2, 3), False),  # no weaker
    ],
)
def test_who_beats_whom(
    strong: Resolved, weak: Resolved, theirs: verdicts.Records, own: verdicts.Records, beaten: bool
) -> None:
    """The stronger attack gets the flag, never the weaker one, in whatever order they come."""
    expected = {"sought": ["weaker-beats-stronger"]} if beaten else {}
    assert verdicts.compare_attacks([(strong, theirs), (weak, own)]) == expected
    assert verdicts.compare_attacks([(weak, own), (strong, theirs)]) == expected


PATIENTS = tuple(f"patient-{i}" for i in range(20))


@pytest.mark.parametrize(
    ("cases", "flags", "value"),
    [
        ([*[record(3)] * 7, *withstood(3)], ["planted-missed"], 0.7),
        ([*[record(3)] * 8, *withstood(2)], [], 0.8),
        ([*[record(3)] * 8, *withstood(2), *withstood(5, possible=False)], [], 0.8),
        ([*[record(3)] * 8, *withstood(1), *withstood(1, fault="died")], [], 0.8),
        ([*[record(3)] * 7, *withstood(3, fault="died")], ["planted-missed"], 0.7),
    ],
)
def test_planted_weaknesses_that_were_missed(cases: list[dict[str, Any]], flags: list[str], value: float) -> None:
    """Four in five are enough, of those that could be found."""
    estimate, raised_flags = companions.judge_planted(records(*cases), PATIENTS, 0.95)
    assert raised_flags == flags
    assert estimate.value == pytest.approx(value)


@pytest.mark.parametrize(("exact", "flagged"), [(0, False), (2, False), (3, True), (20, True)])
def test_how_many_rows_saturate(exact: int, flagged: bool) -> None:
    """More than a tenth, of probabilities; logits may well be 0 and 1."""
    answers = np.tile([[0.25, 0.75]], (20, 1))
    answers[:exact] = (0.0, 1.0)
    assert verdicts.saturated(OUTPUT, answers) == flagged
    assert not verdicts.saturated(replace(OUTPUT, meaning="logits"), answers)


def test_a_fault_does_not_hide_a_failure() -> None:
    """With a fault, enough broken patients are a failure, a few are an error, and both have the flag."""
    data = Dataset("d.npz", "", {}, None, *[tuple(f"p{i}" for i in range(21))] * 2)
    fault = record(rows=0, fault="the worker died")
    many = verdicts.attack(SOUGHT, data, records(fault, *[record(5)] * 20), 0.95)
    few = verdicts.attack(SOUGHT, data, records(fault, record(5), *withstood(19)), 0.95)
    none = verdicts.attack(SOUGHT, data, records(record(5), *withstood(20)), 0.95)
    assert [judged.verdict for judged in (many, few, none)] == ["fail", "error", "pass"]
    assert ["faults" in judged.flags for judged in (many, few, none)] == [True, True, False]


# ------------------------------------------------------------------------------ consequences


def judged(verdict: Verdict, flags: list[str], demanded: bool = True) -> verdicts.Judged:
    """A check with a verdict, before the flags are weighed."""
    row = Required(metric="robust_accuracy", op="at_least", threshold=0.8, verdict=verdict)
    return verdicts.Judged(verdict, "as measured", {}, [row] if demanded else [], None, flags)


@pytest.mark.parametrize("flag", FLAGS)
def test_what_a_flag_does_to_a_pass(flag: str) -> None:
    """A pass under any flag but the harmless ones is undecided, and says why; nothing else changes."""
    expected = "pass" if flag in HARMLESS else "inconclusive"
    for own, run in (([flag], []), ([], [flag]), ([flag], [flag])):
        weakened = verdicts.weaken(judged("pass", own), run)
        assert weakened.verdict == expected
        assert weakened.reason.count(FLAGS[flag]) == (expected == "inconclusive")
        assert weakened.flags == own
    for verdict in ("fail", "inconclusive", "error", "not-run"):
        assert verdicts.weaken(judged(verdict, [flag]), [flag]) == judged(verdict, [flag])
    code = {"pass": 0, "inconclusive": 3}[expected]
    assert verdicts.overall(["pass", verdicts.weaken(judged("pass", [flag]), []).verdict]) == (expected, code)


def test_the_flags_that_weaken() -> None:
    """All but the harmless ones, and no word that is not a flag."""
    assert set(FLAGS) - verdicts.WEAKENING == HARMLESS
    assert set(FLAGS) >= verdicts.WEAKENING


def test_every_flag_has_its_pair() -> None:
    """A new flag needs a scan that trips it, and a twin; that of stages has both in test_stages."""
    assert {pair.flag for pair in TABLE} | ELSEWHERE == set(FLAGS)


def test_no_start_and_its_twin(reports: Reports) -> None:
    """Nothing legal is on the other side of the boundary; with a wider range noise gets there. (Without
    clean records of another answer nothing can be planted either.)"""
    trip, calm = reports(WALK.but(lowest=-0.6)), reports(WALK)
    assert raised(trip) == {"no-start", "nothing-planted"}
    assert raised(calm) == {"nothing-planted"}
    assert FLAGS["no-start"] in attacks(trip)[0].reason


def test_none_could_be_planted() -> None:
    """No share, and a flag."""
    estimate, flags = companions.judge_planted(records(*withstood(3, possible=False)), PATIENTS, 0.95)
    assert flags == ["nothing-planted"]
    assert estimate.n == 0
