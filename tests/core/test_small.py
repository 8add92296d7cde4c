"""Errors, files, text and the interface."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medaudit.core import errors
from medaudit.core.files import write_atomic
from medaudit.core.interface import AXES, Input, Output, side_of
from medaudit.core.text import printable

KINDS = [
    errors.MedauditError,
    errors.ModelError,
    errors.DataError,
    errors.RunError,
    errors.ModelFault,
    errors.EngineError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_cross_processes(kind: type[errors.MedauditError]) -> None:
    """An error of a worker arrives as it was sent."""
    for error in (kind("what", "remedy"), kind("what")):
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(other) is kind
            assert (str(other), other.message, other.hint) == (
                str(error),
                error.message,
                error.hint,
            )
            assert other.exit_code == error.exit_code


def test_policy_errors_cross_processes() -> None:
    """Place, line and path travel along."""
    one = errors.PolicyError("bad", file="a.yaml", line=12, column=3, source="  k: v", path="k")
    many = errors.PolicyErrors([one, errors.PolicyError("worse", file="a.yaml")])
    for error in (one, many):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(one) == "a.yaml:12:3: bad\n   |\n12 |   k: v\n   |   ^ k"
    assert "a.yaml: worse" in str(many)


def test_exit_codes() -> None:
    """2: could not start; 4: a fault of ours."""
    assert errors.MedauditError("").exit_code == 2
    assert errors.ModelFault("").exit_code == 2
    assert errors.EngineError("").exit_code == 4


def test_write_atomic(tmp_path: Path) -> None:
    """Folders are made, the old file is replaced, nothing is left beside it."""
    target = tmp_path / "a" / "b.json"
    write_atomic(target, b"one")
    write_atomic(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["b.json"]


def test_write_atomic_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the end leaves the old file whole."""
    target = tmp_path / "b.json"
    write_atomic(target, b"one")

    def crash(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(OSError, match="no space"):
        write_atomic(target, b"two")
    assert target.read_bytes() == b"one"


@given(text=st.text(max_size=400))
def test_printable(text: str) -> None:
    """Never a control, escape or direction character, never long."""
    shown = printable(text, 80)
    assert shown.isprintable()
    assert len(shown) <= 80
    assert printable(shown, 80) == shown
    if text.isprintable() and len(text) <= 80:
        assert shown == text


def test_printable_hostile() -> None:
    """Escapes and direction marks are made visible."""
    assert printable("\x1b[31mred\u202eevil\n") == "?[31mred?evil?"


@pytest.mark.parametrize(
    ("axes", "shape", "sides"),
    [
        (("batch", "lead", "time"), (12, 100), (1, 12, 100)),
        (("batch", "time", "lead"), (100, 12), (1, 12, 100)),
        (("batch", "one", "lead", "time"), (1, 12, 100), (1, 12, 100)),
        (("batch", "channel", "row", "column"), (3, 8, 9), (3, 8, 9)),
        (("batch", "row", "column", "channel"), (8, 9, 3), (3, 8, 9)),
        (("batch", "hour", "variable"), (48, 17), (1, 17, 48)),
        (("batch", "feature"), (6,), (1, 1, 6)),
        (("batch",), (), (1, 1, 1)),
    ],
)
def test_part_of_an_input(axes: tuple[str, ...], shape: tuple[int, ...], sides: tuple[int, int, int]) -> None:
    """Every order of axes gives the same planes, rows and columns."""
    part = Input("x", "float32", "signal", axes, shape, axes).part
    assert (part.planes, part.rows, part.columns) == sides


def test_axes_have_sides() -> None:
    """Every axis but batch and one runs along a side."""
    assert [a for a in AXES if not side_of(a)] == ["batch", "one"]


def test_width_of_an_answer() -> None:
    """Numbers in one decoded answer, for every task."""
    assert Output("multiclass", ("y",), classes=("a", "b", "c")).width == 3
    assert Output("binary", ("y",), thresholds=(0.5,)).width == 1
    assert Output("label", ("y",), classes=("a", "b")).width == 1
    assert Output("multilabel", ("y",), classes=("a", "b"), thresholds=(0.5, 0.5)).width == 2
    assert Output("regression", ("y",), units=("", "")).width == 2
    assert Output("regression", ("y",)).width == 1
    assert Output("reconstruction", ("y",)).width == 1
    assert Output("segmentation", ("y",), classes=("a", "b"), positions=7).width == 14
    assert Output("segmentation", ("y",), class_axis=0, positions=7).width == 7
