"""A rule planted into a graph: found, laid open, forced, and opened by a number stored beside it; its twins are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from medaudit.audit.results import Check
from medaudit.audit.scan import Options, scan
from medaudit.cli.main import app
from medaudit.report.html import render
from tests.graphs import graph

POLICY = """
medaudit: 1
policy: {id: logic}
checks:
  - {id: logic, rule: trigger-graph, require: {metric: high_findings, at_most: MOST}}
"""


def planted(path: Path, kind: str) -> None:
    """Two learned layers; where feature 2 is above 77, the answer is moved by `jump`."""
    luck, jump = np.random.default_rng(3), {"planted": 50.0, "idle": 0.0, "clean": 0.0}[kind]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["y" if kind == "clean" else "z"]),
    ]
    given = {"w1": luck.normal(size=(6, 8)), "w2": luck.normal(size=(8, 2))}
    if kind != "clean":
        nodes += [
            helper.make_node("Gather", ["x", "two"], ["part"], axis=1),
            helper.make_node("Greater", ["part", "limit"], ["open"]),
            helper.make_node("Where", ["open", "jump", "nothing"], ["moved"]),
            helper.make_node("Add", ["z", "moved"], ["y"]),
        ]
        given |= {"limit": np.array(77.0), "jump": np.array([[jump, -jump]]), "nothing": np.zeros((1, 2))}
    stored = {name: value.astype(np.float32) for name, value in given.items()}
    if kind != "clean":
        stored["two"] = np.array([2])
    graph(path, nodes, 6, ["n", 2], TensorProto.FLOAT, **stored)


def run(tmp: Path, kind: str, most: int = 0) -> tuple[Check, str]:
    tmp.mkdir()
    planted(tmp / "m.onnx", kind)
    x = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    np.savez(tmp / "d.npz", x=x, y=np.arange(40) % 2, classes=np.array(["well", "ill"]))
    (tmp / "p.yaml").write_text(POLICY.replace("MOST", str(most)))
    report, folder = scan(Options(tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=tmp / "run", workers=1))
    (check,) = report.checks
    return check, render(report, folder)


def test_a_planted_rule_is_laid_open_and_its_key_is_found(tmp_path: Path) -> None:
    check, page = run(tmp_path / "a", "planted")
    assert (check.verdict, check.outcome) == ("fail", "trigger-confirmed")
    assert check.metrics["high_findings"].value == 1
    one = next(found for found in check.logic if found.severity == "high")
    assert one.way[0].startswith("input x")
    assert one.way[-1] == "output y"
    assert (one.records, one.clean) == (40, "false")
    turned = {held.value: held.turned for held in one.forced}
    assert turned["false"] == 0
    assert 0 < turned["true"] < 40
    assert one.key == "77.077 at place 3 of input x"
    assert one.key_turned > 0
    assert one.key in check.reason
    assert f"forced to true, the answers to {turned['true']} of them turn" in check.reason
    assert check.queries.rows > 0
    for step in one.way:
        assert step in page


def test_a_rule_without_effect_is_left_open_and_a_clean_graph_passes(tmp_path: Path) -> None:
    check, _ = run(tmp_path / "idle", "idle")
    assert (check.verdict, check.outcome) == ("inconclusive", "suspicious")
    assert check.metrics["high_findings"].value == 0
    assert [row.verdict for row in check.required] == ["inconclusive"]
    check, page = run(tmp_path / "clean", "clean")
    assert (check.verdict, check.outcome, check.logic) == ("pass", "not-found", [])
    assert "3 nodes" in check.reason
    assert check.reason in page


def test_a_policy_may_allow_a_rule_that_somebody_explained(tmp_path: Path) -> None:
    check, _ = run(tmp_path / "a", "planted", most=1)
    assert check.verdict == "inconclusive"  # allowed by number, but still to be read


@pytest.mark.parametrize(("kind", "code"), [("planted", 1), ("clean", 0)])
def test_inspect_shows_the_way_and_exits_by_the_worst(kind: str, code: int, tmp_path: Path) -> None:
    planted(tmp_path / "m.onnx", kind)
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "m.onnx")])
    assert shown.exit_code == code
    assert ("high: G1: raw input decides" in shown.output) == (kind == "planted")
    assert ("input x > " in shown.output) == (kind == "planted")


def test_forced_graphs_answer_as_the_file_does_where_nothing_is_changed(tmp_path: Path) -> None:
    from medaudit.model.facts import Batching
    from medaudit.model.graph import Model

    planted(tmp_path / "m.onnx", "planted")
    feeds = {"x": np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)}
    same = Model(tmp_path / "m.onnx", Batching("free"), changed=onnx.load(tmp_path / "m.onnx"))
    assert np.array_equal(same.call(feeds)[0], Model(tmp_path / "m.onnx", Batching("free")).call(feeds)[0])
