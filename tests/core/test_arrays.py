"""Trees of arrays, lanes taken and put, and selection under a mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from medaudit.core import arrays


class Leafy(NamedTuple):
    """A tree with everything a tree may hold."""

    a: Any
    inner: Any
    nothing: Any = None


def tree(start: int, lanes: int = 3) -> Leafy:
    """A tree of three arrays whose first axis is lane."""
    wide = np.arange(start, start + 2 * lanes, dtype=np.float32).reshape(lanes, 2)
    return Leafy(wide, Leafy(wide[:, 0].astype(np.int64), wide[:, 1] > 3))


def test_leaves_in_order() -> None:
    """Arrays in field order; None holds none."""
    found = arrays.leaves(tree(0))
    assert [leaf.dtype for leaf in found] == [np.float32, np.int64, np.bool_]
    assert arrays.leaves(None) == []


def test_map_keeps_the_form() -> None:
    """The tree's own types, None where None was."""
    moved = arrays.map_tree(lambda a, b: a + b, tree(0), tree(10))
    assert isinstance(moved, Leafy)
    assert isinstance(moved.inner, Leafy)
    assert moved.nothing is None
    assert np.array_equal(moved.a, tree(0).a + tree(10).a)


def test_concat_then_take_gives_back() -> None:
    """Lanes after lanes; taking them returns each part to the bit."""
    both = arrays.concat([tree(0), tree(10, 2)])
    parts = (arrays.take(both, np.arange(3)), arrays.take(both, np.arange(3, 5)))
    for part, expected in zip(parts, (tree(0), tree(10, 2)), strict=True):
        for a, b in zip(arrays.leaves(part), arrays.leaves(expected), strict=True):
            assert np.array_equal(a, b)
            assert a.dtype == b.dtype


def test_put_copies() -> None:
    """Rows are written to a copy; the last of equal indices is one of them."""
    a = np.zeros((4, 2), dtype=np.float32)
    a.flags.writeable = False
    out = arrays.put(a, np.array([3, 1]), np.array([[1, 2], [3, 4]], dtype=np.float32))
    assert out.tolist() == [[0, 0], [3, 4], [0, 0], [1, 2]]
    assert not a.any()


def test_put_where() -> None:
    """Only where kept; nothing to keep gives the array itself."""
    a = np.zeros((3, 1), dtype=np.float32)
    rows = np.array([[5], [6]], dtype=np.float32)
    kept = arrays.put_where(a, np.array([2, 0]), rows, np.array([False, True]))
    assert kept.tolist() == [[6], [0], [0]]
    assert arrays.put_where(a, np.array([2, 0]), rows, np.array([False, False])) is a


def test_rows_lent_are_selected_to_the_bit() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    a[1, 2], b[0, 1] = np.nan, -0.0
    which, lender, gone = np.array([0, 0, 2, 1, 1, 0]), rng.integers(0, 4, 6), rng.random((6, 5)) < 0.5
    got = arrays.lent(a, which, b, lender, -gone.astype(np.int32))
    assert got.tobytes() == np.where(gone, b[lender], a[which]).tobytes()


numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(
    mask=hn.arrays(np.bool_, (4, 6)),
    a=hn.arrays(np.float32, (4, 6), elements=numbers),
    b=hn.arrays(np.float32, (4, 6), elements=numbers),
)
def test_select_is_where_to_the_bit(mask: Any, a: Any, b: Any) -> None:
    """Every float, NaN and signed zero included; scalars spread; views are fine."""
    assert arrays.select(mask, a, b).tobytes() == np.where(mask, a, b).tobytes()
    turned = arrays.select(mask.T, a.T, b.T)
    assert np.ascontiguousarray(turned).tobytes() == np.where(mask, a, b).T.tobytes()
    one = np.full((1, 1), np.nan, dtype=np.float32)
    assert arrays.select(mask, one, b).tobytes() == np.where(mask, one, b).tobytes()
    assert arrays.select(mask, a, one).tobytes() == np.where(mask, a, one).tobytes()
    row = np.broadcast_to(mask[:1], mask.shape)
    assert arrays.select(row, a, b).tobytes() == np.where(row, a, b).tobytes()


def test_namespaces() -> None:
    """NumPy is its own namespace and native; devices name their library."""
    assert arrays.namespace(np.zeros(1)) is np
    assert arrays.native(np.zeros(1))
    assert not arrays.is_cuda(np.zeros(1))
    assert arrays.array_module("cpu") is np
    whole = np.zeros(2)
    assert arrays.to_numpy(whole) is whole


def test_mismatched_trees_are_refused() -> None:
    """Trees of different lengths are a fault, not a shorter tree."""
    with pytest.raises(ValueError, match="zip"):
        arrays.map_tree(lambda a, b: a, (np.zeros(1), np.zeros(1)), (np.zeros(1),))


@pytest.mark.parametrize("counts", [[], [0], [2, 0, 0, 3, 1, 0], [0, 0, 4]])
def test_repeat_each_and_overwrite_beyond_numpy(counts: list[int]) -> None:
    """What libraries get whose own way differs is what NumPy gives."""
    import array_api_strict as strict

    values, times = np.arange(len(counts)) * 10.0, np.array(counts, dtype=np.int64)
    expected = arrays.repeat_each(values, times)
    assert expected.tolist() == [v for v, n in zip(values, counts, strict=True) for _ in range(n)]
    got = arrays.repeat_each(strict.asarray(values), strict.asarray(times))
    np.testing.assert_array_equal(arrays.to_numpy(got), expected)
    base, places = np.zeros((2, 3), np.float32), np.array([5, 0])
    new = np.array([1, 2], np.float32)
    over = arrays.overwrite(strict.asarray(base), strict.asarray(places), strict.asarray(new))
    np.testing.assert_array_equal(arrays.to_numpy(over), arrays.overwrite(base, places, new))


def test_exchanged_is_where_row_by_row() -> None:
    """For points in any order, of which some come again; for no rows at all; NaN and -0 keep their bits."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(4, 9)).astype(np.float32) for _ in range(2))
    a[1, 2], b[2, 3] = np.nan, -0.0
    for which in ([0, 0, 1, 3, 3, 0, 2, 2, 1], [2], []):
        at = np.array(which, dtype=np.int64)
        mask = rng.random((len(at), 9)) < 0.5
        found = arrays.exchanged(a, b, at, -mask.astype(np.int32))
        assert found.tobytes() == np.where(mask, b[at], a[at]).tobytes()
