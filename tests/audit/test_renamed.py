"""A reference that calls its inputs otherwise is asked all the same; one that takes other things is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from medaudit.audit.scan import Options, scan
from medaudit.core.errors import ModelError
from tests.graphs import linear

POLICY = """
medaudit: 1
policy: {id: renamed}
checks:
  - {id: sweep, rule: trigger-sweep, require: {metric: triggers_found, at_most: 0}}
"""
LUCK = np.random.default_rng(2)


def files(tmp: Path, width: int = 5) -> Options:
    """A model, data, and a reference that was exported with other names, and takes so many features."""
    weights = LUCK.normal(size=(5, 2)).astype(np.float32)
    linear(tmp / "m.onnx", weights)
    linear(tmp / "r.onnx", LUCK.normal(size=(width, 2)).astype(np.float32))
    other = onnx.load(tmp / "r.onnx")
    other.graph.input[0].name = other.graph.node[0].input[0] = "patient"
    other.graph.output[0].name = other.graph.node[-1].output[0] = "risk"
    onnx.save(other, tmp / "r.onnx")
    x = LUCK.normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp / "d.npz", x=x, y=(x @ weights).argmax(axis=1), classes=np.array(["well", "ill"]))
    (tmp / "p.yaml").write_text(POLICY)
    return Options(tmp / "m.onnx", str(tmp / "p.yaml"), tmp / "d.npz", out=tmp / "run", workers=1,
                   references=(tmp / "r.onnx",))  # fmt: skip


def test_other_names_are_asked_in_order(tmp_path: Path) -> None:
    report, _ = scan(files(tmp_path))
    (check,) = report.checks
    assert check.sweep is not None
    assert check.sweep.references == 1
    assert check.queries.references > 0


def test_other_inputs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    options = files(tmp_path)
    one = onnx.load(tmp_path / "r.onnx")
    one.graph.input.append(onnx.helper.make_tensor_value_info("age", onnx.TensorProto.FLOAT, ["n", 1]))
    onnx.save(one, tmp_path / "r.onnx")
    with pytest.raises(ModelError, match="reference model takes 'patient' .float32., 'age' .float32., the model 'x'"):
        scan(options)


def test_another_width_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reference model does not take what the model takes"):
        scan(files(tmp_path, width=7))
