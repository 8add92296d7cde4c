"""Graphs in which patients meet are told from those in which each row is alone."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper, parser

from medaudit.model.flow import flow
from medaudit.model.mixing import meetings

HEAD = '<ir_version: 10, opset_import: ["" : 17]> net (float[N,8] x) => (float[N,2] y) {'
CONSTANTS = """
    c0 = Constant<value_ints=[0]>()  c1 = Constant<value_ints=[1]>()  many = Constant<value_int=9223372036854775807>()
    end = Constant<value_ints=[9223372036854775807]>()  three = Constant<value_ints=[-1, 2, 4]>()
    flat = Constant<value_ints=[-1, 8]>()
"""
ALONE = {
    "dense": "y = Gemm(x, w)",
    "z-score": "m = ReduceMean<axes=[1]>(x) d = Sub(x, m) y = Gemm(d, w)",
    "attention": """r = Reshape(x, three) t = Transpose<perm=[0, 2, 1]>(r) s = MatMul(r, t) p = Softmax<axis=-1>(s)
        v = MatMul(p, r) f = Reshape(v, flat) y = Gemm(f, w)""",
    "recurrent": """r = Reshape(x, three) t = Transpose<perm=[1, 0, 2]>(r) a, h = GRU<hidden_size=2>(t, gw, gr)
        y = Squeeze(h, c0)""",
    "columns": "a = Slice(x, c0, c1, c1) b = Slice(x, c1, end, c1) c = Concat<axis=1>(b, a) y = Gemm(c, w)",
    "looked up": """one = Constant<value_ints=[1]>() a = Slice(x, c0, c1, c1) f = Squeeze(a, one) i = Cast<to=7>(f)
        t = Constant<value_floats=[0.5, 0.7]>() v = Gather(t, i) n = Unsqueeze(v, one) g = Gemm(x, w) y = Mul(g, n)""",
    "there and back": "s = Shape(x) m = Constant<value_ints=[-1]>() f = Reshape(x, m) r = Reshape(f, s) y = Gemm(r, w)",
    "all columns": """i = Constant<value_ints=[2147483647, 1]>() o = Constant<value_ints=[0, 0]>()
        k = Constant<value_ints=[0, 1]>() a = Slice(x, o, i, k) g = Gemm(x, w) y = Add(g, a)""",
    "classes": "g = Gemm(x, w) y = Softmax<axis=1>(g)",
}
MEETING = {
    "mean of all": "m = ReduceMean<axes=[0]>(x) d = Sub(x, m) y = Gemm(d, w)",
    "of everything": "m = ReduceMax<keepdims=0>(x) d = Sub(x, m) y = Gemm(d, w)",
    "the first one": "f = Slice(x, c0, c1, c0) d = Add(x, f) y = Gemm(d, w)",
    "one by number": "f = Gather<axis=0>(x, c0) d = Add(x, f) y = Gemm(d, w)",
    "sum on the way": "z = Constant<value_int=0>() s = CumSum(x, z) y = Gemm(s, w)",
    "softmax": "g = Gemm(x, w) y = Softmax<axis=0>(g)",
    "each with each": "t = Transpose(x) s = MatMul(x, t) v = MatMul(s, x) y = Gemm(v, w)",
    "turned": "t = Transpose(x) m = ReduceMax<axes=[1]>(t) u = Transpose(m) d = Sub(x, u) y = Gemm(d, w)",
    "walk": "r = Reshape(x, three) a, h = GRU<hidden_size=2>(r, gw, gr) q = Squeeze(h, c0) y = Add(q, q)",
    "sorted": "k = Constant<value_ints=[1]>() v, i = TopK<axis=0>(x, k) d = Sub(x, v) y = Gemm(d, w)",
}


def found(body: str) -> list[str]:
    proto = parser.parse_model(f"{HEAD}{CONSTANTS}{body} }}")
    draw = np.random.default_rng(0)
    for name, shape in {"w": (8, 2), "gw": (1, 6, 4), "gr": (1, 6, 2)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(draw.normal(size=shape).astype(np.float32), name))
    return [met.text for met in meetings(flow(proto), {"x": 2})]


@pytest.mark.parametrize("name", ALONE)
def test_rows_that_stay_alone(name: str) -> None:
    assert found(ALONE[name]) == []


@pytest.mark.parametrize("name", MEETING)
def test_patients_that_meet(name: str) -> None:
    assert found(MEETING[name])
