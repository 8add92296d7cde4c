"""Goals: hits agree with decisions, scores point to them, clearance makes them firm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from medaudit.core.errors import MedauditError
from medaudit.core.interface import TASKS, Output
from medaudit.core.protocol import Lanes, Oracle
from medaudit.oracle.decision import decide
from medaudit.oracle.goal import SHARP, WHATS, Goal, dice, goals_of, oracle, oracle_of_many, wanted_classes

THREE = ("fine", "sick", "dying")
MULTI = Output("multiclass", ("y",), "logits", THREE, disease=THREE[1:])
LABEL = Output("label", ("y",), "labels", THREE, labels=(0, 1, 2), disease=THREE[1:])
BINARY = Output("binary", ("y",), "logits", ("no", "yes"), thresholds=(0.0,), disease=("yes",))
FINDINGS = Output("multilabel", ("y",), "logits", ("p", "q", "r"), thresholds=(0.0, 0.5, -1.0), disease=("q", "r"))
VALUES = Output("regression", ("y",), "values", units=("", ""))
MASK = Output("segmentation", ("y",), "logits", ("no", "yes"), thresholds=(0.0,), class_axis=0, positions=4)
STACK = Output("segmentation", ("y",), "logits", ("no", "yes"), positions=2)
OUTPUTS = [MULTI, LABEL, BINARY, FINDINGS, VALUES, MASK, STACK]

answers_of = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(0, 1.5, (24, 4)).astype(np.float32)
)


def lanes(output: Output, ref: Any) -> Lanes:
    """Lanes that know the clean answers."""
    n = len(ref)
    single = output.task in ("multiclass", "binary", "label")
    label = np.asarray(decide(output, ref)).astype(np.int64) if single else np.full(n, -1)
    zero = np.zeros((n, 1), dtype=np.float32)
    keys = np.zeros(n, dtype=np.uint64)
    return Lanes(keys, zero, zero, zero, None, ref, label, np.full(n, -1, dtype=np.int64))


def score(one: Oracle, output: Output, ref: Any, now: Any) -> tuple[Any, Any]:
    """Each row against the clean row of the same place."""
    return one.score(lanes(output, ref), np.arange(len(now)), now)


def table(output: Output, values: Any) -> Any:
    """Random numbers in the form of a task's answers."""
    if output.task == "label":
        return np.abs(np.rint(values[:, :1])).clip(0, 2)
    return np.ascontiguousarray(values[:, : output.width])


@given(before=answers_of, after=answers_of)
def test_any_is_another_decision(before: Any, after: Any) -> None:
    """Classes, labels and findings: a hit is exactly a decision that differs."""
    for output in (MULTI, LABEL, BINARY, FINDINGS):
        ref, now = table(output, before), table(output, after)
        value, hit = score(oracle(output, Goal(), "scores"), output, ref, now)
        first, second = (np.asarray(decide(output, a)).reshape(len(a), -1) for a in (ref, now))
        assert np.array_equal(hit, (first != second).any(axis=1)), output.task
        assert np.array_equal(hit, value < 0), output.task
        assert value.dtype == np.float32
        assert hit.dtype == np.bool_


@given(before=answers_of, after=answers_of)
@pytest.mark.parametrize("output", [MULTI, LABEL])
def test_goals_on_classes(output: Output, before: Any, after: Any) -> None:
    """Target, missed disease and false alarm: a hit lands in the wanted classes."""
    ref, now = table(output, before), table(output, after)
    decided = decide(output, now)
    for goal, wanted in (
        (Goal("target", "dying"), {2}),
        (Goal("missed-disease"), {0}),
        (Goal("false-alarm"), {1, 2}),
    ):
        assert set(wanted_classes(output, goal)) == wanted
        value, hit = score(oracle(output, goal, "scores"), output, ref, now)
        assert np.array_equal(hit, np.isin(decided, list(wanted)))
        # Of several classes outside the best is taken softly: zero lies at most so far beyond success.
        beyond = math.log(3 - len(wanted)) / SHARP if output is MULTI else 0.0
        assert not (hit & (value > beyond + 1e-4)).any()
        assert not (~hit & (value < 0)).any()


