"""Every finding of a scan keeps its policy, says a reader of run folders that shares no code with the package."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
ROOT = Path(__file__).resolve().parents[2]
POLICY = """
medaudit: 1
policy: {id: constraints-hold}
model:
  inputs:
    x:
      domain: table
      channels:
        - {name: systolic, kind: integer, unit: mmHg, range: [60, 220]}
        - {name: diastolic, kind: integer, step: 1, unit: mmHg, range: [30, 150]}
        - {name: mean pressure, unit: mmHg, range: [30, 180]}
        - {name: age, kind: integer, step: 1, fixed: true, range: [18, 100]}
        - {name: temperature, step: 0.1, range: [34, 42]}
        - {name: arrival, kind: category, categories: [walk, ambulance, transfer]}
        - {name: home, kind: binary, step: 1, range: [0, 1]}
        - {name: ward, kind: binary, step: 1, range: [0, 1]}
        - {name: icu, kind: binary, step: 1, range: [0, 1]}
        - {name: lactate, range: [0.2, 12]}
  constraints:
    relations: [diastolic + 5 <= systolic, "3 * `mean pressure` <= 2 * systolic + diastolic"]
    one_hot: [[home, ward, icu]]
threats:
  near: {access: scores, norm: linf, eps: 0.8 sd, never: [kept]}
  far: {access: scores, norm: l2, eps: 1.5 sd, channels: [systolic, diastolic, mean pressure, lactate]}
  few: {access: scores, norm: l0, eps: 2, never: [kept]}
  pen: {access: scores, norm: l0, eps: 2, within: {temperature: 2 sd, mean pressure: 20 mmHg, arrival: 1, ward: 1,
        home: 1, icu: 1}}
defaults: {budget: {queries: 120}}
checks:
  - {id: standard-near, rule: standard, threat: near, require: {metric: robust_accuracy, at_least: 90%}}
  - {id: standard-far, rule: standard, threat: far, require: {metric: robust_accuracy, at_least: 90%}}
  - {id: features, rule: few-features, threat: few, require: {metric: robust_accuracy, at_least: 90%}}
  - {id: evolved, rule: evolved-entries, threat: few, require: {metric: robust_accuracy, at_least: 90%}}
  - {id: pen, rule: standard, threat: pen, require: {metric: robust_accuracy, at_least: 90%}}
"""


def save_model(path: Path) -> None:
    """A score that gains by every constraint that is broken; a lactate that was not measured counts 2."""
    weights = np.array([-0.06, 0.07, 0.05, 0.03, 0.4, 0.5, -0.8, 0.6, 1.5, 0.35], dtype=np.float32)
    weights = np.stack([-weights, weights], axis=1)
    center = np.array([125, 75, 88, 50, 37, 0.8, 0.4, 0.3, 0.3, 2], dtype=np.float32)
    tables = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(center, "c")]
    nodes = [helper.make_node("IsNaN", ["x"], ["gone"]), helper.make_node("Where", ["gone", "c", "x"], ["whole"]),
             helper.make_node("Sub", ["whole", "c"], ["d"]), helper.make_node("MatMul", ["d", "w"], ["y"])]  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "score", [x], [y], tables)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))


def save_data(path: Path) -> None:
    """Forty patients; a third of the lactates missing, a kept (masked) temperature in every other record."""
    rng = np.random.default_rng(12)
    systolic = np.rint(rng.normal(125, 12, 40))
    diastolic = np.rint(systolic - rng.uniform(20, 70, 40))
    middle = (2 * systolic + diastolic) / 3 - rng.uniform(0.2, 15, 40)
    x = np.column_stack([
        systolic, diastolic, middle, rng.integers(30, 70, 40), np.rint(rng.normal(370, 6, 40)) / 10,
        rng.integers(0, 3, 40), np.eye(3)[rng.integers(0, 3, 40)], rng.lognormal(0.6, 0.4, 40),
    ]).astype(np.float32)  # fmt: skip
    x[::3, 9] = np.nan
    center = np.array([125, 75, 88, 50, 37, 0.8, 0.4, 0.3, 0.3, 2])
    score = (np.where(np.isnan(x), center, x) - center) @ [-0.06, 0.07, 0.05, 0.03, 0.4, 0.5, -0.8, 0.6, 1.5, 0.35]
    x[3, 0] += 0.5  # so that only the policy says that these are whole numbers; the record is decided wrongly
    score[3] *= -1
    kept = np.zeros((40, 10))
    kept[::2, 4] = 1
    np.savez(path, x=x, y=(score > 0).astype(np.int64), mask__kept=kept)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, data, and a finished run."""
    folder = tmp_path_factory.mktemp("constraints")
    save_model(folder / "m.onnx")
    save_data(folder / "d.npz")
    (folder / "p.yaml").write_text(POLICY)
    files = ("scan", folder / "m.onnx", "--policy", folder / "p.yaml", "--data", folder / "d.npz",
             "--out", folder / "run")  # fmt: skip
    words = [sys.executable, "-m", "medaudit.cli.main", *map(str, files), "--workers", "1", "--quiet"]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert answer.returncode in (0, 1, 3), answer.stderr
    return folder


