"""Fills: straight lines in signals, blur in images, the usual value elsewhere."""

from __future__ import annotations

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.cells import Cells, Wanted, cells_of
from medaudit.domain.fills import filled

ONE = (Channel("value"),)


def signal(leads: int, time: int) -> Input:
    axes = ("batch", "lead", "time")
    return Input("ecg", "float32", "signal", axes, (leads, time), axes, channels=ONE)


def image(planes: int, rows: int, columns: int) -> Input:
    axes = ("batch", "channel", "row", "column")
    return Input("scan", "float32", "image", axes, (planes, rows, columns), axes, channels=ONE)


def sequence(variables: int, hours: int) -> Input:
    axes = ("batch", "variable", "hour")
    return Input("stay", "float32", "sequence", axes, (variables, hours), axes, channels=ONE)


def table(columns: int) -> Input:
    return Input("labs", "float32", "table", ("batch", "feature"), (columns,), ("batch", "feature"), channels=ONE)


def random(rows: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


def laid(
    points: np.ndarray, *inputs: Input, typical: np.ndarray | None = None, wanted: Wanted = Wanted()
) -> np.ndarray:
    """The fill of points of a model with these inputs."""
    interface = Interface(inputs, Output("binary", ("y",)))
    usual = np.zeros(interface.size, np.float32) if typical is None else typical
    found = filled(cells_of(interface, wanted), interface.parts, usual, points)
    assert found.shape == points.shape
    assert found.dtype == np.float32
    return found


@given(
    time=st.integers(2, 90), windows=st.integers(1, 90), start=st.floats(-5, 5, width=32), slope=st.floats(-1, 1)
)  # fmt: skip
def test_a_straight_line_is_its_own_fill(time: int, windows: int, start: float, slope: float) -> None:
    """Also in the first and the last window, whose lines end inside of them."""
    line = (start + slope * np.arange(time)).astype(np.float32)[None, :]
    np.testing.assert_allclose(laid(line, signal(1, time), wanted=Wanted(windows=windows)), line, atol=1e-4)


@pytest.mark.parametrize("windows", [1, 2, 7, 20, 40])
def test_a_window_is_the_line_between_its_neighbours(windows: int) -> None:
    """From the number before it to the one after it, in every lead on its own; at the ends from the end itself."""
    points = random(2, 3 * 40)
    found = laid(points, signal(3, 40), wanted=Wanted(windows=windows)).reshape(2, 3, 40)
    window = np.arange(40) * windows // 40
    for own, fill in zip(points.reshape(-1, 40), found.reshape(-1, 40), strict=True):
        for k in range(windows):
            at = np.flatnonzero(window == k)
            ends = [max(at[0] - 1, 0), min(at[-1] + 1, 39)]
            np.testing.assert_allclose(fill[at], np.interp(at, ends, own[ends]), atol=1e-6)


def test_what_a_window_holds_is_not_seen_in_its_fill() -> None:
    """A spike inside a window leaves no trace in that window's fill."""
    points = random(1, 60)
    spiked = points.copy()
    spiked[0, 33:37] += 9  # the window of 30 to 39
    found, other = (laid(own, signal(1, 60), wanted=Wanted(windows=6)) for own in (points, spiked))
    np.testing.assert_array_equal(found[0, 30:40], other[0, 30:40])


@given(value=st.floats(-100, 100, width=32), rows=st.integers(4, 40), columns=st.integers(4, 40))
def test_a_constant_image_stays(value: float, rows: int, columns: int) -> None:
    """Whatever its size: the weights of the blur add up to one."""
    points = np.full((1, rows * columns), value, np.float32)
    np.testing.assert_allclose(laid(points, image(1, rows, columns)), points, rtol=2e-5)


@given(rows=st.integers(4, 40), ratio=st.floats(0.5, 2), grid=st.integers(2, 10), seed=st.integers(0, 99))
def test_blur_keeps_the_level_of_an_image(rows: int, ratio: float, grid: int, seed: int) -> None:
    """Its mean, in each plane on its own, and never beyond what the plane holds."""
    columns = max(4, round(rows * ratio))
    points = 5 + random(2, 3 * rows * columns, seed)
    found = laid(points, image(3, rows, columns), wanted=Wanted(grid=grid)).reshape(6, -1)
    own = points.reshape(6, -1)
    np.testing.assert_allclose(found.mean(axis=1), own.mean(axis=1), atol=5e-4)
    assert np.all(found <= own.max(axis=1, keepdims=True) + 1e-4)
    assert np.all(found >= own.min(axis=1, keepdims=True) - 1e-4)


def test_blur_hides_what_is_smaller_than_a_cell() -> None:
    """A checkerboard is grey, a step stays a step; a bright dot spreads alike to all sides, half a cell wide."""
    board = (np.indices((28, 28)).sum(axis=0) % 2).astype(np.float32).reshape(1, -1)
    np.testing.assert_allclose(laid(board, image(1, 28, 28)), 0.5, atol=0.025)
    step = np.repeat([0.0, 1.0], 14 * 28).astype(np.float32).reshape(1, -1)
    found = laid(step, image(1, 28, 28)).reshape(28, 28)
    assert found[0].max() < 0.01
    assert found[-1].min() > 0.99
    dot = np.zeros((1, 29, 29), np.float32)
    dot[0, 14, 14] = 1
    found = laid(dot.reshape(1, -1), image(1, 29, 29), wanted=Wanted(grid=7)).reshape(29, 29)
    np.testing.assert_allclose(found, found.T, atol=1e-7)
    np.testing.assert_allclose(found, found[::-1], atol=1e-7)
    spread = np.sum(found.sum(axis=1) * (np.arange(29) - 14) ** 2)
    assert np.sqrt(spread) == pytest.approx(0.5 * 29 / 7, rel=0.02)


@pytest.mark.parametrize("item", [table(6), sequence(2, 3)], ids=["table", "sequence"])
def test_tables_and_sequences_get_the_usual_value(item: Input) -> None:
    """Whatever the point holds, missing values included."""
    typical = random(1, 6, seed=1)[0]
    points = random(3, 6)
    points[1, 2] = np.nan
    np.testing.assert_array_equal(laid(points, item, typical=typical), np.tile(typical, (3, 1)))


def test_every_input_is_filled_by_its_own() -> None:
    """Several inputs in one point: each as if it were alone."""
    inputs = (signal(2, 30), table(3), image(1, 12, 12), sequence(2, 6))
    sizes = [item.part.size for item in inputs]
    points, typical = random(2, sum(sizes)), random(1, sum(sizes), seed=1)[0]
    wanted = Wanted(windows=4)
    found = laid(points, *inputs, typical=typical, wanted=wanted)
    ends = np.cumsum(sizes)
    for item, end, size in zip(inputs, ends, sizes, strict=True):
        own = slice(end - size, end)
        alone = laid(np.ascontiguousarray(points[:, own]), item, typical=typical[own], wanted=wanted)
        np.testing.assert_array_equal(found[:, own], alone)


INPUTS = {"signal": signal(2, 30), "image": image(2, 9, 14), "sequence": sequence(2, 6), "table": table(4)}


def setting(domain: str) -> tuple[Cells, Interface, np.ndarray, np.ndarray]:
    interface = Interface((INPUTS[domain],), Output("binary", ("y",)))
    typical, points = random(1, interface.size, seed=1)[0], random(5, interface.size)
    for array in (typical, points):
        array.setflags(write=False)
    return cells_of(interface), interface, typical, points


@pytest.mark.parametrize("domain", INPUTS)
def test_the_same_in_any_company(domain: str) -> None:
    """A point's fill has the same bits alone and among others; nothing given is written to."""
    cells, interface, typical, points = setting(domain)
    together = filled(cells, interface.parts, typical, points)
    for k in range(len(points)):
        alone = filled(cells, interface.parts, typical, points[k : k + 1])
        np.testing.assert_array_equal(alone[0], together[k])


@pytest.mark.parametrize("domain", INPUTS)
def test_on_strict_arrays(domain: str) -> None:
    """Any library of the array API."""
    cells, interface, typical, points = setting(domain)
    found = filled(cells, interface.parts, typical, xp.asarray(np.array(points)))
    np.testing.assert_allclose(np.asarray(found), filled(cells, interface.parts, typical, points), atol=1e-6)
