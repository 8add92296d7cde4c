"""The core format: one `.npz`, never a pickle.

`x` (or `x__<input>`), `y`, optional `ids`, `groups`, `classes`, `length`, `names`, `units`, `lo`,
`hi` (with `__<input>` where there are several), `mask__<name>` (or `mask__<name>__<input>`: regions
that threats name), and a clean reference part `ref_x` / `ref__<input>` / `ref_y`. Keys that are not
of this format are reported, not used.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from medaudit.core.errors import DataError
from medaudit.data.dataset import Dataset

MAX_BYTES = 16 << 30
PLAIN = {
    "x",
    "y",
    "ids",
    "groups",
    "classes",
    "length",
    "ref_x",
    "ref_y",
    "names",
    "units",
    "lo",
    "hi",
}
NAMED = ("x__", "ref__", "names__", "units__", "lo__", "hi__", "mask__")


def read(path: Path) -> Dataset:
    """Read a data file. Raises DataError in one sentence with the key at fault."""
    arrays = _arrays(path)
    x = {k[3:]: v for k, v in arrays.items() if k.startswith("x__")} or ({"": arrays["x"]} if "x" in arrays else {})
    if not x:
        raise DataError(f"{path}: there is no array x (or x__<input>)", f"it holds: {', '.join(arrays)}")
    for name, values in arrays.items():
        known = name in PLAIN or name.startswith(NAMED)
        if known and name.startswith(("x", "ref", "y")) and values.dtype.kind not in "biufUS":
            raise DataError(
                f"{path}: {name} has type {values.dtype}, which medaudit does not read",
                "use numbers or text",
            )
        if known and name.startswith(("x", "ref")) and values.dtype.kind == "f":
            wide = np.abs(values) > np.finfo(np.float32).max
            if wide.any():
                raise DataError(f"{path}: {name} holds {values[wide][0]:g}", "use NaN for what was not measured")
    rows = max(len(np.atleast_1d(v)) for v in x.values())
    for name, values in x.items():
        key = f"x__{name}" if name else "x"
        if values.ndim == 0 or len(values) != rows:
            raise DataError(f"{path}: {key} has shape {values.shape}, but {rows} rows were expected")
    if rows == 0:
        raise DataError(f"{path}: there are no rows")
    ref = {k[5:]: v for k, v in arrays.items() if k.startswith("ref__")} or (
        {"": arrays["ref_x"]} if "ref_x" in arrays else {}
    )
    if ref and set(ref) != set(x):
        raise DataError(f"{path}: the reference part has inputs {sorted(ref)}, x has {sorted(x)}")
    for name in ref:
        if ref[name].shape[1:] != x[name].shape[1:]:
            raise DataError(
                f"{path}: rows of the reference part have shape {ref[name].shape[1:]}, rows of x {x[name].shape[1:]}"
            )
    for key in ("ids", "groups", "length"):
        if key in arrays and arrays[key].size != rows:
            raise DataError(f"{path}: {key} has shape {arrays[key].shape}, but there are {rows} rows")
    for key in arrays:
        if key.split("__")[0] in ("lo", "hi") and arrays[key].dtype.kind not in "biuf":
            raise DataError(f"{path}: {key} has type {arrays[key].dtype}, numbers were expected")
        if key.split("__")[0] in ("lo", "hi") and np.isinf(arrays[key]).any():
            raise DataError(
                f"{path}: {key} holds infinity", "give the range that is legal, or NaN where it is not known"
            )
    _same_rows(path, arrays, rows, ("y", "ids", "groups", "length"))
    masks = {k[6:]: _mask(path, k, v, x) for k, v in arrays.items() if k.startswith("mask__")}
    if "length" in arrays:
        _lengths(path, arrays["length"])
    classes = _texts(arrays, "classes")
    twice = [name for i, name in enumerate(classes) if name in classes[:i]]
    if twice:
        raise DataError(f"{path}: classes names {twice[0]!r} twice")
    if ref:
        _same_rows(path, arrays, len(next(iter(ref.values()))), ("ref_y",))
    ids = _texts(arrays, "ids") or tuple(f"row {i}" for i in range(rows))
    groups = _texts(arrays, "groups") or ids  # without groups, repeated ids are a patient's several rows
    if len(set(ids)) < rows:
        ids = tuple(f"{name} row {i}" for i, name in enumerate(ids))
    unknown = [k for k in arrays if k not in PLAIN and not k.startswith(NAMED)]
    notes = tuple(f"key {k!r} of the data file is not used" for k in unknown)
    return Dataset(
        path=str(path),
        sha256=_digest(path),
        x=x,
        y=arrays.get("y"),
        ids=ids,
        groups=groups,
        ref=ref,
        ref_y=arrays.get("ref_y"),
        classes=classes,
        names=_per_input(arrays, "names", text=True),  # type: ignore[arg-type]
        units=_per_input(arrays, "units", text=True),  # type: ignore[arg-type]
        lo=_per_input(arrays, "lo"),  # type: ignore[arg-type]
        hi=_per_input(arrays, "hi"),  # type: ignore[arg-type]
        length=arrays.get("length"),
        masks=masks,
        notes=notes,
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such data file", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(item.file_size for item in archive.infolist())
        if total > MAX_BYTES:
            raise DataError(f"{path}: it unpacks to {total} bytes, more than medaudit reads ({MAX_BYTES})")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for name, values in arrays.items():
            if not isinstance(values, np.ndarray):
                raise DataError(f"{path}: {name} is not an array", "save it with numpy.savez")
        return arrays
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: this is not an .npz file, or it is cut off", "save it with numpy.savez") from error
    except ValueError as error:
        raise DataError(
            f"{path}: it holds Python objects, which medaudit never loads ({error})",
            "save text as fixed-width strings (dtype <U..) and numbers as numbers",
        ) from error
    except (OSError, EOFError, MemoryError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _same_rows(path: Path, arrays: dict[str, np.ndarray], rows: int, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in arrays and (arrays[key].ndim == 0 or len(arrays[key]) != rows):
            raise DataError(f"{path}: {key} has shape {arrays[key].shape}, but there are {rows} rows")


def _lengths(path: Path, length: np.ndarray) -> None:
    """Whole numbers from 1 on; a series that was cut may have been longer than its row."""
    if length.dtype.kind not in "iuf":
        raise DataError(f"{path}: length has type {length.dtype}, whole numbers were expected")
    wrong = ~((length >= 1) & (length == np.rint(length)))
    if wrong.any():
        row = int(wrong.ravel().argmax())
        raise DataError(f"{path}: length of row {row} is {length.ravel()[row]}, not a whole number from 1 on")


def _mask(path: Path, key: str, values: np.ndarray, x: dict[str, np.ndarray]) -> np.ndarray:
    """A mask as bool in the shape of its input's x; one for all rows, or one a row."""
    name = key.removeprefix("mask__").partition("__")[2]
    if name not in x:
        there = ", ".join(f"mask__NAME__{n}" if n else "mask__NAME" for n in x)
        raise DataError(f"{path}: {key} names no input of the data file", f"write {there}")
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{path}: {key} holds other values than 0 and 1")
    whole = x[name].shape
    grown = values.reshape((1,) * (len(whole) - values.ndim) + values.shape)
    if any(a not in (1, b) for a, b in zip(grown.shape, whole, strict=False)) or grown.ndim > len(whole):
        raise DataError(f"{path}: {key} has shape {values.shape}, which does not fit x of shape {whole}")
    return np.broadcast_to(grown > 0, whole)


def _texts(arrays: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    return tuple(str(v) for v in arrays[key].ravel()) if key in arrays else ()


def _per_input(arrays: dict[str, np.ndarray], key: str, text: bool = False) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, values in arrays.items():
        if name == key or name.startswith(f"{key}__"):
            flat = values.ravel()
            out[name[len(key) + 2 :]] = tuple(str(v) for v in flat) if text else flat.astype(np.float64)
    return out


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
