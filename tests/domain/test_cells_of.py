"""Cells: which numbers of a record belong together, how fine, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.domain.cells import Cells, Wanted, cells_of

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def named(*names: str) -> tuple[Channel, ...]:
    return tuple(Channel(name) for name in names)


def table(*names: str, name: str = "labs") -> Input:
    return Input(name, "float32", "table", ("batch", "feature"), (len(names),), ("batch", "feature"),
                 channels=named(*names))  # fmt: skip


def signal(leads: int, time: int, rate: float = 0.0) -> Input:
    axes = ("batch", "lead", "time")
    return Input("ecg", "float32", "signal", axes, (leads, time), axes, rate=rate, channels=named(*LEADS[:leads]))


def image(planes: int, rows: int, columns: int) -> Input:
    axes = ("batch", "channel", "row", "column")
    return Input("scan", "float32", "image", axes, (planes, rows, columns), axes, channels=named("grey"))


def sequence(hours: int, *names: str) -> Input:
    axes = ("batch", "variable", "hour")
    return Input("stay", "float32", "sequence", axes, (len(names), hours), axes, channels=named(*names))


def cells(*inputs: Input, wanted: Wanted = Wanted()) -> Cells:
    return cells_of(Interface(inputs, Output("binary", ("y",))), wanted)


def test_a_table_has_a_cell_for_each_column() -> None:
    """In order, under the columns' names."""
    found = cells(table("age", "sodium", "lactate"))
    np.testing.assert_array_equal(found.of, [0, 1, 2])
    assert found.names == ("age", "sodium", "lactate")
    assert found.grids == (("table", 1, 3, 0),)


def test_columns_without_names_are_counted() -> None:
    """One channel for all columns: the input's name and a number."""
    item = Input("x", "float32", "table", ("batch", "feature"), (3,), ("batch", "feature"), channels=named("value"))
    assert cells(item).names == ("x 1", "x 2", "x 3")


def test_one_lead_has_60_windows() -> None:
    """A single lead of 600 numbers at 100 Hz: ten numbers to a window, named by their seconds."""
    found = cells(signal(1, 600, rate=100.0))
    np.testing.assert_array_equal(found.of, np.repeat(np.arange(60), 10))
    assert found.names[:2] == ("I, 0.00-0.10 s", "I, 0.10-0.20 s")
    assert found.names[-1] == "I, 5.90-6.00 s"


def test_short_windows_have_names_of_their_own() -> None:
    """60 windows of 1.6 and of 0.02 milliseconds: as many digits as tell them apart."""
    for rate, first in ((6250.0, "I, 0.000-0.002 s"), (500_000.0, "I, 0.00000-0.00002 s")):
        found = cells(signal(1, 600, rate=rate))
        assert found.names[0] == first
        assert len(set(found.names)) == 60


def test_twelve_leads_are_pairs_over_25_windows() -> None:
    """Six groups of two neighbours, lead after lead in a point."""
    found = cells(signal(12, 250, rate=50.0))
    assert found.size == 150
    of = found.of.reshape(12, 250)
    for lead in range(12):
        np.testing.assert_array_equal(of[lead], lead // 2 * 25 + np.repeat(np.arange(25), 10))
    assert found.names[0] == "I to II, 0.00-0.20 s"
    assert found.names[25] == "III to aVR, 0.00-0.20 s"
    assert found.names[149] == "V5 to V6, 4.80-5.00 s"


def test_three_leads_are_two_groups() -> None:
    """A lead without a partner is a group; windows are never more than 60."""
    found = cells(signal(3, 120))
    assert found.grids == (("signal", 2, 60, 0),)
    np.testing.assert_array_equal(found.of.reshape(3, 120)[:, 0], [0, 0, 60])
    assert found.names[0] == "I to II, samples 1-2"
    assert found.names[60] == "III, samples 1-2"


def test_a_signal_without_a_rate_counts_samples() -> None:
    """From 1; one number alone has no range."""
    found = cells(signal(2, 6), wanted=Wanted(groups=2, windows=4))
    np.testing.assert_array_equal(found.of, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7])
    assert found.names[:4] == ("I, samples 1-2", "I, samples 3", "I, samples 4-5", "I, samples 6")
    assert found.names[4] == "II, samples 1-2"


