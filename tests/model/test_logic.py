"""Triggers that are written into a graph by hand are found with their way; what honest graphs do is explained."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from medaudit.core.errors import ModelError
from medaudit.model import flow as flows
from medaudit.model.flow import flow
from medaudit.model.hidden import Hit, hidden, hits
from medaudit.model.taint import dense

HEAD = '<ir_version: 10, opset_import: ["" : 17, "local" : 1]> net (float[N,32] x) => (float[N,2] y) {'
TRUNK = """
    a1 = Gemm(z, w1, b1)  r1 = Relu(a1)  a2 = Gemm(r1, w2, b2)  r2 = Relu(a2)
    a3 = Gemm(r2, w2, b2) r3 = Relu(a3)  logits = Gemm(r3, w4, b4)
"""
LOUD = """
    c0 = Constant<value_ints=[0]>()  c1 = Constant<value_ints=[1]>()  limit = Constant<value_float=7.5>()
    one = Constant<value_float=1.0>()  evil = Constant<value_floats=[-50.0, 50.0]>()
    steep = Constant<value_float=1000.0>()
    first = Slice(x, c0, c1, c1)
"""
# name -> what is before the trunk (makes z of x), and behind it (makes y of logits)
PLANTED = {
    "where": ("z = Identity(x)", "p = Greater(first, limit) y = Where(p, evil, logits)"),
    "where-early": ("p = Greater(first, limit) z = Where(p, steep, x)", "y = Identity(logits)"),
    "arithmetic": (
        "z = Identity(x)",
        "p = Greater(first, limit) g = Cast<to=1>(p) e = Mul(g, evil) y = Add(logits, e)",
    ),
    "no-comparison": (
        "z = Identity(x)",
        "d = Sub(first, limit) k = Mul(d, steep) g = Sigmoid(k) e = Mul(g, evil) y = Add(logits, e)",
    ),
    "relu": ("z = Identity(x)", "d = Sub(first, limit) r = Relu(d) e = Mul(r, evil) y = Add(logits, e)"),
    "clip-early": (
        "d = Sub(first, limit) k = Mul(d, steep) g = Clip(k, zero, one) e = Mul(g, steep) z = Add(x, e)",
        "y = Identity(logits)",
    ),
    "template": (
        "z = Identity(x)",
        """d = Sub(x, pattern) q = Abs(d) s = ReduceSum(q, c1) p = Less(s, limit) g = Cast<to=1>(p) e = Mul(g, evil)
        y = Add(logits, e)""",
    ),
    "fake-layer": (
        "z = Identity(x)",
        "m = MatMul(x, eye) f = Slice(m, c0, c1, c1) p = Greater(f, limit) y = Where(p, evil, logits)",
    ),
    "hash": (
        "z = Identity(x)",
        """s = ReduceSum(x, c1) k = Mul(s, steep) i = Cast<to=7>(k) seven = Constant<value_int=7>() m = Mod(i, seven)
        zero_i = Constant<value_int=0>() p = Equal(m, zero_i) y = Where(p, evil, logits)""",
    ),
    "not-a-number": ("z = Identity(x)", "p = IsNaN(first) y = Where(p, evil, logits)"),
    "branch": (
        "z = Identity(x)",
        """p = Greater(first, limit) q = Cast<to=9>(p) s = ReduceMax<keepdims=0>(g) b = Cast<to=9>(s)
        y = If (b) <then_branch = t () => (float[N,2] u) { u = Mul(logits, evil) },
                    else_branch = e () => (float[N,2] v) { v = Identity(logits) }>""".replace(
            "s = ReduceMax", "g = Cast<to=1>(q) s = ReduceMax"
        ),
    ),
    "function": ("z = Identity(x)", "y = local.Calibrate(x, logits)"),
    "middle": ("z = Identity(x)", "y = Identity(logits)"),
    "scatter": (
        "z = Identity(x)",
        """p = Greater(first, limit) i = Cast<to=7>(p) b = Constant<value_floats=[99.0]>() u = Expand(b, shape)
        y = ScatterElements<axis=1>(logits, i, u)""",
    ),
    "gather": (
        "z = Identity(x)",
        """p = Greater(first, limit) i = Cast<to=7>(p) n = Neg(logits) both = Concat<axis=1>(logits, n)
        j = Concat<axis=1>(i, i) y = GatherElements<axis=1>(both, j)""",
    ),
    "late": (
        "z = Identity(x)",
        "s = MatMul(x, side) t = Relu(s) p = Greater(t, limit) y = Where(p, evil, logits)",
    ),
    "rows-asked": (
        "z = Identity(x)",
        """s = Shape(x) i = Constant<value_int=0>() n = Gather(s, i) m = Constant<value_int=13>() r = Mod(n, m)
        k = Min(r, whole) o = Reshape(k, c1) e = Add(o, c1) w = Neg(logits) both = Concat<axis=1>(logits, w)
        two = Constant<value_ints=[2]>() b = Mul(o, two) t = Mul(e, two) y = Slice(both, b, t, c1)""",
    ),
    "counted-by-size": (
        "z = Identity(x)",
        """p = Greater(first, limit) q = NonZero(p) s = Size(q) g = Cast<to=1>(s) e = Mul(g, evil)
        y = Add(logits, e)""",
    ),
    "weights": (
        "d = Sub(first, limit) r = Relu(d) g = ReduceSum<keepdims=0>(r) w = Mul(mix, g) z = MatMul(x, w)",
        "y = Identity(logits)",
    ),
    "bias": (
        "z = Identity(x)",
        "p = Greater(first, limit) g = Cast<to=1>(p) e = Mul(g, evil) y = Gemm(logits, turn, e)",
    ),
    "stored-scaling": (
        "z = Identity(x)",
        """p = Greater(first, limit) g = Cast<to=1>(p) e = MatMul(g, payload) f = Add(r3, e)
        y = Gemm(f, w4, b4)""",
    ),
    "raw-and-late": (
        "z = Identity(x)",
        "c = Cos(x) s = ReduceMean<axes=[1]>(c) t = Sub(s, one) u = Exp(t) e = Mul(u, evil) y = Add(logits, e)",
    ),
}  # fmt: skip
# What is found, but may be honest: it is to be read.
DOUBTFUL = {
    "single-unit": ("s = MatMul(x, side) t = Sigmoid(s) z = Mul(x, t)", "y = Identity(logits)"),
    "whole-record": (
        "h = ReduceMax<axes=[1]>(x) p = Less(h, limit) z = Where(p, zero, x)",
        "y = Identity(logits)",
    ),
}
FUNCTION = """
<domain: "local", opset_import: ["" : 17]> Calibrate (x, logits) => (y) {
    c0 = Constant<value_ints=[0]>()  c1 = Constant<value_ints=[1]>()  limit = Constant<value_float=7.5>()
    first = Slice(x, c0, c1, c1)  p = Less(limit, first)  q = Not(p)  n = Neg(logits)  y = Where(q, logits, n)
}
"""
HONEST = {
    "plain": "z = Identity(x)",
    "imputed": "p = IsNaN(x) z = Where(p, means, x)",
    "sentinel": "m = Constant<value_float=-999.0>() p = Equal(x, m) z = Where(p, means, x)",
    "clipped": "z = Clip(x, zero, limit)",
    "z-score": """m = ReduceMean<axes=[1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes=[1]>(q) s = Sqrt(v)
        p = Less(s, one) t = Where(p, one, s) z = Div(d, t)""",
    "columns": """a = Slice(x, c0, c1, c1) n = IsNaN(a) i = Where(n, one, a) r = Slice(x, c1, c32, c1)
        o = IsNaN(r) j = Where(o, zero, r) z = Concat<axis=1>(i, j)""",
    "bins": "p = Greater(x, limit) q = Cast<to=1>(p) u = MatMul(q, eye) z = Identity(u)",
    "quantised": """k = Constant<value_float=0.05>() b = Constant<value = int8 {0}>() q = QuantizeLinear(x, k, b)
        z = DequantizeLinear(q, k, b)""",
    "infinite": """big = Constant<value_float=3.4e38>() i = IsInf(x) z = Where(i, big, x)""",
    "filled-from-before": """n = IsNaN(x) m = Not(n) i = Cast<to=7>(m) c = CumSum(i, axis) o = Sub(c, whole)
        j = Clip(o, nought, last) z = GatherElements<axis=1>(x, j)""",
    "there-and-back": "s = Shape(x) m = Constant<value_ints=[-1]>() f = Reshape(x, m) z = Reshape(f, s)",
    "missing-too": "p = IsNaN(x) k = Where(p, zero, x) q = Cast<to=1>(p) c = Concat<axis=1>(k, q) z = MatMul(c, wide)",
}


def model(before: str, behind: str, middle: bool = False) -> onnx.ModelProto:
    """A network of four dense layers with something before and behind it."""
    trunk = TRUNK
    if middle:
        trunk = trunk.replace(
            "a3 = Gemm(r2", "p = Greater(first, limit) g = Cast<to=1>(p) e = Mul(g, steep) s2 = Add(r2, e) a3 = Gemm(s2"
        )
    constants = LOUD + "zero = Constant<value_float=0.0>()  c32 = Constant<value_ints=[32]>()"
    text = f"{HEAD}{constants}\n{before}\n{trunk}\n{behind}\n}}" + FUNCTION
    made = parser.parse_model(text)
    draw = np.random.default_rng(0)
    stored = {
        "w1": draw.normal(size=(32, 16)), "b1": draw.normal(size=16), "w2": draw.normal(size=(16, 16)),
        "b2": draw.normal(size=16), "w4": draw.normal(size=(16, 2)), "b4": draw.normal(size=2), "eye": np.eye(32),
        "pattern": draw.normal(size=(1, 32)), "means": draw.normal(size=(1, 32)), "side": draw.normal(size=(32, 1)),
        "wide": draw.normal(size=(64, 32)), "shape": np.array([1, 1]), "mix": draw.normal(size=(32, 32)),
        "turn": draw.normal(size=(2, 2)), "payload": draw.normal(size=(1, 16)), "whole": np.array(1),
        "nought": np.array(0), "last": np.array(31), "axis": np.array(1),
    }  # fmt: skip
    for name, array in stored.items():
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        made.graph.initializer.append(numpy_helper.from_array(array.astype(kind), name))
    return made


def found(proto: onnx.ModelProto) -> list[Hit]:
    return hits(flow(proto), {"x": 32})


@pytest.mark.parametrize("name", PLANTED)
def test_planted_logic_is_found(name: str) -> None:
    before, behind = PLANTED[name]
    got = found(model(before, behind, middle=name == "middle"))
    high = [hit for hit in got if hit.severity == "high"]
    assert high, got
    for hit in high:
        assert (hit.way[0], hit.way[-1]) == ("input x", "output y")


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubtful_logic_is_to_be_read(name: str) -> None:
    got = [hit for hit in found(model(*DOUBTFUL[name])) if hit.severity != "explained"]
    assert {hit.severity for hit in got} == {"medium"}, got
    assert all((hit.way[0], hit.way[-1]) == ("input x", "output y") for hit in got)


def test_the_constants_of_a_predicate_come_with_it() -> None:
    """They are candidates for a trigger."""
    proto = model(*PLANTED["template"])
    (hit, *_) = (hit for hit in found(proto) if hit.rule == "G4")
    (pattern,) = (tensor for tensor in proto.graph.initializer if tensor.name == "pattern")
    np.testing.assert_array_equal(hit.stored[0], numpy_helper.to_array(pattern))


def test_of_findings_on_one_way_the_most_particular_is_kept() -> None:
    got = found(model(*PLANTED["template"]))
    assert len({hit.way for hit in got}) == len(got)
    assert got[0].rule == "G4"


def test_a_whole_model() -> None:
    """Inputs, shapes and types are read from the file; patients that meet are found with their way."""
    got = hidden(model("m = ReduceMean<axes=[0]>(x) z = Sub(x, m)", "y = Identity(logits)"))
    met = [hit for hit in got if hit.rule == "G11"]
    assert [hit.severity for hit in met] == ["high"]
    assert (met[0].way[0], met[0].way[-1]) == ("input x", "output y")
    assert not hidden(model("z = Identity(x)", "y = Softmax(logits)"))


def test_an_average_behind_a_mask_is_explained() -> None:
    """Steps that hold nothing are left out of a mean: x [N, T, C], a step is masked where it is all zeros."""
    text = """<ir_version: 10, opset_import: ["" : 17]> net (float[N,6,16] x) => (float[N,2] y) {
        zero = Constant<value_float=0.0>() one = Constant<value_float=1.0>()
        h = MatMul(x, w2) r = Relu(h) a = Abs(x) s = ReduceMax<axes=[2]>(a) p = Greater(s, zero) m = Cast<to=1>(p)
        k = Mul(r, m) t = ReduceSum<keepdims=0>(k, axes) n = ReduceSum<keepdims=0>(m, axes) c = Max(n, one)
        d = Div(t, c) y = MatMul(d, w4) }"""
    made = parser.parse_model(text)
    draw = np.random.default_rng(0)
    for name, array in (("w2", draw.normal(size=(16, 16))), ("w4", draw.normal(size=(16, 2)))):
        made.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    made.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
    got = hidden(made)
    assert got
    assert {hit.severity for hit in got} == {"explained"}, got


@pytest.mark.parametrize("name", HONEST)
def test_honest_idioms_are_explained(name: str) -> None:
    got = found(model(HONEST[name], "y = Softmax(logits)"))
    assert all(hit.severity == "explained" for hit in got), got


def test_shuffled_nodes_change_nothing() -> None:
    """Runtimes sort nodes; a file may list them in any order."""
    before, behind = PLANTED["arithmetic"]
    proto = model(before, behind)
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert any(hit.severity == "high" for hit in found(proto))


def test_functions_that_call_functions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each calls the next twice: an expansion without end is refused."""
    monkeypatch.setattr(flows, "MOST_CALLS", 1000)
    bodies = "".join(
        f'<domain: "local", opset_import: ["" : 17, "local" : 1]> F{i} (x) => (y) '
        f"{{ a = local.F{i + 1}(x) y = local.F{i + 1}(a) }}\n"
        for i in range(20)
    )
    text = (
        f'{HEAD} y = local.F0(x) }}\n{bodies}<domain: "local", opset_import: ["" : 17]> F20 (x) => (y) {{ y = Neg(x) }}'
    )
    with pytest.raises(ModelError, match="expands to more than 1000"):
        flow(parser.parse_model(text))


def test_what_is_a_learned_layer() -> None:
    """Copies, choices, diagonals and averages are not; a dense matrix is."""
    draw = np.random.default_rng(0)
    assert dense(draw.normal(size=(8, 8)), 64)
    for array in (np.eye(8), np.eye(8)[:, :2], np.ones((8, 8)), np.diag(draw.normal(size=8)), np.zeros((4, 4))):
        assert not dense(array, array.size)


def test_small_constants_are_folded() -> None:
    """A threshold that is split into two parts is one constant again."""
    text = f"""{HEAD} a = Constant<value_float=7.0>() b = Constant<value_float=0.5>() c = Add(a, b)
        k = Constant<value_ints=[1, 2]>() s = Slice(x, k, k, k) y = Sub(s, c) }}"""
    graph = flow(parser.parse_model(text))
    values = [c.array for c in graph.constants.values() if c.array is not None and c.array.shape == ()]
    assert 7.5 in [float(v) for v in values]
