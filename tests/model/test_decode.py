"""Whatever form the exporter chose becomes one float32 array per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medaudit.core.errors import ModelError
from medaudit.core.interface import Output
from medaudit.model.decode import decode

THREE = ("a", "b", "c")
FED: dict[str, Any] = {"x": np.zeros((2, 4), dtype=np.float32)}


@pytest.mark.parametrize(
    ("output", "raw", "expected"),
    [
        (
            Output("multiclass", ("y",), classes=THREE),
            [[[1, 2, 3], [4, 5, 6]]],
            [[1, 2, 3], [4, 5, 6]],
        ),
        (Output("binary", ("y",), thresholds=(0.5,)), [[0.25, 0.75]], [[0.25], [0.75]]),
        (Output("binary", ("y",), thresholds=(0.5,)), [[[0.25], [0.75]]], [[0.25], [0.75]]),
        (Output("regression", ("y",), units=("", "")), [[[1, 2], [3, 4]]], [[1, 2], [3, 4]]),
        (
            Output("multiclass", ("a", "b", "c"), classes=THREE),
            [[1, 2], [[3], [4]], [5, 6]],
            [[1, 3, 5], [2, 4, 6]],
        ),
    ],
)
def test_numbers(output: Output, raw: list[Any], expected: list[Any]) -> None:
    """Flat, in a column, or one output per class; any float type."""
    for kind in (np.float32, np.float64, np.float16):
        values = [np.array(v, dtype=kind) for v in raw]
        found = decode(output, values, FED)
        assert found.dtype == np.float32
        assert found.flags["C_CONTIGUOUS"]
        assert found.tolist() == expected


def test_dictionaries() -> None:
    """Maps per row, by key and not by order; a key that is not there is no number."""
    rows = [{1: 0.25, 0: 0.75}, {0: 0.5, 1: 0.5}]
    output = Output("multiclass", ("y",), classes=("n", "p"), labels=(0, 1))
    assert decode(output, [rows], FED).tolist() == [[0.75, 0.25], [0.5, 0.5]]
    words = [{"p": 0.25, "n": 0.75}, {"n": 1.0}]
    output = Output("multiclass", ("y",), classes=("n", "p"), labels=("n", "p"))
    found = decode(output, [words], FED)
    assert np.array_equal(found, [[0.75, 0.25], [1, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("labels", "raw"),
    [
        ((0, 1, 2), np.array([2, 0, 9], dtype=np.int64)),
        ((0, 1, 2), np.array([[2], [0], [9]], dtype=np.int32)),
        ((0, 1, 2), np.array([2.0, 0.0, 9.0], dtype=np.float32)),
        ((10, 20, 30), np.array([30, 10, 2], dtype=np.int64)),
        (("x", "y", "z"), np.array(["z", "x", "q"], dtype=object)),
        (("x", "y", "z"), np.array([b"z", b"x", b"q"], dtype=object)),
    ],
)
def test_labels(labels: tuple[Any, ...], raw: Any) -> None:
    """The graph's own names become class indices; an unknown one is no class."""
    output = Output("label", ("y",), "labels", THREE, labels)
    assert decode(output, [raw], FED).tolist() == [[2], [0], [-1]]


def test_masks() -> None:
    """Classes come first, positions after, wherever the graph has the classes."""
    first = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    output = Output("segmentation", ("y",), classes=THREE, class_axis=1, positions=4)
    assert np.array_equal(decode(output, [first], FED), first.reshape(2, 12))
    last = Output("segmentation", ("y",), classes=THREE, class_axis=3, positions=4)
    moved = np.moveaxis(first, 1, 3)
    assert np.array_equal(decode(last, [moved], FED), first.reshape(2, 12))
    flat = Output("segmentation", ("y",), thresholds=(0.5,), class_axis=0, positions=4)
    assert decode(flat, [first[:, :1]], FED).shape == (2, 4)


def test_reconstruction() -> None:
    """Root mean square of what was rebuilt against what was fed."""
    fed = {"x": np.array([[0, 0], [3, 4]], dtype=np.float32)}
    rebuilt = np.array([[3, 4], [3, 4]], dtype=np.float32)
    found = decode(Output("reconstruction", ("y",), "values"), [rebuilt], fed)
    assert found.tolist() == [[pytest.approx(np.sqrt(12.5))], [0]]


def test_wrong_width() -> None:
    """A model that answers another number of values says so in one sentence."""
    output = Output("multiclass", ("y",), classes=THREE)
    with pytest.raises(ModelError, match="has 2 numbers per row, 3 were expected"):
        decode(output, [np.zeros((2, 2), dtype=np.float32)], FED)
