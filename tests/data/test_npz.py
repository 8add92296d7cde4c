"""The data format: what is read, and one sentence for every way to get it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medaudit.core.errors import DataError
from medaudit.data import Dataset, read

GOOD: dict[str, Any] = {
    "x": np.arange(24, dtype=np.float32).reshape(4, 3, 2),
    "y": np.array([0, 1, 0, 1]),
    "ids": np.array(["a", "b", "c", "d"]),
    "groups": np.array(["p", "p", "q", "r"]),
    "classes": np.array(["well", "ill"]),
    "length": np.array([3, 1, 2, 3]),
    "names": np.array(["u", "v"]),
    "units": np.array(["mV", "mV"]),
    "lo": np.array([-1.0, 0.0]),
    "hi": np.array([30.0, 30.0]),
    "ref_x": np.zeros((5, 3, 2), dtype=np.float32),
    "ref_y": np.zeros(5),
}


def saved(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def load(folder: Path, arrays: dict[str, Any]) -> Dataset:
    return read(saved(folder, arrays))


def test_everything_is_read(tmp_path: Path) -> None:
    """Each key lands where it belongs; nothing is left over."""
    data = load(tmp_path, GOOD)
    assert data.rows == 4
    assert np.array_equal(data.x[""], GOOD["x"])
    assert data.y is not None
    assert data.length is not None
    assert np.array_equal(data.y, GOOD["y"])
    assert data.ids == ("a", "b", "c", "d")
    assert data.groups == ("p", "p", "q", "r")
    assert data.classes == ("well", "ill")
    assert data.names == {"": ("u", "v")}
    assert data.lo[""].tolist() == [-1, 0]
    assert data.ref[""].shape == (5, 3, 2)
    assert data.notes == ()


def test_the_least_is_x(tmp_path: Path) -> None:
    """Rows get names; every row is a patient; there are no labels."""
    data = load(tmp_path, {"x": GOOD["x"]})
    assert data.ids == data.groups == ("row 0", "row 1", "row 2", "row 3")
    assert data.y is None
    assert data.ref == {}


def test_repeated_ids_are_rows_of_one_patient(tmp_path: Path) -> None:
    data = load(tmp_path, {"x": GOOD["x"], "ids": np.array(["a", "a", "b", "a"])})
    assert data.groups == ("a", "a", "b", "a")
    assert len(set(data.ids)) == 4


def test_a_series_that_was_cut_has_no_padding(tmp_path: Path) -> None:
    data = load(tmp_path, {**GOOD, "length": np.array([3, 1, 2, 400])})
    assert data.length is not None
    assert data.length.max() == 400


def test_several_inputs(tmp_path: Path) -> None:
    data = load(tmp_path, {"x__wave": GOOD["x"], "x__age": np.ones((4, 1)), "lo__age": np.array([0.0])})
    assert set(data.x) == {"wave", "age"}
    assert set(data.lo) == {"age"}


def test_unknown_keys_are_reported(tmp_path: Path) -> None:
    data = load(tmp_path, {**GOOD, "lables": GOOD["y"]})
    assert any("'lables'" in note for note in data.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": None}, "no array x"),
        ({"x": np.zeros((0, 3, 2))}, "no rows"),
        ({"x": np.array(1.0)}, "x"),
        ({"x": GOOD["x"].astype(complex)}, "complex"),
        ({"y": np.zeros(3)}, "y has shape"),
        ({"ids": np.array(["a"])}, "ids has shape"),
        ({"groups": np.array(["a"])}, "groups has shape"),
        ({"classes": np.array(["ill", "ill"])}, "'ill' twice"),
        ({"length": np.array([1, 2, 3])}, "length has shape"),
        ({"length": np.array([3, 1, 0, 3])}, "length of row 2 is 0"),
        ({"length": np.array([3, 1.5, 2, 3])}, "length of row 1 is 1.5"),
        ({"length": np.array([3, np.nan, 2, 3])}, "length of row 1 is nan"),
        ({"length": np.array(["3", "1", "2", "3"])}, "length has type"),
        ({"lo": np.array(["low", "low"])}, "lo has type"),
        ({"ref_x": np.zeros((5, 2, 2))}, "reference part have shape"),
        ({"ref_y": np.zeros(4)}, "ref_y has shape"),
        ({"x": None, "x__a": GOOD["x"], "x__b": GOOD["x"][:3]}, "x__b has shape"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """The file, the key at fault and what was expected, in one sentence."""
    arrays = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(DataError) as caught:
        load(tmp_path, arrays)
    assert words in str(caught.value)
    assert "d.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    """An object array would run code when it is read."""
    with pytest.raises(DataError, match="never loads"):
        load(tmp_path, {"x": GOOD["x"], "ids": np.array(["a", None, "b", "c"], dtype=object)})


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
def test_what_is_no_archive(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz|cannot be read"):
        read(path)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.csv files cannot be read"):
        read(tmp_path / "d.csv")
    with pytest.raises(DataError, match="no such data file"):
        read(tmp_path / "absent.npz")


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    path = saved(tmp_path, GOOD)
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