@given(before=answers_of, after=answers_of)
def test_goals_on_findings(before: Any, after: Any) -> None:
    """Clear, raise, missed disease and false alarm: the named findings change to the right side."""
    ref, now = table(FINDINGS, before), table(FINDINGS, after)
    old, new = decide(FINDINGS, ref), decide(FINDINGS, now)
    went, came = (old == 1) & (new == 0), (old == 0) & (new == 1)
    sick = np.array([False, True, True])
    for goal, expected in (
        (Goal("clear", "p"), went[:, 0]),
        (Goal("raise", "r"), came[:, 2]),
        (Goal("missed-disease"), (went & sick).any(axis=1)),
        (Goal("false-alarm"), (came & sick).any(axis=1)),
    ):
        value, hit = score(oracle(FINDINGS, goal, "scores"), FINDINGS, ref, now)
        assert np.array_equal(hit, expected), goal.what
        assert np.array_equal(hit, value < 0), goal.what


@given(before=answers_of, after=answers_of, amount=st.floats(0, 4))
def test_moved(before: Any, after: Any, amount: float) -> None:
    """Any value by more than the tolerance; the score is what is left of it."""
    ref, now = table(VALUES, before), table(VALUES, after)
    value, hit = score(oracle(VALUES, Goal("moved", amount=amount), "scores"), VALUES, ref, now)
    change = np.abs(now - ref).max(axis=1)
    clear = np.abs(change - amount) > 1e-5
    assert np.array_equal(hit[clear], (change > amount)[clear])
    assert np.allclose(value, amount - change, atol=1e-5)


