"""Values laid open and forced: the model stays as it is but for what was asked."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from medaudit.core.errors import ModelError
from medaudit.model.expose import exposed
from medaudit.model.flow import flow
from medaudit.model.forced import forced, made
from medaudit.model.hidden import hidden

TEXT = """<ir_version: 10, opset_import: ["" : 17]> net (float[N,32] x) => (float[N,2] y) {
    c0 = Constant<value_ints=[0]>()  c1 = Constant<value_ints=[1]>()  limit = Constant<value_float=7.5>()
    h = MatMul(x, w) logits = MatMul(h, v) first = Slice(x, c0, c1, c1) p = Greater(first, limit)
    turned = Neg(logits) y = Where(p, turned, logits)
}"""


def model() -> onnx.ModelProto:
    made = parser.parse_model(TEXT)
    draw = np.random.default_rng(0)
    for name, shape in (("w", (32, 16)), ("v", (16, 2))):
        made.graph.initializer.append(numpy_helper.from_array(draw.normal(size=shape).astype(np.float32), name))
    return made


def run(proto: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    return list(onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x}))


X = np.random.default_rng(1).normal(size=(5, 32)).astype(np.float32)


def test_what_decides_is_laid_open() -> None:
    y, p = run(exposed(model(), ["p"]), X)
    np.testing.assert_array_equal(y, run(model(), X)[0])
    assert p.dtype == bool
    assert not p.any()


def test_both_branches_are_run() -> None:
    """The answer without the trigger, and the one that it would bring."""
    (plain,), (shut,), (opened,) = (run(m, X) for m in (model(), *(forced(model(), "p", np.bool_(b)) for b in (0, 1))))
    np.testing.assert_array_equal(shut, plain)
    np.testing.assert_array_equal(opened, -plain)


def test_a_number_is_forced_too() -> None:
    (got,) = run(forced(model(), "first", np.float32(9.0)), X)
    np.testing.assert_array_equal(got, -run(model(), X)[0])


def test_the_finding_names_what_to_force() -> None:
    """From the hit to the value: the predicate of the finding is one of the main graph."""
    proto = model()
    (hit,) = (hit for hit in hidden(proto) if hit.rule == "G1")
    assert hit.handles == ("p",)
    assert flow(proto).top[flow(proto).calls[hit.call].inputs[0]] == "p"


def test_nested_values_are_refused() -> None:
    with pytest.raises(ModelError, match="inside a function"):
        made(model(), "nowhere")