@pytest.fixture
def lawful(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The independent reader."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.lawful")


def test_the_reader_shares_no_code() -> None:
    """It imports nothing of the package."""
    text = (ROOT / "benchmarks" / "lawful.py").read_text(encoding="utf-8")
    assert "medaudit" not in text


def test_every_finding_keeps_the_policy(done: Path, lawful: Any) -> None:
    """Of each check there are findings, and nothing is wrong with any."""
    count, wrong = lawful.faults(done / "run", done / "d.npz")
    report = json.loads((done / "run" / "report.json").read_text())
    found = {check["id"]: sum(case["success"] for case in check["cases"]) for check in report["checks"]}
    assert min(found.values()) > 0, found
    assert count == sum(found.values())
    assert wrong == []


PLANTED = [  # threat, number, its new value (a function of the clean record), what the reader says
    ("few", 0, lambda x: 221, "systolic is 221, outside 60 to 220"),
    ("few", 0, lambda x: x[0] + 0.5, "no multiple of 1"),
    ("few", 4, lambda x: 37.25, "no multiple of 0.1"),
    ("few", 5, lambda x: 3, "arrival is 3, outside 0 to 2"),
    ("few", 5, lambda x: 0.5, "arrival is 0.5, no multiple of 1"),
    ("few", 3, lambda x: x[3] + 1, "age is immutable"),
    ("few", 6, lambda x: 1 - x[6], "not exactly one of home, ward, icu is 1"),
    ("few", 1, lambda x: x[0] - 4, "the relation diastolic + 5 <= systolic is broken"),
    ("few", 2, lambda x: (2 * x[0] + x[1]) / 3 + 0.01, "<= 2 * systolic + diastolic is broken"),
    ("few", 9, lambda x: np.nan, "a missing cell was filled in, or a cell went missing"),
    ("few", 4, lambda x: 36.0, "temperature lies outside the masks"),
    ("pen", 9, lambda x: 3.0, "lactate is not among what the threat may change"),
    ("pen", 2, lambda x: x[2] - 21, "mean pressure is "),
    ("far", 4, lambda x: 36.0, "temperature is not among what the threat may change"),
    ("near", 5, lambda x: (x[5] + 1) % 3, "arrival changed under a threat that moves numbers only"),
    ("near", 9, lambda x: x[9] + 4, "is allowed"),
]


@pytest.mark.parametrize(("threat", "place", "value", "words"), PLANTED)
def test_planted_violations_are_refused(
    done: Path, lawful: Any, threat: str, place: int, value: Any, words: str
) -> None:
    """One number of a record set to something that the policy forbids."""
    book = lawful.read(done / "run" / "policy.yaml", done / "d.npz")
    clean = book.points[2].astype(np.float64)
    assert np.isfinite(clean).all()
    delta = np.zeros(10)
    delta[place] = value(clean) - clean[place]
    wrong = lawful.finding(book, book.policy["threats"][threat], 2, delta)
    assert any(words in fault for fault in wrong), wrong


def test_sizes_are_measured(done: Path, lawful: Any) -> None:
    """One change too many, a length too long, none at all; a group that turns counts once."""
    book = lawful.read(done / "run" / "policy.yaml", done / "d.npz")
    clean = book.points[1]
    group = np.zeros(10)
    group[6:9] = np.roll(clean[6:9], 1) - clean[6:9]
    few, far = book.policy["threats"]["few"], book.policy["threats"]["far"]
    assert lawful.finding(book, few, 1, group + np.eye(10)[4]) == []
    assert lawful.finding(book, few, 1, group + np.eye(10)[4] + 0.1 * np.eye(10)[9]) == ["3 changes, 2 are allowed"]
    assert lawful.finding(book, few, 1, np.zeros(10)) == ["nothing was changed"]
    long = 1.2 * book.cells[9].sd * np.eye(10)[9] + np.rint(1.2 * book.cells[0].sd) * np.eye(10)[0]
    (fault,) = lawful.finding(book, far, 1, long)
    assert fault.startswith("the change is 1.")


def test_a_changed_file_is_noticed(done: Path, lawful: Any) -> None:
    """A kept finding that somebody moved out of its range is refused in the run folder too."""
    path = sorted((done / "run" / "evidence").rglob("*.npz"))[0]
    before = path.read_bytes()
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays["delta"][2] += 500
    np.savez(path, **arrays)
    _, wrong = lawful.faults(done / "run", done / "d.npz")
    path.write_bytes(before)
    assert any("mean pressure is " in fault for fault in wrong)
