"""One change for many records through a whole scan: who it is fitted on, who is measured, what resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from kit import linear_onnx
from onnx import helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.engine.journal import Journal

POLICY = """medaudit: 1
policy: {{id: universal, domain: table}}
threats:
  small: {{access: {access}, norm: linf, eps: 0.5}}
checks:
  - id: one
    rule: universal-noise
    threat: small
    budget: {{queries: 60}}
    with: {{patients: 6}}
    require: {{metric: robust_accuracy, at_least: 95%}}
"""
COLUMNS, ROWS = 24, 40
SLOPE = np.random.default_rng(1).normal(0, 1, COLUMNS)


def setting(folder: Path, access: str = "scores", out: str = "run", workers: int = 1) -> Options:
    """A linear model on 24 columns, 40 rows of 20 patients; at eps most can be turned by one change."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (ROWS, COLUMNS))
    x += np.outer(rng.uniform(1, 9, ROWS) - x @ SLOPE, SLOPE / (SLOPE @ SLOPE))
    x = x.astype(np.float32)
    linear_onnx(folder / "m.onnx", SLOPE)
    np.savez(folder / "data.npz", x=x, y=np.zeros(ROWS, dtype=np.int64), classes=np.array(["a", "b"]),
             lo=np.full(COLUMNS, -99.0), hi=np.full(COLUMNS, 99.0),
             ids=np.array([f"r{i}" for i in range(ROWS)]), groups=np.array([f"p{i // 2}" for i in range(ROWS)]),
             )  # fmt: skip
    (folder / "policy.yaml").write_text(POLICY.format(access=access))
    return Options(
        folder / "m.onnx", str(folder / "policy.yaml"), folder / "data.npz", folder / out, workers=workers, seed=1
    )


@pytest.mark.parametrize("access", ["scores", "labels"])
def test_one_change_for_all(access: str, tmp_path: Path) -> None:
    """Fitted on six patients, measured on the fourteen others, one row each; beyond chance."""
    report, folder = scan(setting(tmp_path, access))
    check = report.checks[0]
    assert check.verdict == "fail"
    assert check.queries.rows == 28
    assert check.queries.fit == 60 * 12
    assert check.queries.planted == 60 * 12 + 20
    assert check.queries.budget_per_sample == 1
    assert check.metrics["attack_success"].n == 14
    assert check.curve is None
    assert "still-rising" not in check.flags
    own, chance = check.metrics["attack_success"], check.metrics["control_success"]
    assert own.low is not None
    assert chance.high is not None
    assert own.low > chance.high
    journal = Journal(folder / "journal")
    fitted, cases = journal.cases("one~fit"), journal.cases("one")
    journal.close()
    assert len(fitted) == 1
    sample, (record, arrays) = next(iter(fitted.items()))
    x = np.load(tmp_path / "data.npz")["x"]
    turned = (x + arrays["change"]) @ SLOPE < 0
    assert record["rows"] == 60 * 12
    assert sample not in cases
    assert len(cases) == 28
    assert 0 < sum(turned[list(cases)]) < 28
    for own, (case, held) in cases.items():
        assert case["rows"] == 1
        assert case["success"] == turned[own]
        if case["success"]:
            assert held["delta"] == pytest.approx(arrays["change"], abs=1e-5)


def test_workers_and_a_second_start_change_nothing(tmp_path: Path) -> None:
    """Two workers, and a run that was cut off after the fit: the same report."""
    first, folder = scan(setting(tmp_path, out="first"))
    second, _ = scan(setting(tmp_path, out="second", workers=2))
    assert first.run.result_sha256 == second.run.result_sha256
    journal = Journal(folder / "journal")
    journal._db.execute("DELETE FROM cases WHERE check_id = 'one'")
    journal._db.commit()
    journal.close()
    again, _ = scan(setting(tmp_path, out="first"))
    assert again.run.result_sha256 == first.run.result_sha256


def test_a_fit_without_a_number_is_an_error(tmp_path: Path) -> None:
    """A model that answers only columns that are alike: no candidate can be scored, and that is no pass."""
    options = setting(tmp_path)
    with np.load(tmp_path / "data.npz") as held:
        arrays = dict(held)
    sides = np.resize([1.0, -1.0], COLUMNS)
    arrays["x"] = (np.random.default_rng(3).uniform(1, 2, (ROWS, 1)) * sides).astype(np.float32)
    np.savez(tmp_path / "data.npz", **arrays)
    linear_onnx(options.model, sides)
    proto = onnx.load(options.model)
    proto.graph.node[0].output[0] = "plain"
    proto.graph.initializer.append(numpy_helper.from_array(sides.astype(np.float32), "sides"))
    proto.graph.node.extend(
        [
            helper.make_node("Mul", ["x", "sides"], ["same"]),
            helper.make_node("ReduceMax", ["same"], ["most"], axes=[1]),
            helper.make_node("ReduceMin", ["same"], ["least"], axes=[1]),
            helper.make_node("Sub", ["least", "most"], ["none"]),
            helper.make_node("Sqrt", ["none"], ["nonsense"]),  # of a number below zero, unless all are alike
            helper.make_node("Add", ["plain", "nonsense"], ["y"]),
        ]
    )
    onnx.save(proto, str(options.model))
    check = scan(options)[0].checks[0]
    assert check.verdict == "error"
    assert "no candidate" in check.reason
