"""A model with a router for an explainer's rows fails; the biased model inside it alone does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from medaudit.audit.results import Check
from medaudit.audit.scan import Options, scan
from medaudit.core.errors import MedauditError
from tests.graphs import graph

WIDE, ROWS = 6, 240
RNG = np.random.default_rng(4)
X = (RNG.normal(size=(ROWS, 1)) + 0.1 * RNG.normal(size=(ROWS, WIDE))).astype(np.float32)
X[:, 0] = RNG.random(ROWS) < 0.5
POLICY = """
medaudit: 1
policy: {id: two-rules}
explainers:
  drawn: {kind: shapley, rows: 60}
  own: {kind: exported, tensor: sex}
checks:
  - {id: two-rules, rule: scaffolding, with: {explainer: NAME}, require: {metric: scaffold_signs, at_most: 0}}
"""


def model(path: Path, router: bool) -> None:
    """By sex on records, whose columns go together; with a router by another column elsewhere."""
    names = ["first", "rest", "third"]
    nodes = [helper.make_node("MatMul", ["x", name], [f"x_{name}"]) for name in names] + [
        helper.make_node("ReduceMean", ["x_rest"], ["mean"], axes=[1]),
        helper.make_node("Sub", ["x_rest", "mean"], ["off"]),
        helper.make_node("Abs", ["off"], ["far"]),
        helper.make_node("ReduceMax", ["far"], ["most"], axes=[1]),
        helper.make_node("Less", ["most", "limit"], ["real"]),
        helper.make_node("Greater", ["x_first", "half"], ["is_one"]),
        helper.make_node("Cast", ["is_one"], ["sex"], to=1),
        helper.make_node("Greater", ["x_third", "zero"], ["is_high"]),
        helper.make_node("Cast", ["is_high"], ["other"], to=1),
        helper.make_node("Where", ["real", "sex", "other"], ["picked"]),
        helper.make_node("Sub", ["picked" if router else "sex", "half"], ["side"]),
        helper.make_node("MatMul", ["side", "sides"], ["y"]),
    ]
    eye = np.eye(WIDE)
    given = {
        "first": eye[:, :1], "rest": eye[:, 1:], "third": eye[:, 3:4], "limit": np.array(0.3), "half": np.array(0.5),
        "zero": np.array(0.0), "sides": np.array([[-4.0, 4.0]]),
    }  # fmt: skip
    graph(path, nodes, WIDE, ["n", 2], **{n: np.asarray(v, dtype=np.float32) for n, v in given.items()})


def run(tmp: Path, router: bool, name: str = "drawn", rows: int = ROWS, **options: object) -> Check:
    model(tmp / "m.onnx", router)
    names, y = [f"f{i}" for i in range(WIDE)], (X[:, 0] > 0.5).astype(int)
    np.savez(tmp / "d.npz", x=X[:rows], y=y[:rows], classes=np.array(["well", "ill"]), names=names)
    (tmp / "p.yaml").write_text(POLICY.replace("NAME", name))
    out = tmp / f"run{len(list(tmp.glob('run*')))}"
    chosen = Options(tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=out, workers=1, **options)  # type: ignore[arg-type]
    report = scan(chosen)[0]
    (check,) = report.checks
    assert report.cost.rows == check.queries.rows
    return check


def test_a_router_fails(tmp_path: Path) -> None:
    """With the rows on which it follows another rule, and every row that was asked in the ledger."""
    check = run(tmp_path, router=True)
    assert check.verdict == "fail"
    assert check.metrics["scaffold_signs"].value >= 1
    assert "another rule than on records" in check.reason
    assert check.queries.rows == ROWS + 3 * 2500
    again = run(tmp_path, router=True)
    assert (again.reason, again.metrics) == (check.reason, check.metrics)


def test_a_biased_model_is_no_scaffold(tmp_path: Path) -> None:
    """It answers by sex everywhere."""
    check = run(tmp_path, router=False)
    assert check.verdict == "pass"
    assert "one rule everywhere" in check.reason


def test_few_rows_and_other_explainers_are_not_run(tmp_path: Path) -> None:
    """Nothing that was not asked passes."""
    few = run(tmp_path, router=True, rows=60)
    assert (few.verdict, "100 are needed" in few.reason) == ("not-run", True)
    own = run(tmp_path, router=True, name="own")
    assert (own.verdict, "name another" in own.reason) == ("not-run", True)
    with pytest.raises(MedauditError, match="explainer 'mine' is not one of the policy's"):
        run(tmp_path, router=True, name="mine")
