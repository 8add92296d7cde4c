"""Security curves: a linear model stands up to each distance, and nothing recovers at a larger size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.core.errors import PolicyErrors
from medaudit.report.bundle import publish

WIDTH, ROWS = 6, 20
POLICY = """medaudit: 1
policy: {id: curve, domain: table}
data: {use: {only_correct: ONLY}}
threats: {near: {access: scores, norm: linf, eps: 0.5}}
checks:
  - {id: near, rule: square-noise, threat: near, curve: [0.25, 0.5, 1, 2.5], budget: {queries: 100},
     require: {metric: robust_accuracy, at_least: 50%}}
"""


def setting(folder: Path, policy: str = POLICY, only: str = "true", **options: Any) -> Options:
    """Record i lies 0.05 + i / 10 from the border in Linf; the last two are labelled otherwise."""
    folder.mkdir(exist_ok=True)
    weights = np.stack([-np.ones(WIDTH), np.ones(WIDTH)], axis=1).astype(np.float32) / WIDTH
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(folder / "m.onnx"))
    side = np.where(np.arange(ROWS) % 2 == 1, 1, -1)
    x = (side * (0.05 + np.arange(ROWS) / 10))[:, None] * np.ones((1, WIDTH))
    y = (side > 0).astype(int)
    y[-2:] = 1 - y[-2:]
    np.savez(folder / "d.npz", x=x.astype(np.float32), y=y, classes=np.array(["a", "b"]))
    (folder / "p.yaml").write_text(policy.replace("ONLY", only))
    given: dict[str, Any] = {"workers": 1, "seed": 3, **options}
    return Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", folder / "run", **given)


def test_a_linear_model_stands_up_to_each_distance(tmp_path: Path) -> None:
    report, run = scan(setting(tmp_path))
    publish(report, run)
    (check,) = report.checks
    assert check.security is not None
    far = 0.05 + np.arange(ROWS - 2) / 10
    assert check.security.eps == [0, 0.25, 0.5, 1, 2.5]
    assert check.security.stands == [1, *(float(np.mean(far >= eps)) for eps in (0.25, 0.5, 1)), 0]
    assert check.security.n == ROWS - 2
    assert check.metrics["robust_accuracy"].value == check.security.stands[2]
    assert check.queries.sizes > 0
    assert report.cost.rows == sum(getattr(check.queries, k) for k in ("rows", "control", "planted", "sizes"))
    assert "Patients standing at each size" in (run / "report.html").read_text()


def test_all_records_start_from_clean_accuracy(tmp_path: Path) -> None:
    (check,) = scan(setting(tmp_path, only="false"))[0].checks
    assert check.security is not None
    assert check.security.stands[0] == pytest.approx(0.9)
    assert check.security.n == ROWS
    assert check.security.stands == sorted(check.security.stands, reverse=True)


def test_same_for_any_number_of_workers_and_lanes(tmp_path: Path) -> None:
    each = ({}, {"workers": 2}, {"room": 1}, {"shuffle": 5})
    results = {scan(setting(tmp_path / f"{k}", **more))[0].run.result_sha256 for k, more in enumerate(each)}
    assert len(results) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0.25, 0.5, 1, 2.5]", "[0, 1]", "curve"),
        ("norm: linf, eps: 0.5", "norm: l0, eps: 2", "numbers of features"),
        ("rule: square-noise", "rule: universal-noise", "no curve"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    rule = ("square-noise", "few-features" if "l0" in new else "square-noise")
    with pytest.raises(PolicyErrors, match=words):
        scan(setting(tmp_path, POLICY.replace(old, new).replace(*rule)))
