"""Inputs at the edge: what falls, what spoils its neighbours and what answers nothing surely is told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from medaudit.audit import extremes
from medaudit.audit.replay import replay
from medaudit.audit.results import Report
from medaudit.audit.scan import Options, scan
from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.report.bundle import publish
from medaudit.report.html import render
from tests.graphs import graph

POLICY = """
medaudit: 1
policy: {id: edge}
checks:
  - {id: edge, rule: extreme-inputs, require: {metric: METRIC, at_most: 0}}
"""
ROWS = np.random.default_rng(3).normal(size=(24, 4)).astype(np.float32)
LINEAR = [helper.make_node("MatMul", ["x", "w"], ["z"])]
ZERO = np.array(0, dtype=np.float32)


def model(path: Path, kind: str) -> None:
    """Scores of two classes. plain: linear; meets: adds nothing times the batch's largest number; sure: clipped first;
    hangs: counts to a thousand million where a number is above 20.
    """
    given = {"w": np.stack([-np.ones(4), np.ones(4)], axis=1).astype(np.float32)}
    node = helper.make_node
    nodes = [*LINEAR, node("Identity", ["z"], ["y"])]
    if kind == "meets":
        nodes = [
            *LINEAR,
            node("ReduceMax", ["x"], ["top"], axes=[0, 1], keepdims=0),
            node("Mul", ["top", "zero"], ["none"]),
            node("Add", ["z", "none"], ["y"]),
        ]
        given["zero"] = ZERO
    if kind == "sure":
        given |= {"lo": np.array(-9, dtype=np.float32), "hi": np.array(9, dtype=np.float32)}
        nodes = [node("Clip", ["x", "lo", "hi"], ["c"]), node("MatMul", ["c", "w"], ["y"])]
    if kind == "hangs":
        step = helper.make_graph(
            [node("Identity", ["going"], ["goes"]), node("Add", ["value", "value"], ["next"])],
            "step",
            [
                helper.make_tensor_value_info(n, t, s)
                for n, t, s in (("i", 7, []), ("going", 9, []), ("value", 1, None))
            ],
            [helper.make_tensor_value_info(n, t, s) for n, t, s in (("goes", 9, []), ("next", 1, None))],
        )
        given |= {"far": np.array(20, dtype=np.float32), "many": np.array(10**9), "once": np.array(0)}
        nodes = [
            node("ReduceMax", ["x"], ["top"], axes=[0, 1], keepdims=0),
            node("Greater", ["top", "far"], ["is"]),
            node("Where", ["is", "many", "once"], ["trips"]),
            *LINEAR,
            node("Loop", ["trips", "", "z"], ["y"], body=step),
        ]
    graph(path, nodes, 4, ["n", 2], **given)


def run(tmp: Path, kind: str, metric: str = "failed_extremes", **options: bool) -> tuple[Report, Path]:
    model(tmp / "m.onnx", kind)
    np.savez(tmp / "d.npz", x=ROWS, y=(ROWS.sum(axis=1) > 0).astype(int), classes=np.array(["well", "ill"]))
    (tmp / "p.yaml").write_text(POLICY.replace("METRIC", metric))
    return scan(Options(tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=tmp / "run", workers=1, **options))


def fates(report: Report) -> dict[str, str]:
    return {one.words: one.fate for one in report.checks[0].extremes}


def test_a_plain_model_says_no_number_and_passes(tmp_path: Path) -> None:
    report, folder = run(tmp_path, "plain")
    (check,) = report.checks
    assert (check.verdict, report.exit_code) == ("pass", 0)
    assert len(check.extremes) == len(extremes.ODDITIES)
    assert fates(report)["nothing measured anywhere (NaN)"] == "no number"
    assert fates(report)["zero everywhere"] == "answered"
    assert check.queries.rows == 10 * (3 * 16 + 8)
    publish(report, folder)
    assert "infinity everywhere" in render(report, folder)


def test_a_neighbour_that_spoils_clean_answers_fails(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "meets")
    (check,) = report.checks
    assert (check.verdict, report.exit_code) == ("fail", 1)
    spoiled = [words for words, fate in fates(report).items() if fate == "spoiled"]
    assert len(spoiled) == 3  # two kinds of NaN, and infinity: minus infinity is never the largest
    assert "8 of 8 clean records beside it change" in check.reason


def test_sure_answers_to_nothing_are_counted_drawn_and_replayed(tmp_path: Path) -> None:
    report, folder = run(tmp_path, "sure", "confident_extremes", include_samples=True)
    (check,) = report.checks
    assert (check.verdict, report.exit_code) == ("fail", 1)
    sure = {one.words for one in check.extremes if one.confident}
    assert "infinity everywhere" in sure
    assert "nothing measured anywhere (NaN)" not in sure
    assert "zero everywhere" not in sure  # zeros of a table may be a patient's
    assert len(check.cases) == len(sure)
    publish(report, folder)
    for case in check.cases:
        again = replay(folder, case.id, None, None, None)
        assert again["reproduced"] is True
    assert "Inputs at the edge, and what the model did" in render(report, folder)


def test_what_hangs_is_a_finding_and_the_others_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extremes, "PATIENCE", 5.0)
    report, _ = run(tmp_path, "hangs")
    (check,) = report.checks
    assert (check.verdict, report.exit_code) == ("fail", 1)
    died = [words for words, fate in fates(report).items() if fate == "died"]
    assert any("above its range" in words for words in died)
    assert "did not answer" in check.reason
    assert fates(report)["zero everywhere"] == "answered"


SIGNAL = Input("ecg", "float32", "signal", ("batch", "lead", "time"), (2, 30), ("batch", "lead", "time"), rate=30.0,
               channels=(Channel("I"), Channel("II", lo=-3.0, hi=3.0)))  # fmt: skip
AGE = Input("age", "float32", "table", ("batch", "feature"), (1,), ("batch", "feature"), channels=(Channel("age"),))


def test_inputs_are_asked_by_themselves_and_together() -> None:
    face = Interface((SIGNAL, AGE), Output("binary", ("y",), classes=("well", "ill"), thresholds=(0.0,)))
    points = np.random.default_rng(1).random((9, face.size)).astype(np.float32)
    every = extremes.questions(face, points)
    assert len({one.words for one in every}) == len(every) == 3 * len(extremes.ODDITIES)
    for one in every:
        with np.errstate(invalid="ignore"):
            moved = ~((one.laid(points) == points) & np.isfinite(points)).all(axis=0)
        own = {"input ecg": (True, False), "input age": (False, True), "all inputs": (True, True)}[
            one.words.partition(":")[0]
        ]
        assert (moved[:60].any(), moved[60:].any()) == own or "flat" in one.words
        assert one.void <= one.words.startswith("all inputs")  # the other input is still a patient's
    flat = next(one for one in every if one.words == "all inputs: every channel flat at its median")
    assert np.ptp(flat.laid(points)[:, :30], axis=1).max() == 0
    assert not flat.void  # equal numbers in a table may be a patient's
    above = next(one for one in every if "above" in one.words and one.words.startswith("input ecg"))
    assert (above.laid(points)[:, 30:60] == 3.0 + 10 * 6.0).all()
