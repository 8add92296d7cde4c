"""Faults of models and labels: findings and refusals, never a pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.core.errors import DataError, MedauditError, PolicyErrors

POLICY = """
medaudit: 1
policy: {id: faults}
threats: {near: {access: scores, norm: linf, eps: 2 sd}}
checks:
  - {id: finite, rule: finite-answers, require: {metric: invalid_answers, at_most: 0}}
  - id: noise
    rule: square-noise
    threat: near
    budget: {queries: 40}
    require: {metric: robust_accuracy, at_least: 10%}
"""


def raising_model(path: Path) -> None:
    """Answers clean rows; Gather fails once the first feature leaves 0 .. 3."""
    weights = numpy_helper.from_array(np.array([[1.0, -1.0], [0.5, -0.5]], dtype=np.float32), "w")
    table = numpy_helper.from_array(np.zeros((4, 2), dtype=np.float32), "table")
    zero = numpy_helper.from_array(np.array(0, dtype=np.int64), "zero")
    nodes = [
        helper.make_node("Gather", ["x", "zero"], ["first"], axis=1),
        helper.make_node("Cast", ["first"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "place"], ["extra"], axis=0),
        helper.make_node("MatMul", ["x", "w"], ["plain"]),
        helper.make_node("Add", ["plain", "extra"], ["logits"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "raises", [x], [y], [weights, table, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))


def setting(folder: Path, y: np.ndarray | None = None) -> Options:
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(0, 3, 30), rng.normal(0, 3, 30)], axis=1).astype(np.float32)
    labels = (x @ np.array([2.0, 1.0]) < 0).astype(np.int64) if y is None else y
    np.savez(folder / "d.npz", x=x, y=labels, lo=np.array([-50, -50]), hi=np.array([50, 50]))
    raising_model(folder / "m.onnx")
    (folder / "p.yaml").write_text(POLICY)
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", out=folder / "run", workers=1)


def test_a_model_that_raises_is_a_finding(tmp_path: Path) -> None:
    report, _ = scan(setting(tmp_path))
    checks = {c.id: c for c in report.checks}
    assert checks["noise"].verdict in ("fail", "inconclusive")
    assert "invalid-answers" in checks["noise"].flags
    assert not any("nan" in case.after.lower() for case in checks["noise"].cases if case.success)
    assert checks["finite"].verdict == "fail"
    assert report.exit_code == 1


def test_a_model_that_raises_on_clean_rows_is_a_finding_too(tmp_path: Path) -> None:
    """Two of thirty clean rows cannot be answered: they are nonsense, the others are attacked."""
    options = setting(tmp_path)
    with np.load(tmp_path / "d.npz") as held:
        arrays = dict(held)
    arrays["x"][[4, 17], 0] = 9.0
    np.savez(tmp_path / "d.npz", **arrays)
    report, _ = scan(options)
    checks = {c.id: c for c in report.checks}
    assert checks["finite"].verdict == "fail"
    assert "clean rows" in checks["finite"].reason
    assert checks["finite"].metrics["invalid_answers"].value >= 2
    assert len(checks["noise"].cases) <= 28
    assert checks["noise"].verdict in ("fail", "inconclusive")
    assert report.baseline["accuracy"].value <= 28 / 30


def test_a_model_that_answers_no_row_is_refused(tmp_path: Path) -> None:
    options = setting(tmp_path)
    with np.load(tmp_path / "d.npz") as held:
        arrays = dict(held)
    arrays["x"][:, 0] = 9.0
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(MedauditError, match="indices"):
        scan(options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bad", [7.0, -3.0, 0.5, np.nan])
def test_impossible_labels_are_refused(bad: float, tmp_path: Path) -> None:
    y = np.zeros(30)
    y[4] = bad
    with pytest.raises(DataError, match="row 4"):
        scan(setting(tmp_path, y))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at_least: 10%", "at_most: 10%"),
        ("at_least: 10%", "at_least: 0%"),
        ("at_least: 10%", "at_least: 120%"),
        ("at_least: 10%", "at_least: 3 mmol/L"),
        ("at_most: 0}", "at_most: 5 mV}"),
        ("    require: {metric: robust_accuracy, at_least: 10%}\n", ""),
        ("eps: 2 sd", "eps: -2 sd"),
        ("budget: {queries: 40}", "goal: {what: explode}"),
        ("budget: {queries: 40}", "goal: {what: target, name: nobody}"),
    ],
)
def test_requirements_that_cannot_fail_are_refused(old: str, new: str, tmp_path: Path) -> None:
    options = setting(tmp_path)
    assert old in POLICY
    (tmp_path / "p.yaml").write_text(POLICY.replace(old, new))
    with pytest.raises(PolicyErrors):
        scan(options)
    assert not (tmp_path / "run").exists()
