"""What policy and data say about a model must fit it; what does not is said, not ignored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medaudit.audit.scan import Options, scan
from medaudit.audit.starter import readable
from medaudit.core.errors import MedauditError
from medaudit.core.interface import Channel, Input
from tests.zoo import SPECIMENS, Built

POLICY = """
medaudit: 1
policy: {id: fit}
MODEL
checks:
  - {id: clean, rule: baseline, require: {metric: accuracy, at_least: 10%}}
"""


@pytest.fixture
def table(tmp_path: Path) -> Built:
    """Three classes, logits, a table."""
    return SPECIMENS["dynamic-logits-table"].build(tmp_path)


def run(built: Built, folder: Path, model: str = "", **changes: Any) -> Any:
    """Scan with a `model:` section and changed arrays of the data file."""
    with np.load(built.data) as held:
        arrays = dict(held)
    for name, value in changes.items():
        arrays[name] = value(arrays) if callable(value) else np.asarray(value)
    np.savez(folder / "own.npz", **arrays)
    (folder / "p.yaml").write_text(POLICY.replace("MODEL", model))
    out = folder / "run"
    report, _ = scan(Options(built.model, str(folder / "p.yaml"), folder / "own.npz", out=out, workers=1))
    return report


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ("model: {output: {classes: [a, b]}}", {}, "must be 3 different names, not: a, b"),
        ("model: {output: {classes: [a, b, b]}}", {}, "must be 3 different names, not: a, b, b"),
        ("model: {output: {classes: [ward, home, icu]}}", {}, "wrong order"),
        ("model: {output: {at_least: 0.3}}", {}, "for one score a finding"),
        ("model: {output: {task: multilabel}}", {}, "y has shape"),
        ("", {"names": ["a", "b"]}, "names has 2 entries"),
        ("model: {output: {disease: [c9]}}", {}, "'c9', which is not one of"),
        ("model: {output: {tensors: [nothing]}}", {}, "names output 'nothing'"),
        ("model: {inputs: {nothing: {}}}", {}, "describes input 'nothing'"),
        ("model: {inputs: {features: {domain: image}}}", {}, "give axes and stored_axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: str, changes: dict[str, Any], words: str, table: Built, tmp_path: Path
) -> None:
    with pytest.raises(MedauditError) as caught:
        run(table, tmp_path, model, **changes)
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_labels_need_not_count_from_zero(tmp_path: Path) -> None:
    """A label-only model that says 1, 2 or 3: named by the data file, or by the policy."""
    table = numpy_helper.from_array(np.array([[1], [2], [3]], dtype=np.int64), "t")
    nodes = [
        helper.make_node("ArgMax", ["x"], ["k"], axis=1, keepdims=0),
        helper.make_node("Gather", ["t", "k"], ["y"], axis=0),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1])
    graph = helper.make_graph(nodes, "labels", [x], [y], [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(tmp_path / "m.onnx"))
    rows = np.random.default_rng(0).normal(0, 1, (40, 3)).astype(np.float32)
    truth = rows.argmax(axis=1) + 1
    np.savez(tmp_path / "d.npz", x=rows, y=truth, classes=np.array(["A", "B", "C"]))
    np.savez(tmp_path / "bare.npz", x=rows, y=truth)
    for name, section in (("d", ""), ("bare", "model: {output: {labels: [1, 2, 3], classes: [A, B, C]}}")):
        (tmp_path / "p.yaml").write_text(POLICY.replace("MODEL", section))
        options = Options(tmp_path / "m.onnx", str(tmp_path / "p.yaml"), tmp_path / f"{name}.npz", out=tmp_path / name)
        report, _ = scan(options)
        assert report.baseline["accuracy"].value == 1
        assert list(report.data.classes) == ["A", "B", "C"]


def test_names_of_the_policy_win(table: Built, tmp_path: Path) -> None:
    report = run(table, tmp_path, "model: {output: {classes: [a, b, c]}}", classes=["p", "q"])
    assert set(report.data.classes) == {"a", "b", "c"}


def test_names_that_do_not_fit_are_noted(table: Built, tmp_path: Path) -> None:
    report = run(table, tmp_path, classes=["a", "b"])
    assert any("names 2 classes (a, b), the model has 3" in note for note in report.model.notes)
    assert list(report.data.classes) == ["class 0", "class 1", "class 2"]


def test_records_outside_their_range_are_noted(table: Built, tmp_path: Path) -> None:
    def far(arrays: dict[str, Any]) -> Any:
        x = arrays["x"].copy()
        x[0, 0] = 1e4
        return x

    report = run(table, tmp_path, x=far, hi=lambda a: np.full(a["x"].shape[1], 1e3))
    assert any("1 values of" in note and "outside its range" in note for note in report.data.notes)


def test_one_class_is_noted(table: Built, tmp_path: Path) -> None:
    report = run(table, tmp_path, y=lambda a: np.zeros_like(a["y"]))
    assert any("all labels are" in note for note in report.data.notes)


def test_a_starter_policy_is_readable() -> None:
    """No digits that nobody measured; what is written is the same number again as float32."""
    item = Input("x", "float32", "table", ("batch", "feature"), (1,), ("batch", "feature"))
    channel = Channel("radius", lo=None, hi=float(np.float32(28.11)), sd=3.407444484380928)
    short = readable(dataclasses.replace(item, channels=(channel,))).channels[0]
    assert (short.lo, short.hi, short.sd) == (None, 28.11, 3.40744)
    assert np.float32(short.hi) == np.float32(channel.hi)
