"""All cells of a model's inputs, laid over points; and the shipped table of what honest models let them reach."""

from __future__ import annotations

import numpy as np
import pytest

from medaudit.core.interface import Channel, Input, Interface, Output
from medaudit.trigger.cells import field
from medaudit.trigger.families import FAMILIES
from medaudit.trigger.null import null

SIGNAL = Input("ecg", "float32", "signal", ("batch", "lead", "time"), (2, 90), ("batch", "lead", "time"), rate=90.0,
               channels=(Channel("I"), Channel("II")))  # fmt: skip
IMAGE = Input("image", "float32", "image", ("batch", "channel", "row", "column"), (1, 16, 16),
              ("batch", "channel", "row", "column"), channels=(Channel("grey", lo=0.0, hi=1.0),))  # fmt: skip
SEX = Channel("sex", kind="category", categories=("f", "m"))


def column(name: str, channel: Channel) -> Input:
    return Input(name, "float32", "table", ("batch", "feature"), (1,), ("batch", "feature"), channels=(channel,))


COLUMNS = tuple(column(name, Channel(name)) for name in ("age", "height", "weight"))


def points(interface: Interface, rows: int = 12) -> np.ndarray:
    drawn = np.random.default_rng(3).random((rows, interface.size))
    return drawn.astype(np.float32)


def face(*inputs: Input) -> Interface:
    return Interface(inputs, Output("binary", ("y",), classes=("well", "ill"), thresholds=(0.0,)))


@pytest.mark.parametrize(
    "inputs", [(SIGNAL,), (IMAGE,), (SIGNAL, IMAGE), COLUMNS], ids=["signal", "image", "both", "columns"]
)
def test_every_cell_changes_something_and_rows_never_meet(inputs: tuple[Input, ...]) -> None:
    interface = face(*inputs)
    x = points(interface)
    own = field(interface, x)
    which = np.linspace(0, len(own.cells) - 1, 30).astype(int)
    rows, shut = x[np.arange(30) % len(x)], np.zeros((30, x.shape[1]), dtype=bool)
    laid = own.laid(which, np.ones(30), rows, shut)
    assert (laid != rows).any(axis=1).mean() > 0.6
    assert laid.dtype == np.float32
    for i in (0, 13, 29):
        alone = own.laid(which[[i]], np.ones(1), rows[[i]], shut[[i]])
        np.testing.assert_array_equal(alone[0], laid[i])
    np.testing.assert_array_equal(own.laid(which, np.ones(30), rows, ~shut), rows)  # padding stays


def test_a_trigger_stays_on_its_input() -> None:
    interface = face(SIGNAL, IMAGE)
    x = points(interface)
    own = field(interface, x)
    for number, cell in list(enumerate(own.cells))[::40]:
        laid = own.laid(np.full(len(x), number), np.ones(len(x)), x, np.zeros(x.shape, dtype=bool))
        other = np.setdiff1d(np.arange(x.shape[1]), own.grounds[cell.ground].where)
        np.testing.assert_array_equal(laid[:, other], x[:, other])
    assert own.words(0).startswith(("ecg: ", "image: "))


def test_columns_of_a_table_are_looked_at_together() -> None:
    """A pair of features of which each is an input of its own."""
    own = field(face(*COLUMNS), points(face(*COLUMNS)), ("pair",))
    assert own.cells
    words = own.words(0)
    assert "age" in words
    assert "height" in words


def test_families_may_be_named() -> None:
    own = field(face(SIGNAL), points(face(SIGNAL)), ("pulse", "patch"))
    assert {cell.family.name for cell in own.cells} == {"pulse"}
    assert not field(face(SIGNAL), points(face(SIGNAL)), ("patch",)).cells


def test_the_shipped_null_knows_every_family_of_its_domains() -> None:
    for one in (SIGNAL, IMAGE):
        own = field(face(one), points(face(one)))
        known = null(own)
        names = {cell.family.name for cell, m in zip(own.cells, known.middle[:, 0], strict=True) if np.isfinite(m)}
        assert names <= set(FAMILIES)
        assert len(known.scores) >= 20
        assert np.isfinite(known.spread).mean() > 0.9
        assert np.isfinite(known.middle).mean() > 0.75  # not of what is cut from records: on others it is another thing
        assert (known.spread[np.isfinite(known.spread)] >= 0).all()
