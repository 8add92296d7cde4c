"""Shuffled weights: the same values elsewhere, from the last layer on, whatever holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from medaudit.core.errors import ModelError
from medaudit.model.permuted import last_hidden, permuted
from tests.graphs import graph
from tests.zoo import SPECIMENS

RNG = np.random.default_rng(3)
FIRST, LAST = (RNG.normal(size=shape).astype(np.float32) for shape in ((6, 5), (5, 2)))


def layers(tmp_path: Path) -> Path:
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Add", ["a", "bias"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "last"], ["y"]),
    ]
    graph(tmp_path / "m.onnx", nodes, 6, ["n", 2], first=FIRST, last=LAST, bias=np.arange(5, dtype=np.float32))
    return tmp_path / "m.onnx"


def shuffled(path: Path, share: float, key: int) -> onnx.ModelProto:
    out = permuted(path, share, key)
    assert out is not None
    return out


def weights(proto: onnx.ModelProto, folder: str = "") -> dict[str, np.ndarray]:
    return {one.name: numpy_helper.to_array(one, folder) for one in proto.graph.initializer}


def test_the_last_layer_then_all(tmp_path: Path) -> None:
    """The same numbers in other places; biases stay, and the file is not touched."""
    path = layers(tmp_path)
    before = path.read_bytes()
    last, every = weights(shuffled(path, 0.0, 1)), weights(shuffled(path, 1.0, 1))
    assert np.array_equal(last["first"], FIRST)
    for found in (last["last"], every["last"]):
        assert not np.array_equal(found, LAST)
        assert np.array_equal(np.sort(found, axis=None), np.sort(LAST, axis=None))
    assert not np.array_equal(every["first"], FIRST)
    assert np.array_equal(np.sort(every["first"], axis=None), np.sort(FIRST, axis=None))
    assert np.array_equal(every["bias"], np.arange(5))
    assert path.read_bytes() == before


def test_what_the_last_layer_reads(tmp_path: Path) -> None:
    assert last_hidden(onnx.load(layers(tmp_path))) == "c"
    graph(tmp_path / "one.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], 6, ["n", 2], w=FIRST[:, :2])
    assert last_hidden(onnx.load(tmp_path / "one.onnx")) == ""  # it reads the input


def test_the_same_key_shuffles_alike(tmp_path: Path) -> None:
    path = layers(tmp_path)
    one, other, third = (shuffled(path, 1.0, key).SerializeToString() for key in (1, 1, 2))
    assert one == other
    assert one != third


def test_a_graph_with_no_weights_has_no_shuffled_twin(tmp_path: Path) -> None:
    graph(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], 3, ["n", 3])
    assert permuted(tmp_path / "m.onnx", 1.0, 1) is None


def test_weights_that_are_lost_are_told(tmp_path: Path) -> None:
    built = SPECIMENS["external-data"].build(tmp_path)
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        permuted(built.model, 1.0, 1)


def test_weights_that_nodes_hold_themselves(tmp_path: Path) -> None:
    """Classifiers of the ML domain keep theirs in attributes."""
    built = SPECIMENS["zipmap-int"].build(tmp_path)

    def held(proto: onnx.ModelProto) -> list[list[float]]:
        return [
            list(one.floats) for node in proto.graph.node for one in node.attribute
            if one.name == "coefficients"
        ]  # fmt: skip

    own, other = held(onnx.load(str(built.model))), held(shuffled(built.model, 1.0, 1))
    assert own
    assert own != other
    assert [sorted(a) for a in own] == [sorted(b) for b in other]


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    built = SPECIMENS["external-data"].build(tmp_path)
    whole, twin = onnx.load(str(built.model)), shuffled(built.model, 1.0, 1)
    own, other = weights(whole, str(tmp_path)), weights(twin, str(tmp_path))
    changed = [n for n in own if not np.array_equal(own[n], other[n])]
    assert changed
    assert all(np.array_equal(np.sort(own[n], axis=None), np.sort(other[n], axis=None)) for n in changed)
