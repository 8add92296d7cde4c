"""Points and tensors: every type, every order of axes, against transposing by name."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.model.codec import Codec, spread, stored_to_points

Array = NDArray[Any]
SIZES = {
    "channel": 3, "row": 4, "column": 5, "lead": 3, "time": 7, "variable": 4, "hour": 6,
    "feature": 5, "one": 1,
}  # fmt: skip
NAMED = {
    "image": ("channel", "row", "column"),
    "signal": ("lead", "time"),
    "sequence": ("variable", "hour"),
    "table": ("feature",),
}
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def orders(domain: str) -> list[tuple[str, ...]]:
    """All orders of a domain's axes, with and without an axis of one in every place."""
    out = []
    for order in itertools.permutations(NAMED[domain]):
        out.append(("batch", *order))
        out += [("batch", *order[:i], "one", *order[i:]) for i in range(len(order) + 1)]
    return out


PAIRS = [(d, a, s) for d in NAMED for a in orders(d) for s in orders(d)]


def by_name(array: Array, stored: tuple[str, ...], axes: tuple[str, ...]) -> Array:
    """An array moved from one order of named axes to another."""
    plain = [a for a in stored if a != "one"]
    array = array.reshape([n for n, a in zip(array.shape, stored, strict=True) if a != "one"])
    array = array.transpose([plain.index(a) for a in axes if a != "one"])
    return array.reshape([1 if a == "one" else n for a, n in expand(array.shape, axes)])


def expand(shape: tuple[int, ...], axes: tuple[str, ...]) -> list[tuple[str, int]]:
    """Axes with their lengths; axes of one have none in `shape`."""
    lengths = iter(shape)
    return [(a, 1 if a == "one" else next(lengths)) for a in axes]


def item_of(domain: str, axes: tuple[str, ...], stored: tuple[str, ...], dtype: str) -> Input:
    """An input of a domain."""
    shape = tuple(SIZES[a] for a in axes[1:])
    channels = tuple(Channel(f"c{i}") for i in range(SIZES[NAMED[domain][0]]))
    return Input("x", dtype, domain, axes, shape, stored, channels=channels)


def stored_rows(stored: tuple[str, ...], seed: int = 0, rows: int = 3) -> Array:
    """Whole numbers that every type can hold."""
    shape = [rows, *(SIZES[a] for a in stored[1:])]
    return np.random.default_rng(seed).integers(0, 100, shape).astype(np.float32)


def face(*items: Input) -> Interface:
    """An interface with nothing behind it."""
    return Interface(items, Output("regression", ()))


@pytest.mark.parametrize("domain", NAMED)
def test_every_order_of_axes(domain: str) -> None:
    """Stored in any order, fed in any order: the same as transposing by name."""
    for _, axes, stored in (p for p in PAIRS if p[0] == domain):
        rows = stored_rows(stored)
        one = face(item_of(domain, axes, stored, "float32"))
        points = stored_to_points(one, {"x": rows})
        assert points.shape == (3, one.size)
        fed = Codec(one).encode(points)["x"]
        assert np.array_equal(fed, by_name(rows, stored, axes)), (axes, stored)
        assert np.array_equal(Codec(one).round_trip(points), points)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("domain", NAMED)