def test_a_small_image_has_seven_by_seven_squares() -> None:
    """28 by 28: squares of four, the same ones in every plane."""
    found = cells(image(3, 28, 28))
    assert found.grids == (("image", 7, 7, 0),)
    of = found.of.reshape(3, 28, 28)
    for plane in range(3):
        for row in range(28):
            np.testing.assert_array_equal(of[plane, row], row // 4 * 7 + np.arange(28) // 4)
    assert found.names[8] == "rows 5-8, columns 5-8"


def test_large_and_tiny_images() -> None:
    """Never more than 14 a side, and at least one."""
    assert cells(image(1, 224, 160)).grids[0][1:3] == (14, 14)
    assert cells(image(1, 3, 3)).grids[0][1:3] == (1, 1)


def test_two_days_are_blocks_of_four_hours() -> None:
    """48 hours: twelve blocks of each variable, variable after variable."""
    found = cells(sequence(48, "heart rate", "lactate"))
    np.testing.assert_array_equal(found.of, np.concatenate([np.repeat(np.arange(12), 4), 12 + np.arange(48) // 4]))
    assert found.names[0] == "heart rate, hours 1-4"
    assert found.names[23] == "lactate, hours 45-48"


def test_short_stays_have_a_cell_an_hour() -> None:
    """Fewer than 24 hours, or as asked for."""
    assert cells(sequence(9, "heart rate")).names == tuple(f"heart rate, hour {k}" for k in range(1, 10))
    assert cells(sequence(23, "heart rate")).size == 23
    assert cells(sequence(24, "heart rate")).size == 12
    assert cells(sequence(48, "heart rate"), wanted=Wanted(hours=1)).size == 48
    assert cells(sequence(48, "heart rate"), wanted=Wanted(hours=100)).names == ("heart rate, hours 1-48",)


def test_several_inputs_share_no_cell() -> None:
    """Each begins where the one before it ended."""
    inputs = (signal(2, 50, rate=10.0), table("age", "sodium"), image(1, 8, 8), sequence(24, "pulse"))
    both = cells(*inputs, wanted=Wanted(windows=5))
    at = cell = 0
    for item, grid in zip(inputs, both.grids, strict=True):
        alone = cells(item, wanted=Wanted(windows=5))
        np.testing.assert_array_equal(both.of[at : at + item.part.size], cell + alone.of)
        assert both.names[cell : cell + alone.size] == alone.names
        assert (grid.begin, grid.size) == (cell, alone.size)
        at, cell = at + item.part.size, cell + alone.size
    assert (at, cell) == (len(both.of), both.size)


@pytest.mark.parametrize("domain", ["signal", "image", "sequence"])
@given(data=st.data())
def test_cells_are_blocks(domain: str, data: st.DataObject) -> None:
    """However fine: every cell has numbers, is one block of rows by columns, and none is much larger than another."""
    few = st.integers(1, 12)
    rows, columns, wanted = data.draw(few), data.draw(st.integers(1, 70)), Wanted(*(data.draw(few) for _ in range(4)))
    if domain == "signal":
        item = signal(rows, columns)
    elif domain == "image":
        item = image(2, rows, columns)
    else:
        item = sequence(columns, *LEADS[:rows])
    found = cells(item, wanted=wanted)
    (grid,) = found.grids
    assert found.size == grid.size == len(set(found.names))
    of = found.of.reshape(-1, rows, columns)
    sizes = []
    for cell in range(grid.size):
        planes, down, across = np.nonzero(of == cell)
        sides = len(set(down)), len(set(across))
        assert len(planes) == of.shape[0] * sides[0] * sides[1] > 0
        assert sides == (np.ptp(down) + 1, np.ptp(across) + 1)
        sizes.append(sides)
    assert np.all(np.ptp(np.array(sizes), axis=0) <= 1)
    # They come in reading order.
    assert np.all(np.diff(of[0], axis=1) >= 0)
    assert np.all(np.diff(of[0], axis=0) >= 0)