@given(before=answers_of, after=answers_of, amount=st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_dice_drop(before: Any, after: Any, amount: float) -> None:
    """A hit is a Dice below 1 - amount, whatever the guide in the score says."""
    for output in (MASK, STACK):
        ref, now = table(output, before), table(output, after)
        _, hit = score(oracle(output, Goal("dice-drop", amount=amount), "scores"), output, ref, now)
        overlap = dice(decide(output, now) > 0, decide(output, ref) > 0)
        clear = np.abs(overlap - (1 - amount)) > 1e-5
        assert np.array_equal(hit[clear], (overlap < 1 - amount)[clear])


def test_dice_values() -> None:
    """By hand; two empty masks overlap fully."""
    a = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]) > 0
    b = np.array([[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]) > 0
    assert dice(a, b).tolist() == pytest.approx([2 / 3, 0, 1, 0, 1])
    assert np.array_equal(dice(a, b), dice(b, a))


@given(masks=hn.arrays(np.bool_, (2, 5, 8)))
def test_dice_is_the_formula(masks: Any) -> None:
    """2 |a & b| / (|a| + |b|), between 0 and 1."""
    found = dice(masks[0], masks[1])
    for value, a, b in zip(found, masks[0], masks[1], strict=True):
        total = a.sum() + b.sum()
        assert value == pytest.approx(2 * (a & b).sum() / total if total else 1)


@given(before=answers_of, after=answers_of, noise=st.floats(0, 1))
def test_clearance_makes_hits_firm(before: Any, after: Any, noise: float) -> None:
    """With clearance, fewer hits and never others; a margin within the noise is none."""
    goals = {
        "segmentation": Goal("dice-drop", amount=0.3),
        "regression": Goal("moved", amount=0.5),
    }
    for output in OUTPUTS:
        goal = goals.get(output.task, Goal())
        ref, now = table(output, before), table(output, after)
        value, loose = score(oracle(output, goal, "scores"), output, ref, now)
        _, firm = score(oracle(output, goal, "scores", noise), output, ref, now)
        assert not (firm & ~loose).any()
        if output.task in ("multiclass", "binary", "multilabel"):
            assert not firm[value >= -noise].any()
            assert firm[value < -noise - 1e-6].all()


@given(before=answers_of, after=answers_of)
def test_labels_only_see_labels(before: Any, after: Any) -> None:
    """With access to labels the score is the hit and nothing else."""
    goals = {
        "segmentation": Goal("dice-drop", amount=0.3),
        "regression": Goal("moved", amount=0.5),
    }
    for output in OUTPUTS:
        goal = goals.get(output.task, Goal())
        ref, now = table(output, before), table(output, after)
        _, seen = score(oracle(output, goal, "scores"), output, ref, now)
        value, hit = score(oracle(output, goal, "labels"), output, ref, now)
        assert np.array_equal(seen, hit)
        assert np.array_equal(value, np.where(hit, -1, 1))


def test_unknown_labels_are_no_success() -> None:
    """A label that is no class (-1) is not another class."""
    ref, now = np.array([[1.0]], dtype=np.float32), np.array([[-1.0]], dtype=np.float32)
    _, hit = score(oracle(LABEL, Goal(), "scores"), LABEL, ref, now)
    assert not hit.any()


def test_a_margin_equal_to_the_noise_is_no_success() -> None:
    """Ties, and margins of exactly the clearance, may fall the other way when asked again."""
    for clearance in (0.0, 0.5):
        ref = np.array([[3, 1, 0]], dtype=np.float32)
        now = np.array([[1, 1 + clearance, 0]], dtype=np.float32)
        _, hit = score(oracle(MULTI, Goal(), "scores", clearance), MULTI, ref, now)
        assert not hit[0]
        for output, width in ((BINARY, 1), (FINDINGS, 3)):
            ref = np.full((1, width), -4, dtype=np.float32)
            now = ref.copy()
            now[0, 0] = clearance
            _, hit = score(oracle(output, Goal(), "scores", clearance), output, ref, now)
            assert not hit[0]
        ref, now = np.zeros((1, 2), dtype=np.float32), np.zeros((1, 2), dtype=np.float32)
        now[0, 1] = 2 + clearance
        goal = Goal("moved", amount=2)
        _, hit = score(oracle(VALUES, goal, "scores", clearance), VALUES, ref, now)
        assert not hit[0]


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_for_many_records_doubt_counts(meaning: str) -> None:
    """Hits are the same; a sure record scores better where it doubts, though the wanted class is as unlikely as
    before."""
    output = Output("multiclass", ("y",), meaning, ("a", "b", "c"))
    given = np.array([[1 - 2e-9, 1e-9, 1e-9], [0.5, 0.5 - 1e-9, 1e-9], [0.2, 0.35, 0.45]], dtype=np.float32)
    now = np.log(given) + 3 if meaning == "logits" else given
    ref = np.tile(now[:1], (3, 1))
    goal = Goal("target", name="c")
    many, hits = score(oracle_of_many(output, goal, "scores"), output, ref, now)
    one, same = score(oracle(output, goal, "scores"), output, ref, now)
    assert hits.tolist() == same.tolist() == [False, False, True]
    assert many[0] == pytest.approx(1 + math.log(1 + math.exp(-SHARP)) / SHARP, abs=1e-5)
    assert many[1] == pytest.approx(0.5 + math.log(2) / SHARP, abs=1e-5)
    assert one[0] - one[1] < 0.1 * one[0]


def test_for_many_records_other_goals_are_as_for_one() -> None:
    """Of two classes, of any other class, and by labels."""
    three, two = (Output("multiclass", ("y",), "logits", tuple("abc"[:n])) for n in (3, 2))
    for output, goal, access in [
        (three, Goal(), "scores"),
        (two, Goal("target", name="b"), "scores"),
        (three, Goal("target", name="b"), "labels"),
    ]:
        now = np.random.default_rng(1).normal(0, 3, (5, len(output.classes))).astype(np.float32)
        both = [score(make(output, goal, access), output, now[::-1], now) for make in (oracle, oracle_of_many)]
        assert np.array_equal(both[0][0], both[1][0])
        assert np.array_equal(both[0][1], both[1][1])


def test_goals_of_every_task() -> None:
    """Every task has goals, all of them known, and refuses the others in one sentence."""
    outputs = {o.task: o for o in OUTPUTS} | {"reconstruction": Output("reconstruction", ("y",), "values")}
    assert set(outputs) == set(TASKS)
    for task, output in outputs.items():
        assert goals_of(task)
        for what in WHATS:
            named = {"target": "dying", "clear": "p", "raise": "p"}.get(what, "")
            goal = Goal(what, named, 0.5)
            if what in goals_of(task):
                assert oracle(output, goal, "scores").name
                continue
            with pytest.raises(MedauditError, match=f"goal '{what}' does not fit") as caught:
                oracle(output, goal, "scores")
            assert goals_of(task)[0] in caught.value.hint


def test_names_are_checked() -> None:
    """A class that does not exist, and disease goals where nothing is known to be disease."""
    with pytest.raises(MedauditError, match="class 'flue' is not one of: fine, sick, dying"):
        oracle(MULTI, Goal("target", "flue"), "scores")
    plain = Output("multiclass", ("y",), "logits", THREE)
    with pytest.raises(MedauditError, match="which classes are disease"):
        oracle(plain, Goal("missed-disease"), "scores")


@pytest.mark.parametrize("output", [o for o in OUTPUTS if o.task != "segmentation"])
def test_nan_is_no_hit(output: Output) -> None:
    """NaN alone never hits, also before `compose` looks at it (masks rely on `compose`)."""
    goals = {"regression": Goal("moved", amount=0.5)}
    ref = table(output, np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32))
    with np.errstate(invalid="ignore"):
        _, hit = score(oracle(output, goals.get(output.task, Goal()), "scores"), output, ref, ref * np.nan)
    assert not hit.any()