def test_every_type(domain: str, dtype: str) -> None:
    """Cast, scaled, transposed; whole numbers come back exactly."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    for axes in orders(domain)[:3]:
        stored = orders(domain)[-1]
        one = face(item_of(domain, axes, stored, dtype))
        rows = stored_rows(stored)
        points = stored_to_points(one, {"x": rows})
        fed = Codec(one).encode(points)["x"]
        assert fed.dtype.name == dtype
        assert fed.flags["C_CONTIGUOUS"]
        assert np.array_equal(fed.astype(np.float32), by_name(rows, stored, axes))
        assert np.array_equal(Codec(one).round_trip(points), points)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("domain", NAMED)
def test_scaling(domain: str, dtype: str) -> None:
    """(stored - minus) / over, one for all or one per channel; the way back undoes it."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    channel, n = NAMED[domain][0], SIZES[NAMED[domain][0]]
    for minus, over in (((3.0,), (7.0,)), (tuple(range(n)), tuple(2.0**i for i in range(n)))):
        axes, stored = orders(domain)[-2], orders(domain)[1]
        item = dataclasses.replace(item_of(domain, axes, stored, dtype), minus=minus, over=over)
        one, rows = face(item), stored_rows(stored)
        points = stored_to_points(one, {"x": rows})
        fed = Codec(one).encode(points)["x"].astype(np.float64)
        place = axes.index(channel)
        form = [-1 if i == place else 1 for i in range(len(axes))]
        low, size = (np.array(v, dtype=np.float64).reshape(form) for v in (minus, over))
        expected = (by_name(rows, stored, axes) - low) / size
        precision = {"float32": 1e-6, "float64": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[dtype]
        assert np.allclose(fed, expected, rtol=precision, atol=precision)
        back = Codec(one).round_trip(points)
        assert np.allclose(back, points, rtol=precision, atol=precision * max(over) * 2)


@given(
    values=st.lists(st.floats(-400, 400, width=32), min_size=5, max_size=5),
    dtype=st.sampled_from(INTEGERS),
)
def test_whole_numbers_round_and_stop_at_their_ends(values: list[float], dtype: str) -> None:
    """Half to even, never around the corner."""
    axes = ("batch", "feature")
    one = face(item_of("table", axes, axes, dtype))
    fed = Codec(one).encode(np.array([values], dtype=np.float32))["x"]
    limits = np.iinfo(dtype)
    expected = [min(max(round(v), limits.min), limits.max) for v in values]
    assert fed[0].tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
def test_numbers_beyond_a_type_end_at_its_ends(dtype: str) -> None:
    """Infinity and huge numbers become the largest whole number, nothing becomes its negative."""
    axes = ("batch", "feature")
    one = face(item_of("table", axes, axes, dtype))
    points = np.array([[np.inf, 3e38, -np.inf, -3e38, np.nan]], dtype=np.float32)
    fed = Codec(one).encode(points)["x"][0]
    limits = np.iinfo(dtype)
    assert (fed[:2] > limits.max // 2).all()
    assert (fed[2:4] == limits.min).all()
    assert fed[4] == 0


@given(values=st.lists(st.floats(-300, 300, width=32), min_size=5, max_size=5))
def test_round_trip_shows_the_input_precision(values: list[float]) -> None:
    """float16: a round trip moves a point by at most half a step of float16, and only once."""
    axes = ("batch", "feature")
    one = face(item_of("table", axes, axes, "float16"))
    points = np.array([values], dtype=np.float32)
    once = Codec(one).round_trip(points)
    step = np.spacing(np.abs(points).astype(np.float16)).astype(np.float64)
    assert np.all(np.abs(once - points) <= step / 2)
    assert np.array_equal(Codec(one).round_trip(once.astype(np.float32)), once)


def test_booleans() -> None:
    """Above one half is true."""
    axes = ("batch", "feature")
    one = face(item_of("table", axes, axes, "bool"))
    fed = Codec(one).encode(np.array([[0, 0.4, 0.6, 1, np.nan]], dtype=np.float32))["x"]
    assert fed.dtype == np.bool_
    assert fed.tolist() == [[False, False, True, True, False]]


def test_text() -> None:
    """Categories are indices in a point; unknown and missing ones are the empty text."""
    axes = ("batch", "feature")
    sex = Channel("sex", kind="category", categories=("female", "male"))
    ward = Channel("ward", kind="category", categories=("a", "b", "c"))
    item = Input("x", "string", "table", axes, (2,), axes, channels=(sex, ward))
    rows = np.array([["male", "c"], ["female", "zzz"]])
    points = stored_to_points(face(item), {"x": rows})
    assert np.array_equal(points, [[1, 2], [0, np.nan]], equal_nan=True)
    fed = Codec(face(item)).encode(points)["x"]
    assert fed.dtype == object
    assert fed.tolist() == [["male", "c"], ["female", ""]]
    wild = np.array([[5, -1]], dtype=np.float32)
    assert Codec(face(item)).encode(wild)["x"].tolist() == [["", ""]]
    back = Codec(face(item)).round_trip(points)
    assert np.array_equal(back, points, equal_nan=True)


def test_several_inputs() -> None:
    """Points are the inputs side by side, each with a type and an order of its own."""
    hourly, stored = ("batch", "hour", "variable"), ("batch", "variable", "hour")
    first = dataclasses.replace(
        item_of("sequence", hourly, stored, "float64"), name="series", minus=(1.0,), over=(2.0,)
    )
    axes = ("batch", "feature")
    second = dataclasses.replace(item_of("table", axes, axes, "int64"), name="static")
    one = face(first, second)
    series, static = stored_rows(first.stored_axes), stored_rows(axes, 1)
    points = stored_to_points(one, {"series": series, "static": static})
    assert points.shape == (3, 24 + 5)
    feeds = Codec(one).encode(points)
    assert feeds["series"].dtype == np.float64
    assert np.allclose(feeds["series"], (series.transpose(0, 2, 1) - 1) / 2)
    assert feeds["static"].dtype == np.int64
    assert np.array_equal(feeds["static"], static)
    assert np.allclose(Codec(one).round_trip(points), points)


def test_missing_numbers_stay_missing() -> None:
    """NaN is fed as NaN, scaled or not."""
    axes = ("batch", "feature")
    for over in (1.0, 2.0):
        item = dataclasses.replace(item_of("table", axes, axes, "float32"), over=(over,))
        points = np.array([[1, np.nan, 3, 4, 5]], dtype=np.float32)
        fed = Codec(face(item)).encode(points)["x"]
        assert np.isnan(fed[0, 1])
        assert np.isfinite(fed[0, [0, 2, 3, 4]]).all()


def test_spread_per_channel() -> None:
    """One value per channel, along the right side."""
    item = item_of("image", ("batch", "row", "column", "channel"), (), "float32")
    assert spread(item, np.array([1, 2, 3])).tolist() == [1] * 20 + [2] * 20 + [3] * 20
    assert spread(item, np.array([4])).tolist() == [4] * 60


def test_points_are_not_written_to() -> None:
    """Encoding leaves its argument alone."""
    axes = ("batch", "feature")
    for dtype in ("float32", "float16", "int64", "bool"):
        points = stored_rows(axes)
        points.flags.writeable = False
        one = face(dataclasses.replace(item_of("table", axes, axes, dtype), minus=(1.0,)))
        Codec(one).encode(points)
        Codec(one).round_trip(points)
