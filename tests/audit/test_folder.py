"""A finished run folder: what verify, report and replay say when it is not as the scan left it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.audit.verify import verify
from medaudit.core.errors import RunError
from medaudit.report.bundle import publish

POLICY = """
medaudit: 1
policy: {id: folder}
threats: {near: {access: scores, norm: linf, eps: 1 sd}}
checks:
  - id: noise
    rule: square-noise
    threat: near
    budget: {queries: 30}
    require: {metric: robust_accuracy, at_least: 90%}
"""


def linear(path: Path, sigmoid: bool = False) -> None:
    """One logit, or its sigmoid, of two features."""
    weights = numpy_helper.from_array(np.array([[2.0], [1.0]], dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["logit" if sigmoid else "y"])]
    if sigmoid:
        nodes.append(helper.make_node("Sigmoid", ["logit"], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph(nodes, "linear", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))


def data(path: Path, **more: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (24, 2)).astype(np.float32)
    x[0] = (40, 40)  # a sigmoid is exactly 1 here
    np.savez(path, x=x, y=(x @ np.array([2.0, 1.0]) > 0).astype(np.int64), **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    linear(folder / "m.onnx")
    data(folder / "d.npz")
    (folder / "p.yaml").write_text(POLICY)
    options = Options(folder / "m.onnx", str(folder / "p.yaml"), folder / "d.npz", out=folder / "run", workers=1)
    report, out = scan(options)
    publish(report, out)
    assert verify(out) == []
    return out


def evidence(run: Path) -> Path:
    return next((run / "evidence").rglob("*.npz"))


def tail(run: Path) -> None:
    evidence(run).write_bytes(evidence(run).read_bytes()[:60])


def page(run: Path) -> None:
    (run / "policy.yaml").write_text("changed")


def gone(run: Path) -> None:
    evidence(run).unlink()


def unlisted(run: Path) -> None:
    """Missing, and the manifest does not know it either."""
    one = evidence(run)
    one.unlink()
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["files"][str(one.relative_to(run))]
    (run / "manifest.json").write_text(json.dumps(manifest))


def medaudit(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medaudit.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("harm", [tail, page, gone, unlisted])
def test_a_changed_folder_is_not_made_whole(harm: Callable[[Path], None], run: Path, tmp_path: Path) -> None:
    """`verify` names the fault, and `report` does not write new digests over it."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    harm(copy)
    assert verify(copy)
    before = (copy / "manifest.json").read_bytes()
    answer = medaudit("report", str(copy))
    assert answer.returncode == 2
    assert "not as the scan left it" in answer.stderr
    assert (copy / "manifest.json").read_bytes() == before
    assert verify(copy)


def test_report_finishes_a_folder_without_its_last_file(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "manifest.json").unlink()
    (copy / "report.html").unlink()
    assert medaudit("report", str(copy)).returncode == 0
    assert verify(copy) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY nothing"])
def test_replay_of_damaged_evidence(content: bytes, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    report = json.loads((copy / "report.json").read_text())
    case = next(c for c in report["checks"][0]["cases"] if c["evidence"])
    (copy / case["evidence"]).write_bytes(content)
    answer = medaudit("replay", str(copy), case["id"])
    assert answer.returncode == 2
    assert "damaged" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("name", ["manifest.json", "report.json"])
def test_verify_of_a_damaged_list(name: str, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / name).write_text("{")
    with pytest.raises(RunError, match="damaged"):
        verify(copy)


def test_a_sigmoid_hides_nothing(run: Path, tmp_path: Path) -> None:
    """The same decisions as probabilities: the same patients broken, though one row is saturated."""
    linear(tmp_path / "m.onnx", sigmoid=True)
    data(tmp_path / "d.npz")
    (tmp_path / "p.yaml").write_text(POLICY)
    options = Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run")
    report, _ = scan(options)
    twin = json.loads((run / "report.json").read_text())["checks"][0]
    broken = {case.sample for case in report.checks[0].cases if case.success}
    assert broken
    assert len(broken) == sum(case["success"] for case in twin["cases"])


def test_a_budget_below_one_step_is_not_a_pass(tmp_path: Path) -> None:
    """gradient-estimate asks 17 rows a step: with 7 nothing was asked, and nothing was shown."""
    linear(tmp_path / "m.onnx")
    data(tmp_path / "d.npz")
    text = POLICY.replace("square-noise", "gradient-estimate").replace("queries: 30", "queries: 7")
    (tmp_path / "p.yaml").write_text(text.replace("eps: 1 sd", "eps: 0.0001 sd"))
    options = Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run")
    report, _ = scan(options)
    assert report.checks[0].queries.rows == 0
    assert report.checks[0].verdict == "not-run"
    assert report.checks[0].required[0].verdict == "not-run"
    assert "never asked" in report.checks[0].reason
    assert report.exit_code == 3


def test_repeated_ids_lose_no_case(tmp_path: Path) -> None:
    """Three names for 24 patients: every case has an id and an evidence file of its own."""
    linear(tmp_path / "m.onnx")
    names = np.array([f"id{i % 3}" for i in range(24)])
    data(tmp_path / "d.npz", ids=names, groups=np.array([f"p{i}" for i in range(24)]))
    (tmp_path / "p.yaml").write_text(POLICY)
    options = Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / "d.npz", out=tmp_path / "run", limit=20)
    report, out = scan(options)
    check = report.checks[0]
    assert len({case.id for case in check.cases}) == len(check.cases) == 20
    assert len(list((out / "evidence").rglob("*.npz"))) == sum(case.evidence is not None for case in check.cases)
    assert "first 20 patients only" in check.reason
